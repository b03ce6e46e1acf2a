"""Whoever dies, and however: no process, no mount and no FUSE daemon stays, and the next build clears the folder."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.ground import users
from tests.sandbox.conftest import EVERYONE, Drive, Who, listing, sh

everyone = pytest.mark.parametrize("who", EVERYONE)
Command = Callable[..., tuple[list[str], dict[str, str]]]


@pytest.fixture
def start(command: Command, as_user: users.AsUser) -> Callable[..., subprocess.Popen[bytes]]:
    def begin(who: Who, order: dict[str, Any]) -> subprocess.Popen[bytes]:
        argv, environment = command(who, order)
        if who == "root":
            return subprocess.Popen(
                argv, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
            )
        return as_user.popen(argv, user="subuid" if who == "subuid" else "plain")

    return begin


def eventually(question: Callable[[], bool]) -> bool:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if question():
            return True
        time.sleep(0.02)
    return False


def first_line(process: subprocess.Popen[bytes]) -> dict[str, Any]:
    assert process.stdout is not None
    found: dict[str, Any] = json.loads(process.stdout.readline())
    return found


SLEEPER = "setsid sleep 1234 & echo > /opt/started; sleep 1234"


@everyone
def test_kill_9_of_the_outer_side_ends_everything(
    start: Callable[..., subprocess.Popen[bytes]],
    drive: Drive,
    base: Path,
    nothing_left: Callable[[str], list[str]],
    who: Who,
) -> None:
    order = {
        "lowers": [{"path": str(base)}],
        "announce": True,
        "steps": [sh("chown 5:6 /opt"), sh(SLEEPER)],
        "environment": {"SEALIFT_WITHOUT": "root"} if who == "subuid" else {},
    }
    process = start(who, order)
    work = first_line(process)["work"]
    assert eventually(lambda: os.path.exists(f"{work}/upper/opt/started"))
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert eventually(lambda: not nothing_left(work)), nothing_left(work)
    # What is left on disk belongs to ids of the namespace; the same user's next sandbox there removes it.
    assert os.path.exists(work)
    drive(who, lowers=[base], steps=[])
    assert not os.path.exists(os.path.dirname(work))


@everyone
@pytest.mark.slow
def test_kill_9_at_any_moment(
    start: Callable[..., subprocess.Popen[bytes]], base: Path, open_folder: Path, who: Who
) -> None:
    """From the first milliseconds of the probe to the middle of the section."""
    order = {"lowers": [{"path": str(base)}], "steps": [sh("echo x > /opt/x; sleep 1234")]}

    def left() -> list[str]:
        lines = []
        for pid in filter(str.isdecimal, os.listdir("/proc")):
            try:
                line = Path(f"/proc/{pid}/cmdline").read_bytes()
                mounts = Path(f"/proc/{pid}/mountinfo").read_text(errors="replace")
            except OSError:
                continue
            if b"sealift.sandbox.inner" in line and str(open_folder).encode() in line:
                lines.append(f"{pid} {line!r}")
            if f"{open_folder}/" in mounts:
                lines.append(f"{pid} sees a mount")
        return lines

    for tenths in range(12):
        process = start(who, order)
        time.sleep(tenths * 0.06)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        assert eventually(lambda: not left()), (tenths, left())


@everyone
def test_kill_9_of_the_inner_side_is_an_error(
    start: Callable[..., subprocess.Popen[bytes]],
    drive: Drive,
    base: Path,
    nothing_left: Callable[[str], list[str]],
    who: Who,
) -> None:
    steps = [sh("mkdir -p /opt/of/another; chown -R 5:6 /opt/of"), sh(SLEEPER)]
    process = start(who, {"lowers": [{"path": str(base)}], "announce": True, "steps": steps})
    work = first_line(process)["work"]
    assert eventually(lambda: os.path.exists(f"{work}/upper/opt/started"))
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert len(children) == 1
    os.kill(int(children[0]), signal.SIGKILL)
    out, _ = process.communicate(timeout=30)
    answer = json.loads(out)
    assert answer["steps"][1]["message"] == "the sandbox ended unexpectedly"
    assert eventually(lambda: not nothing_left(work))
    drive(who, lowers=[base], steps=[])
    assert not os.path.exists(os.path.dirname(work))


@everyone
def test_an_interrupt_is_gentle_first(
    start: Callable[..., subprocess.Popen[bytes]], base: Path, nothing_left: Callable[[str], list[str]], who: Who
) -> None:
    """The section hears the interrupt and can tidy up; the sandbox is then closed in good order."""
    script = "trap 'echo heard >&2; exit 3' INT; echo > /opt/started; while :; do sleep 0.1; done"
    order = {"lowers": [{"path": str(base)}], "announce": True, "steps": [{**run_step(script)}]}
    process = start(who, order)
    work = first_line(process)["work"]
    assert eventually(lambda: os.path.exists(f"{work}/upper/opt/started"))
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=30)
    assert b"heard" in err
    assert b"KeyboardInterrupt" in err
    assert process.returncode in (-signal.SIGINT, 130)
    assert not os.path.exists(work)
    assert nothing_left(work) == []


@everyone
@pytest.mark.slow
def test_an_interrupt_is_firm_then(
    start: Callable[..., subprocess.Popen[bytes]], base: Path, nothing_left: Callable[[str], list[str]], who: Who
) -> None:
    script = "trap '' INT TERM; echo > /opt/started; while :; do sleep 0.1; done"
    process = start(who, {"lowers": [{"path": str(base)}], "announce": True, "steps": [run_step(script)]})
    work = first_line(process)["work"]
    assert eventually(lambda: os.path.exists(f"{work}/upper/opt/started"))
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert b"KeyboardInterrupt" in err
    assert not os.path.exists(work)
    assert nothing_left(work) == []


def run_step(script: str) -> dict[str, Any]:
    return {"do": "run", "argv": ["/bin/sh", "-ec", script]}


@everyone
def test_a_killed_build_hides_nothing_from_the_next(drive: Drive, base: Path, who: Who) -> None:
    for _ in range(2):
        found = drive(who, lowers=[base], steps=[sh("echo x > /opt/x"), {"do": "call", **listing()}])
        assert [row[0] for row in found["steps"][1]["value"]] == ["/opt", "/opt/x"]
