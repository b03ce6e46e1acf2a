"""`sealift learn` as a person types it: what is shown, where it goes, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from sealift.cli.app import main
from tests.flows.test_learn import World, world
from tests.ground import services

__all__ = ["world"]

Call = Callable[..., tuple[int, str, str]]


@pytest.fixture
def learn(world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """`learn("check", at=…)`: exit code, stdout, stderr."""
    monkeypatch.setenv("XDG_STATE_HOME", str(world.top / "state"))

    def call(*words: str, at: Path | None = None) -> tuple[int, str, str]:
        monkeypatch.chdir(at or world.top / "here")
        capsys.readouterr()
        try:
            code = main(["learn", *words])
        except SystemExit as stop:
            code = int(stop.code or 0)
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_from_nothing_to_done(learn: Call, world: World) -> None:
    """Everything that is shown on the way."""
    course = str(world.course)
    assert learn("--course", course) == (
        0,
        (
            "Counting\n\n"
            "Each exercise is a folder with a README.md that says what to do: you write recipes, build images and\n"
            "run them, here in your terminal. `sealift learn check` looks at what you made, and says what is\n"
            "right and what is not yet.\n\n"
            "  ex01  Count    2 min\n  ex02  Count    2 min\n\n"
            f"next: sealift learn start ex01 --course {course}\n"
        ),
        "",
    )
    assert learn("start", "ex01", "--course", course) == (
        0,
        (
            "ex01: Count  (2 steps, about 2 minutes)\nFrom one to two.\n\n"
            "next: cd ex01-count\nnext: read README.md, and after each step: sealift learn check\n"
        ),
        "",
    )
    work = world.work
    assert learn("check", at=work) == (
        1,
        "1. One\n\n✗ answer.txt says 1\n    seen: 0\n\nstep 1 of 2; a hint: sealift learn hint\n",
        "",
    )
    assert learn("hint", at=work) == (0, "1. One\n\nhint 1 of 2: a hint of one\n", "")
    assert learn("solution", at=work) == (
        1,
        "",
        (
            "step 1 has 1 hint that you did not see: sealift learn hint\n"
            "the solution all the same: sealift learn solution --yes\n"
        ),
    )
    assert learn("hint", at=work) == (
        0,
        (
            "1. One\n\nhint 1 of 2: a hint of one\nhint 2 of 2: another\n\n"
            "these are all; the solution: sealift learn solution\n"
        ),
        "",
    )
    assert learn("solution", at=work) == (
        0,
        (
            "--- answer.txt\n+++ solution/one/answer.txt\n@@ -1 +1 @@\n-0\n+1\n"
            "--- more.txt\n+++ solution/one/more.txt\n@@ -0,0 +1 @@\n+one\n"
        ),
        "1. One\nwritten beside your work: solution/one/answer.txt solution/one/more.txt\n",
    )
    world.answer("1")
    assert learn("check", "1", at=work) == (0, "1. One\n\n✓ answer.txt says 1\n\nstep 1 is right\n", "")
    assert learn("check", at=work)[:2] == (
        1,
        "✓ 1. One\n\n2. Two\n\n✗ answer.txt says 2, too\n    seen: 1\n\nstep 2 of 2; a hint: sealift learn hint\n",
    )
    assert learn("list", "--course", course)[1].splitlines()[2:] == [
        "▸ ex01  Count    2 min  1 of 2 steps",
        "  ex02  Count    2 min",
        "",
        f"next: cd {work}",
        "next: sealift learn check",
    ]
    world.answer("1 2")
    assert learn("check", at=work) == (
        0,
        (
            "✓ 1. One\n✓ 2. Two\n\nex01 is done: all 2 steps are right\nnext: cd ..; sealift learn start ex02 "
            f"--course {course}\n"
        ),
        "",
    )
    assert learn(at=work)[1].splitlines()[-4:] == [
        "✓ ex01  Count    2 min  done",
        "  ex02  Count    2 min",
        "",
        f"next: sealift learn start ex02 --course {course}",
    ]
    assert learn("reset", at=work) == (
        0,
        f"your work is kept in {work}.old-1\nnext: cd {work}\n",
        "",
    )


@pytest.mark.parametrize(
    ("words", "code", "err"),
    [
        (("strat",), 2, "error: `sealift learn strat` is not known\nhint: did you mean `sealift learn start`?\n"),
        (
            ("dance",),
            2,
            (
                "error: `sealift learn dance` is not known\n"
                "hint: one of list, start, check, hint, solution, reset, watch\n"
            ),
        ),
        (("check",), 2, "error: no exercise was begun\nhint: begin: sealift learn start ex01\n"),
        (("list", "ex01"), 2, "error: `ex01` means nothing behind `list`\nhint: sealift learn --help\n"),
        (("check", "ex01", "1", "2"), 2, "error: `2` means nothing behind `check`\nhint: sealift learn --help\n"),
        (("start", "ex99"), 2, "error: there is no exercise `ex99`\nhint: see which there are: sealift learn list\n"),
        (
            ("list", "--course", "."),
            2,
            "error: there is no course in `.`: no course.toml\nhint: Sealift's own: sealift learn\n",
        ),
        (("reset", "1", "2"), 2, "error: `2` means nothing behind `reset`\nhint: sealift learn --help\n"),
        (("reset", "all"), 2, "error: there is no exercise `all`\nhint: see which there are: sealift learn list\n"),
        (("watch", "--json"), 2, "error: `watch` speaks to people\nhint: sealift learn check --json\n"),
    ],
)
def test_what_is_not_understood(learn: Call, words: tuple[str, ...], code: int, err: str) -> None:
    assert learn(*words) == (code, "", err)


def test_for_programs(learn: Call, world: World) -> None:
    learn("start", "--course", str(world.course))
    work = world.work
    told = {
        words: json.loads(learn(*words, "--json", at=work)[1])
        for words in [("check",), ("hint",), ("solution",), ("solution", "--yes"), ("list",), ("reset",)]
    }
    assert told["hint",] == {
        "exercise": "ex01-count",
        "step": "one",
        "hints": ["a hint of one"],
        "new": True,
        "left": 1,
    }
    assert told["solution",] == {
        "exercise": "ex01-count",
        "step": "one",
        "files": [],
        "differences": "",
        "hints_left": 1,
    }
    assert told["solution", "--yes"]["files"] == ["solution/one/answer.txt", "solution/one/more.txt"]
    assert told["check",]["steps"][0]["findings"] == [
        {"id": "file", "severity": "error", "what": "answer.txt says 1", "evidence": "0", "remedy": ""}
    ]
    assert [one["name"] for one in told["list",]["exercises"]] == ["ex01-count", "ex02-count"]
    assert told["reset",] == {"exercise": "ex01-count", "folder": str(work), "aside": f"{work}.old-1"}


def test_a_course_does_not_speak_to_the_terminal(learn: Call, world: World) -> None:
    path = world.course / "ex01-count" / "exercise.toml"
    path.write_text(path.read_text().replace("a hint of one", r"a \u001b]0;hint\u0007"))
    learn("start", "--course", str(world.course))
    assert learn("hint", at=world.work)[1].splitlines()[-1] == r"hint 1 of 2: a \x1b]0;hint\x07"


def test_our_own_course_needs_no_name(learn: Call, world: World) -> None:
    code, out, err = learn()
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "next: sealift learn start ex01"
    assert learn("start", "1")[0] == 0
    folder = world.top / "here" / "ex01-build-container"
    assert {"README.md", "temperature.def"} <= {path.name for path in folder.iterdir()}
    assert not (folder / "exercise.toml").exists()
    assert not (folder / "solution").exists()


@pytest.mark.slow
def test_watching_ends_by_ctrl_c(learn: Call, world: World) -> None:
    """It looks again when a file is saved; Ctrl-C is how one ends it, and no fault."""
    learn("start", "--course", str(world.course))
    env = {**os.environ, "XDG_STATE_HOME": str(world.top / "state"), "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [sys.executable, "-m", "sealift", "learn", "watch"],
        cwd=world.work,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        assert process.stdout is not None
        guard = threading.Timer(services.PATIENCE, process.kill)
        guard.start()
        try:
            said = [next(process.stdout) for _ in range(7)]
            assert (said[2], said[6]) == ("✗ answer.txt says 1\n", "watching for changes; Ctrl-C ends it\n")
            world.answer("1")
            said = [next(process.stdout) for _ in range(9)]
            assert (said[0], said[4]) == ("✓ 1. One\n", "✗ answer.txt says 2, too\n")
            process.send_signal(signal.SIGINT)
            assert process.stdout.read() == "\nended; go on at any time: sealift learn check\n"
        finally:
            guard.cancel()
            process.kill()
    assert process.returncode == 0


@pytest.mark.slow
def test_watching_ends_when_all_is_right(learn: Call, world: World) -> None:
    learn("start", "--course", str(world.course))
    world.answer("1 2")
    code, out, err = learn("watch", at=world.work)
    assert (code, err) == (0, "")
    assert out.splitlines()[:2] == ["✓ 1. One", "✓ 2. Two"]
