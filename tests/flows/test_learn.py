"""The story of `learn`, on a course of one file: begin, look, hint, solve, begin anew, watch; what is kept of it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from sealift.core.event import Said
from sealift.errors import HostError, UsageError
from sealift.flows.learn import (
    LearnRequest,
    begin,
    check,
    hint,
    locate,
    overview,
    reset,
    solution,
    watch,
)
from sealift.flows.lessons.desk import Desk, Seen
from sealift.flows.lessons.looking import LOOKS
from sealift.flows.lessons.record import FILE
from sealift.learn.course import Check

EXERCISE = """\
schema = 1
minutes = 2
[[step]]
id = "one"
hints = ["a hint of one", "another"]
[[step.check]]
kind = "file"
wants = "answer.txt says 1"
file = "answer.txt"
contains = "1"
[[step]]
id = "two"
hints = ["a hint of two"]
[[step.check]]
kind = "file"
wants = "answer.txt says 2, too"
file = "answer.txt"
contains = "2"
"""
README = "# Count\n\nFrom one to two.\n\n## 1. One\n\nSay one.\n\n## 2. Two\n\nSay two.\n"


@dataclass(kw_only=True)
class World:
    top: Path
    said: list[str] = field(default_factory=list)

    @property
    def course(self) -> Path:
        return self.top / "course"

    @property
    def work(self) -> Path:
        return self.top / "here" / "ex01-count"

    @property
    def record(self) -> Path:
        return self.top / "state" / "sealift" / FILE

    def request(
        self, *, at: Path | None = None, exercise: str = "", step: str = "", course: bool = False
    ) -> LearnRequest:
        def take(event: object) -> None:
            assert isinstance(event, Said)
            self.said.append(event.text)

        return LearnRequest(
            environment={"XDG_STATE_HOME": str(self.top / "state"), "PATH": "/usr/bin:/bin"},
            cwd=str(at or self.top / "here"),
            course=str(self.course) if course else "",
            exercise=exercise,
            step=step,
            events=take,
        )

    def answer(self, text: str) -> None:
        (self.work / "answer.txt").write_text(text)

    def kept(self) -> dict[str, object]:
        found = json.loads(self.record.read_text())["exercises"]["counting/ex01-count"]
        assert isinstance(found, dict)
        return found


@pytest.fixture
def world(tmp_path: Path) -> World:
    """A course of two exercises, and an empty folder to stand in."""
    made = World(top=tmp_path)
    for name in ("ex01-count", "ex02-count"):
        folder = made.course / name
        (folder / "solution" / "one").mkdir(parents=True)
        (folder / "solution" / "two").mkdir()
        (folder / "exercise.toml").write_text(EXERCISE)
        (folder / "README.md").write_text(README)
        (folder / "tools").mkdir()
        (folder / "answer.txt").write_text("0\n")
        (folder / "tools" / "count").write_text("#!/bin/sh\n")
        (folder / "tools" / "count").chmod(0o755)
        (folder / ".hidden").write_text("")
        (folder / "solution" / "one" / "answer.txt").write_text("1\n")
        (folder / "solution" / "one" / "more.txt").write_text("one\n")
        (folder / "solution" / "two" / "answer.txt").write_text("1 2\n")
    (made.course / "course.toml").write_text(
        'schema = 1\nname = "counting"\ntitle = "Counting"\nexercises = ["ex01-count", "ex02-count"]\n'
    )
    (tmp_path / "here").mkdir()
    return made


@pytest.fixture
def begun(world: World) -> World:
    begin(world.request(exercise="ex01", course=True))
    return world


def files(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_the_learner_gets_what_there_is_to_begin_with(begun: World) -> None:
    note = json.dumps({"course": str(begun.course), "exercise": "ex01-count"}) + "\n"
    assert files(begun.work) == {
        "README.md": README,
        "answer.txt": "0\n",
        "tools/count": "#!/bin/sh\n",
        ".sealift-learn": note,
    }
    assert os.access(begun.work / "tools" / "count", os.X_OK)
    assert not os.access(begun.work / "answer.txt", os.X_OK)
    assert sorted(path.name for path in begun.work.parent.iterdir()) == ["ex01-count"]


def test_another_folder_and_the_first_exercise(world: World) -> None:
    place = begin(world.request(course=True), "mine")
    assert (place.exercise.name, place.folder) == ("ex01-count", str(world.top / "here" / "mine"))


def test_what_is_there_is_never_written_over(begun: World) -> None:
    before = files(begun.work)
    with pytest.raises(UsageError) as caught:
        begin(begun.request(exercise="ex01", course=True))
    assert caught.value.message == f"ex01 was begun in `{begun.work}`"
    assert caught.value.hints == (
        f"go on: cd {begun.work}; sealift learn check",
        "begin anew, with your work kept aside: sealift learn reset ex01",
    )
    (begun.top / "here" / "ex02-count").write_text("a file of mine")
    with pytest.raises(UsageError, match="is there already"):
        begin(begun.request(exercise="ex02", course=True))
    assert files(begun.work) == before


def test_a_course_that_cannot_be_copied_leaves_nothing(world: World) -> None:
    (world.course / "ex01-count" / "secret").symlink_to("/etc/passwd")
    with pytest.raises(UsageError, match="secret` is neither a file nor a folder"):
        begin(world.request(exercise="ex01", course=True))
    assert list((world.top / "here").iterdir()) == []
    assert not world.record.exists()


def test_each_step_in_its_turn(begun: World) -> None:
    def looked(**words: Any) -> list[tuple[str, bool]]:
        return [(one.step.id, one.right) for one in check(begun.request(at=begun.work, **words)).steps]

    assert looked() == [("one", False)]
    assert looked(step="2") == looked(step="two") == [("two", False)]
    begun.answer("1")
    assert looked() == [("one", True), ("two", False)]
    assert begun.kept()["done"] == ["one"]
    begun.answer("1 2")
    checked = check(begun.request(at=begun.work))
    assert (checked.right, checked.finished) == (True, True)
    assert checked.as_json() == {
        "exercise": "ex01-count",
        "folder": str(begun.work),
        "finished": True,
        "steps": [
            {
                "id": name,
                "number": number,
                "title": name.capitalize(),
                "right": True,
                "findings": [{"id": "file", "severity": "ok", "what": wants, "evidence": "", "remedy": ""}],
            }
            for number, (name, wants) in enumerate(
                [("one", "answer.txt says 1"), ("two", "answer.txt says 2, too")], start=1
            )
        ],
    }
    # One that is looked at alone counts alone.
    begun.answer("2")
    assert looked(step="two") == [("two", True)]
    assert begun.kept()["done"] == ["one", "two"]
    assert looked(step="one") == [("one", False)]
    assert begun.kept()["done"] == ["two"]
    # A step that is broken again counts no more; that all was right once stays known.
    begun.answer("2")
    assert looked() == [("one", False)]
    assert (begun.kept()["done"], begun.kept()["finished"]) == ([], True)


def test_an_image_that_is_older_than_the_recipe_counts_where_one_is(
    begun: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A step that was right stays so until it is known to be wrong; the last one has to be right now."""
    path = begun.course / "ex01-count" / "exercise.toml"
    built = '[[step.check]]\nkind = "built"\nwants = "it is built"\nimage = "a.sif"\nrecipe = "a.def"\n'
    path.write_text(path.read_text().replace('[[step]]\nid = "two"', f'{built}[[step]]\nid = "two"') + built)
    is_new = True

    def look(check: Check, desk: Desk) -> Seen:
        return Seen(right=is_new, seen="it is old")

    monkeypatch.setitem(LOOKS, "built", look)

    def looked() -> list[tuple[str, list[str]]]:
        steps = check(begun.request(at=begun.work)).steps
        return [(one.step.id, [finding.severity for finding in one.findings]) for one in steps]

    begun.answer("1")
    is_new = False
    assert looked() == [("one", ["ok", "error"])]
    is_new = True
    assert looked() == [("one", ["ok", "ok"]), ("two", ["error", "note"])]
    begun.answer("1 2")
    is_new = False
    assert looked() == [("one", ["ok", "note"]), ("two", ["ok", "error"])]
    assert begun.kept()["done"] == ["one"]
    begun.answer("2")
    assert looked() == [("one", ["error", "note"])]
    begun.answer("1 2")
    is_new = True
    assert looked() == [("one", ["ok", "ok"]), ("two", ["ok", "ok"])]
    is_new = False
    assert looked() == [("one", ["ok", "note"]), ("two", ["ok", "error"])]


