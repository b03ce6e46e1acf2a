"""Sandboxes as each kind of user, through a driver that runs as that user."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.ground import session, users
from tests.sandbox import trees

Who = Literal["root", "subuid", "plain"]
EVERYONE = [
    pytest.param("root", marks=pytest.mark.needs("root", "mksquashfs")),
    pytest.param("subuid", marks=pytest.mark.needs("subuid-user", "mksquashfs", "squashfuse")),
    pytest.param("plain", marks=pytest.mark.needs("plain-user", "mksquashfs", "squashfuse")),
]
MODES = {"root": "root", "subuid": "subuid", "plain": "single"}

Drive = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
def base(session_folder: Path) -> Path:
    """A squashfs to run in; readable by all."""
    folder = session_folder / "sandbox-base"
    folder.mkdir(exist_ok=True)
    return trees.make_base(folder)


@pytest.fixture
def command(
    as_user: users.AsUser, open_folder: Path
) -> Callable[[Who, Mapping[str, Any]], tuple[list[str], dict[str, str]]]:
    """The driver's argument list and environment for an order, for a test that starts it itself."""
    driver = open_folder / "driver.py"
    shutil.copyfile(Path(__file__).parent / "driver.py", driver)
    driver.chmod(0o644)

    def make(who: Who, order: Mapping[str, Any]) -> tuple[list[str], dict[str, str]]:
        paper = open_folder / "order.json"
        paper.write_text(json.dumps(order))
        paper.chmod(0o644)
        if who == "root":
            temporary = open_folder / "root-tmp"
            temporary.mkdir(exist_ok=True)
            environment = {**os.environ, "TMPDIR": str(temporary)}
            return [sys.executable, str(driver), str(paper)], environment
        return [str(as_user.bin / "python"), str(driver), str(paper)], {}

    return make


@pytest.fixture
def drive(as_user: users.AsUser, command: Callable[..., tuple[list[str], dict[str, str]]]) -> Drive:
    """`drive("plain", steps=[…], lowers=[…])`: what the driver's `main` returns, run as that user."""

    def call(who: Who, **order: Any) -> dict[str, Any]:
        order["lowers"] = [
            {"path": str(each)} if isinstance(each, str | os.PathLike) else each for each in order.get("lowers", [])
        ]
        argv, environment = command(who, order)
        if who == "root":
            done = subprocess.run(argv, env=environment, capture_output=True, check=False)
        else:
            done = as_user(argv, user="subuid" if who == "subuid" else "plain")
        assert done.returncode == 0, done.stderr.decode(errors="replace")
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found

    return call


def sh(script: str, **more: Any) -> dict[str, Any]:
    return {"do": "sh", "script": script, **more}


def listing(base: Path | None = None) -> dict[str, Any]:
    step: dict[str, Any] = {"do": "call", "function": "driver:listing"}
    if base is not None:
        step["base"] = base_owners(base)
    return step


def base_owners(image: Path) -> dict[str, list[int]]:
    """Mode, uid and gid of every entry of a squashfs."""
    from sealift.squashfs.reader import SquashfsReader

    with image.open("rb") as file:
        tree = SquashfsReader(file).tree()[0]
    return {os.fsdecode(e.path): [e.mode, e.uid, e.gid] for e in tree.entries()}


@pytest.fixture
def nothing_left() -> Callable[[str], list[str]]:
    """Mounts and processes that still have to do with a work folder."""

    def look(work: str) -> list[str]:
        top = os.path.dirname(work)
        left = []
        for pid in filter(str.isdecimal, os.listdir("/proc")):
            try:
                line = Path(f"/proc/{pid}/cmdline").read_bytes()
                mounts = Path(f"/proc/{pid}/mountinfo").read_text(errors="replace")
            except OSError:
                continue
            if top.encode() in line and pid != str(os.getpid()):
                left.append(f"process {pid}: {line.replace(bytes(1), b' ').decode(errors='replace')}")
            if top in mounts:
                left.append(f"mount seen by {pid}")
        return left

    return look


__all__ = ["EVERYONE", "MODES", "Drive", "Who", "base_owners", "listing", "session", "sh"]