def test_looking_changes_nothing_of_the_learners(begun: World) -> None:
    before = files(begun.work)
    check(begun.request(at=begun.work))
    hint(begun.request(at=begun.work))
    assert files(begun.work) == before


def test_the_exercise_is_known_from_where_one_stands(begun: World) -> None:
    begin(begun.request(exercise="ex02", course=True))
    inside = begun.work / "tools"
    for request, name in [
        (begun.request(at=inside), "ex01-count"),
        (begun.request(), "ex02-count"),  # the last one
        (begun.request(at=inside, exercise="ex02"), "ex02-count"),
        (begun.request(exercise="ex01", course=True), "ex01-count"),
        (begun.request(at=begun.course / "ex02-count"), "ex02-count"),  # in the course itself
    ]:
        place = locate(request)
        assert (place.exercise.name, Path(place.folder).name) == (name, name)


def test_a_folder_may_be_moved(begun: World) -> None:
    begun.answer("1")
    check(begun.request(at=begun.work))
    moved = begun.top / "elsewhere"
    begun.work.rename(moved)
    place = locate(begun.request(at=moved))
    assert (place.folder, place.progress.done) == (str(moved), ("one",))
    check(begun.request(at=moved))
    assert begun.kept()["folder"] == str(moved)


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        ({}, "no exercise was begun", "begin: sealift learn start ex01"),
        ({"exercise": "ex01"}, "ex01 was not begun", "begin: sealift learn start ex01"),
        ({"exercise": "ex01-coun"}, "there is no exercise `ex01-coun`", "did you mean `ex01-count`?"),
        ({"exercise": "zzz"}, "there is no exercise `zzz`", "see which there are: sealift learn list"),
    ],
)
def test_nothing_to_go_on_with(world: World, words: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        locate(world.request(course=True, **words))
    assert caught.value.message == message
    assert caught.value.hints[0].startswith(hint)


def test_a_folder_that_is_gone(begun: World) -> None:
    begun.work.rename(begun.top / "away")
    with pytest.raises(UsageError) as caught:
        check(begun.request())
    assert caught.value.message == f"`{begun.work}` is gone"
    assert caught.value.hints == (f"begin: sealift learn start ex01 --course {begun.course}",)
    begin(begun.request(exercise="ex01", course=True))
    assert begun.work.is_dir()


def test_a_step_that_there_is_not(begun: World) -> None:
    for call in (check, hint, solution):
        with pytest.raises(UsageError, match="ex01 has no step `9`"):
            call(begun.request(at=begun.work, step="9"))


def test_one_hint_more_each_time(begun: World) -> None:
    def told() -> tuple[str, tuple[str, ...], bool, int]:
        one = hint(begun.request(at=begun.work))
        return one.step.id, one.shown, one.new, one.left

    assert told() == ("one", ("a hint of one",), True, 1)
    assert told() == ("one", ("a hint of one", "another"), True, 0)
    assert told() == ("one", ("a hint of one", "another"), False, 0)
    begun.answer("1")
    check(begun.request(at=begun.work))
    assert told() == ("two", ("a hint of two",), True, 0)
    assert hint(begun.request(at=begun.work, step="one")).shown == ("a hint of one", "another")
    assert begun.kept()["hints"] == {"one": 2, "two": 1}


def test_hints_come_before_the_solution(begun: World) -> None:
    request = begun.request(at=begun.work)
    assert (solution(request).files, solution(request).hints_left) == ((), 2)
    hint(request)
    hint(request)
    assert solution(request).files == ("solution/one/answer.txt", "solution/one/more.txt")
    assert solution(begun.request(at=begun.work, step="two"), sure=True).files == (
        "solution/two/answer.txt",
        "solution/two/more.txt",
    )


def test_a_solution_lies_beside_the_work(begun: World) -> None:
    begun.answer("my own\n")
    before = files(begun.work)
    solved = solution(begun.request(at=begun.work, step="two"), sure=True)
    assert files(begun.work) == {
        **before,
        "solution/two/answer.txt": "1 2\n",
        "solution/two/more.txt": "one\n",
    }
    assert solved.differences == (
        "--- answer.txt\n+++ solution/two/answer.txt\n@@ -1 +1 @@\n-my own\n+1 2\n"
        "--- more.txt\n+++ solution/two/more.txt\n@@ -0,0 +1 @@\n+one\n"
    )
    assert begun.kept()["solutions"] == ["two"]
    # Once more, and from within that folder: the same.
    again = solution(begun.request(at=begun.work / "solution" / "two", step="two"), sure=True)
    assert again.as_json() == solved.as_json()


def test_each_solution_is_right(begun: World) -> None:
    for step in ("one", "two"):
        for name in solution(begun.request(at=begun.work, step=step), sure=True).files:
            (begun.work / Path(name).name).write_text((begun.work / name).read_text())
        assert check(begun.request(at=begun.work, step=step)).right


def test_begun_anew_with_the_old_work_kept(begun: World) -> None:
    begun.answer("1 2")
    check(begun.request(at=begun.work))
    for number in (1, 2):
        anew = reset(begun.request(at=begun.work))
        assert anew.aside == f"{begun.work}.old-{number}"
        begun.answer(f"{number}")
    old = begun.work.with_name("ex01-count.old-1")
    assert (old / "answer.txt").read_text() == "1 2"
    # A shell that still stands there does not bring the learner back to it.
    assert locate(begun.request(at=old)).folder == str(begun.work)
    assert (begun.work.with_name("ex01-count.old-2") / "answer.txt").read_text() == "1"
    assert (begun.kept()["done"], begun.kept()["finished"], begun.kept()["hints"]) == ([], False, {})


def test_a_course_is_not_reset(world: World) -> None:
    before = files(world.course)
    with pytest.raises(UsageError, match="is the course itself"):
        reset(world.request(at=world.course / "ex01-count"))
    assert files(world.course) == before


def test_a_reset_that_fails_leaves_the_work(begun: World) -> None:
    begun.answer("mine")
    (begun.course / "ex01-count" / "pipe").symlink_to("x")
    with pytest.raises(UsageError):
        reset(begun.request(at=begun.work))
    assert (begun.work / "answer.txt").read_text() == "mine"
    assert sorted(path.name for path in begun.work.parent.iterdir()) == ["ex01-count"]


def test_the_overview(begun: World) -> None:
    begun.answer("1")
    check(begun.request(at=begun.work))
    found = overview(begun.request(course=True))
    assert [(row.exercise.short, row.progress.done, row.here) for row in found.rows] == [
        ("ex01", ("one",), True),
        ("ex02", (), False),
    ]
    assert found.as_json()["exercises"][0] == {
        "name": "ex01-count",
        "title": "Count",
        "about": "From one to two.",
        "minutes": 2,
        "folder": str(begun.work),
        "finished": False,
        "current": True,
        "steps": [{"id": "one", "title": "One", "done": True}, {"id": "two", "title": "Two", "done": False}],
    }
    # Where one stands in an exercise of this course, nothing has to be said of it.
    assert overview(begun.request(at=begun.work)) == found


@pytest.mark.parametrize("damage", [b"", b"{", b"\x00" * 100, b'{"schema": 9}'], ids=["empty", "cut", "zeros", "newer"])
def test_a_damaged_record_is_kept_aside(begun: World, damage: bytes) -> None:
    begun.record.write_bytes(damage)
    begun.answer("1")
    assert check(begun.request(at=begun.work)).steps[0].right
    assert begun.record.with_name(f"{FILE}.damaged").read_bytes() == damage
    assert begun.kept()["done"] == ["one"]
    assert begun.said[-1] == f"your progress was damaged, and is in `{begun.record}.damaged` now"


def test_where_nothing_can_be_kept_one_learns_all_the_same(begun: World) -> None:
    state = begun.top / "nowhere"
    state.write_text("a file")
    request = replace(begun.request(at=begun.work), environment={"XDG_STATE_HOME": str(state)})
    assert [one.right for one in check(request).steps] == [False]
    assert f"your progress is not kept: `{state}/sealift/{FILE}`" in begun.said[-1]


def test_a_relative_state_folder_is_ignored(begun: World, tmp_path: Path) -> None:
    environment = {"XDG_STATE_HOME": "state", "HOME": str(tmp_path / "home")}
    check(replace(begun.request(at=begun.work), environment=environment))
    assert (tmp_path / "home" / ".local" / "state" / "sealift" / FILE).exists()


@pytest.mark.slow
def test_processes_do_not_lose_what_others_wrote(begun: World) -> None:
    """Each of several processes counts a step's hints on; none overwrites another's."""
    program = (
        "import sys; from sealift.flows.lessons.record import update; from sealift.core.event import ignore\n"
        "from sealift.learn.progress import Progress\n"
        "for number in range(20):\n"
        "    update({'XDG_STATE_HOME': sys.argv[1]}, lambda known: known.changed(\n"
        "        f'{sys.argv[2]}/{number}', Progress(folder='/x')), ignore)\n"
    )
    state = str(begun.top / "state")
    running = [subprocess.Popen([sys.executable, "-c", program, state, name]) for name in "abc"]
    assert [process.wait() for process in running] == [0, 0, 0]
    known = json.loads(begun.record.read_text())["exercises"]
    assert set(known) == {"counting/ex01-count", *(f"{name}/{number}" for name in "abc" for number in range(20))}
    assert sorted(path.name for path in begun.record.parent.iterdir()) == [FILE]


class Stop(Exception):  # noqa: N818 -- it is no error
    pass


def test_a_look_at_every_save(begun: World) -> None:
    """One look for each change that has come to rest; none where nothing that counts has changed."""
    (begun.work / "solution").mkdir()
    script: list[tuple[str, str]] = [
        ("", ""),
        (".answer.txt.swp", "an editor's"),
        ("solution/answer.txt", "not mine"),
        ("answer.txt", "1"),
        ("answer.txt", "1 "),  # still being saved
        ("", ""),
        ("", ""),
        ("answer.txt", "1 2"),
        ("", ""),
    ]
    waits: list[int] = []

    def wait() -> None:
        if not script:
            raise Stop
        name, text = script.pop(0)
        if name:
            (begun.work / name).write_text(text)
        waits.append(len(script))

    looked = []
    with pytest.raises(Stop):
        for checked in watch(begun.request(at=begun.work), wait):
            looked.append(([one.right for one in checked.steps], len(waits)))
    assert looked == [([False], 0), ([True, False], 6), ([True, True], 9)]


def test_what_is_saved_while_a_check_goes_on_is_not_missed(begun: World) -> None:
    waits = iter(range(4))
    watched = watch(begun.request(at=begun.work), lambda: next(waits))
    assert [one.right for one in next(watched).steps] == [False]
    begun.answer("1")
    assert [one.right for one in next(watched).steps] == [True, False]


def test_what_a_killed_process_left_is_removed(world: World) -> None:
    ended = subprocess.Popen(["true"])
    ended.wait()
    here = world.top / "here"
    for pid in (ended.pid, os.getppid()):
        (here / f"ex01-count.part-{pid}" / "tools").mkdir(parents=True)
    begin(world.request(exercise="ex01", course=True))
    assert sorted(path.name for path in here.iterdir()) == ["ex01-count", f"ex01-count.part-{os.getppid()}"]


def test_a_disk_that_is_full_leaves_no_half_exercise(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(source: str, target: str) -> None:
        raise OSError(28, "No space left on device", target)

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(HostError, match="the disk is full while writing"):
        begin(world.request(exercise="ex01", course=True))
    assert list((world.top / "here").iterdir()) == []


def test_a_disk_that_is_full_does_not_cost_the_work(begun: World, monkeypatch: pytest.MonkeyPatch) -> None:
    begun.answer("mine")
    before = files(begun.work)

    def full(source: str, target: str) -> None:
        raise OSError(28, "No space left on device", target)

    monkeypatch.setattr("shutil.copyfile", full)
    with pytest.raises(HostError, match="the disk is full while writing"):
        reset(begun.request(at=begun.work))
    assert files(begun.work) == before
    assert sorted(path.name for path in begun.work.parent.iterdir()) == ["ex01-count"]
