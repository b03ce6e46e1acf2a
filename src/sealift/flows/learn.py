"""The story of `learn`: a course is read, an exercise copied, what the learner made is looked at, and hints are given.

Nothing of the learner's is ever written over: an exercise is copied into a new folder, a solution goes beside the work,
and what is begun anew is kept under another name.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from difflib import get_close_matches
from typing import Any

from sealift.core.event import Events, ignore
from sealift.core.finding import Finding
from sealift.errors import UsageError
from sealift.flows.lessons import record
from sealift.flows.lessons.courses import (
    OpenCourse,
    marked,
    open_course,
    rewrite_exercise,
    write_exercise,
    write_solution,
)
from sealift.learn.course import Exercise, Step
from sealift.learn.progress import Progress
from sealift.learn.reading import SOLUTION_FOLDER

SHOWN_FOLDER = "solution"
"""In the learner's folder: the solutions that were asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LearnRequest:
    """`course` is a folder, empty for Sealift's own, or for that of the exercise in whose folder `cwd` lies.

    `exercise` and `step` are as typed, empty for those that are next.
    """

    environment: Mapping[str, str]
    cwd: str
    course: str = ""
    exercise: str = ""
    step: str = ""
    engine: str = "auto"
    today: str = ""
    events: Events = ignore


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An exercise that was begun: `folder` is where."""

    opened: OpenCourse
    exercise: Exercise
    folder: str
    progress: Progress

    @property
    def key(self) -> str:
        return self.opened.key(self.exercise)

    def current(self) -> Step | None:
        """The first step that the last check did not find right; None when there is none."""
        return next((step for step in self.exercise.steps if step.id not in self.progress.done), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    exercise: Exercise
    progress: Progress
    here: bool = False
    """Is it the one to go on with?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    opened: OpenCourse
    rows: tuple[Row, ...]

    @property
    def here(self) -> Row | None:
        return next((row for row in self.rows if row.here), None)

    def as_json(self) -> dict[str, Any]:
        return {
            "course": self.opened.course.name,
            "title": self.opened.course.title,
            "exercises": [
                {
                    "name": row.exercise.name,
                    "title": row.exercise.title,
                    "about": row.exercise.about,
                    "minutes": row.exercise.minutes,
                    "folder": row.progress.folder,
                    "finished": row.progress.finished,
                    "current": row.here,
                    "steps": [
                        {"id": step.id, "title": step.title, "done": step.id in row.progress.done}
                        for step in row.exercise.steps
                    ],
                }
                for row in self.rows
            ],
        }


def overview(request: LearnRequest) -> Overview:
    """The exercises of the course with the learner's progress."""
    found = marked(request.cwd)
    opened = open_course(request.course or (found[1] if found else ""))
    known = record.load(request.environment, request.events)
    current = _here(opened, found) or known.current
    rows = [Row(exercise=one, progress=known.of(opened.key(one))) for one in opened.course.exercises]
    rows = [replace(row, here=bool(row.progress.folder) and opened.key(row.exercise) == current) for row in rows]
    return Overview(opened=opened, rows=tuple(rows))


def _here(opened: OpenCourse, found: tuple[str, str, str] | None) -> str:
    """The exercise in whose folder one stands, where it is of this course."""
    exercise = opened.course.find(found[2]) if found and found[1] == opened.origin else None
    return opened.key(exercise) if exercise is not None else ""


def begin(request: LearnRequest, folder: str = "") -> Place:
    """Copy the exercise to `folder`, or one of its name. UsageError where it was begun, or something is there."""
    opened = open_course(request.course)
    exercise = _find(opened, request.exercise) if request.exercise else opened.course.exercises[0]
    target = os.path.join(request.cwd, folder or exercise.name)
    before = record.load(request.environment, request.events).of(opened.key(exercise))
    if before.folder and os.path.isdir(before.folder) and not folder:
        raise UsageError(
            f"{exercise.short} was begun in `{before.folder}`",
            hints=(
                f"go on: cd {shlex.quote(before.folder)}; sealift learn check",
                f"begin anew, with your work kept aside: sealift learn reset {exercise.short}",
            ),
        )
    write_exercise(opened, exercise, target)
    progress = Progress(folder=target, course=opened.origin, finished=before.finished)
    _keep(request, opened.key(exercise), lambda _: progress)
    return Place(opened=opened, exercise=exercise, folder=target, progress=progress)


def locate(request: LearnRequest) -> Place:
    """The exercise that is meant, where it is done. UsageError where there is none."""
    found = marked(request.cwd)
    known = record.load(request.environment, request.events)
    if found is not None and (not request.course or os.path.abspath(request.course) == found[1]):
        opened = open_course(found[1])
        exercise = opened.course.find(found[2])
        wanted = _find(opened, request.exercise) if request.exercise else exercise
        if exercise is not None and wanted == exercise:
            progress = replace(known.of(opened.key(exercise)), folder=found[0], course=opened.origin)
            return Place(opened=opened, exercise=exercise, folder=found[0], progress=progress)
    else:
        last = known.of(known.current)
        opened = open_course(request.course or (last.course if not request.exercise else ""))
        wanted = _find(opened, request.exercise) if request.exercise else None
    if wanted is None:
        wanted = next((one for one in opened.course.exercises if opened.key(one) == known.current), None)
    if wanted is None:
        first = opened.course.exercises[0]
        raise UsageError("no exercise was begun", hints=(f"begin: {start_line(first, opened)}",))
    progress = known.of(opened.key(wanted))
    if not os.path.isdir(progress.folder):
        why = f"`{progress.folder}` is gone" if progress.folder else f"{wanted.short} was not begun"
        raise UsageError(why, hints=(f"begin: {start_line(wanted, opened)}",))
    return Place(opened=opened, exercise=wanted, folder=progress.folder, progress=progress)


def _find(opened: OpenCourse, word: str) -> Exercise:
    exercise = opened.course.find(word)
    if exercise is None:
        names = [name for one in opened.course.exercises for name in (one.short, one.name)]
        close = get_close_matches(word, names, n=1)
        hint = f"did you mean `{close[0]}`?" if close else "see which there are: sealift learn list"
        raise UsageError(f"there is no exercise `{word}`", hints=(hint,))
    return exercise


def _step(place: Place, word: str) -> Step:
    step = place.exercise.step(word)
    if step is None:
        ids = ", ".join(one.id for one in place.exercise.steps)
        raise UsageError(f"{place.exercise.short} has no step `{word}`", hints=(f"steps: {ids}; or their numbers",))
    return step


def start_line(exercise: Exercise, opened: OpenCourse) -> str:
    """What to type to begin it."""
    elsewhere = ("--course", opened.origin) if opened.origin else ()
    return shlex.join(("sealift", "learn", "start", exercise.short, *elsewhere))


@dataclass(frozen=True, slots=True, kw_only=True)
class LookedAt:
    """A step that was looked at."""

    step: Step
    findings: tuple[Finding, ...]

    @property
    def right(self) -> bool:
        return not any(finding.severity == "error" for finding in self.findings)

    @property
    def left_out(self) -> tuple[Finding, ...]:
        """What this host has not the means for."""
        from sealift.flows.lessons.looking import LATER

        return tuple(one for one in self.findings if one.severity == "note" and not one.what.startswith(LATER))


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The steps that were looked at, in order: all up to the first that is not right, or the one that was named."""

    place: Place
    steps: tuple[LookedAt, ...]

    @property
    def right(self) -> bool:
        return all(one.right for one in self.steps)

    @property
    def finished(self) -> bool:
        return self.right and len(self.steps) == len(self.place.exercise.steps)

    def as_json(self) -> dict[str, Any]:
        return {
            "exercise": self.place.exercise.name,
            "folder": self.place.folder,
            "finished": self.finished,
            "steps": [
                {
                    "id": one.step.id,
                    "number": one.step.number,
                    "title": one.step.title,
                    "right": one.right,
                    "findings": [asdict(finding) for finding in one.findings],
                }
                for one in self.steps
            ],
        }


def check(request: LearnRequest) -> Checked:
    """Look at what the learner made, and keep how far that is. Only the record is written."""
    place = locate(request)
    return _checked(request, place)


def _checked(request: LearnRequest, place: Place) -> Checked:
    from sealift.flows.lessons.desk import Desk
    from sealift.flows.lessons.host import conditions
    from sealift.flows.lessons.looking import look_at

    desk = Desk(
        folder=place.folder,
        environment=request.environment,
        beside=lambda name: place.opened.read(place.exercise, name),
        engine=request.engine,
        today=request.today,
    )
    here = conditions(request.environment)
    steps = (_step(place, request.step),) if request.step else place.exercise.steps
    looked: list[LookedAt] = []
    try:
        for step in steps:
            one = LookedAt(step=step, findings=look_at(step, desk, here=here))
            looked.append(one if step is steps[-1] or step.id not in place.progress.done else _forgiven(one))
            if not looked[-1].right:
                break
    finally:
        desk.close()
    right = {one.step.id: one.right for one in looked}
    known = place.progress.done if request.step else ()
    done = tuple(step.id for step in place.exercise.steps if right.get(step.id, step.id in known))

    def change(progress: Progress) -> Progress:
        finished = progress.finished or Checked(place=place, steps=tuple(looked)).finished
        return replace(_at(progress, place), done=done, finished=finished)

    return Checked(place=replace(place, progress=_keep(request, place.key, change)), steps=tuple(looked))


def _forgiven(looked: LookedAt) -> LookedAt:
    """A step that was right before, and has nothing against it but that the image is older than the recipe.

    Who is at a later step changes the recipe for that one: it is there that the next build is missed.
    """
    if any(one.severity == "error" and one.id != "built" for one in looked.findings):
        return looked
    return replace(looked, findings=tuple(map(_postponed, looked.findings)))


def _postponed(finding: Finding) -> Finding:
    from sealift.flows.lessons.looking import LATER

    if finding.severity != "error":
        return finding
    return Finding(id=finding.id, severity="note", what=LATER + finding.what)


def watch(request: LearnRequest, wait: Callable[[], object]) -> Iterator[Checked]:
    """A check now, and one whenever files of the folder changed and are still again; `wait` passes the time between.

    Ends with what `wait` raises.
    """
    place = locate(request)
    # Looked at before the check, for what is saved while it goes on is a change, too.
    before = _marks(place.folder)
    yield _checked(request, place)
    while True:
        wait()
        now = _marks(place.folder)
        if now == before:
            continue
        while now != (now := _wait_and_look(place.folder, wait)):
            pass
        before = now
        yield _checked(request, place)


def _wait_and_look(folder: str, wait: Callable[[], object]) -> tuple[object, ...]:
    wait()
    return _marks(folder)


def _marks(folder: str) -> tuple[object, ...]:
    """What changes when a file is saved, made or taken away. Polled, for not every file system tells of changes."""
    found: list[object] = []
    for top, folders, names in os.walk(folder):
        folders[:] = sorted(one for one in folders if not one.startswith(".") and one != SHOWN_FOLDER)
        for name in sorted(names):
            # Editors keep what is not saved yet beside the file.
            if name.startswith((".", "#")) or name.endswith("~"):
                continue
            try:
                state = os.stat(os.path.join(top, name))
            except OSError:
                continue
            found.append((top, name, state.st_mtime_ns, state.st_size, state.st_ino))
    return tuple(found)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hinted:
    """The hints of a step that were shown so far, the newest last; `new` says whether that is one."""

    place: Place
    step: Step
    shown: tuple[str, ...]
    new: bool

    @property
    def left(self) -> int:
        return len(self.step.hints) - len(self.shown)

    def as_json(self) -> dict[str, Any]:
        return {
            "exercise": self.place.exercise.name,
            "step": self.step.id,
            "hints": list(self.shown),
            "new": self.new,
            "left": self.left,
        }


def hint(request: LearnRequest) -> Hinted:
    """One more hint of the step, or of the one that is next."""
    place = locate(request)
    step = _meant(place, request.step)
    count = place.progress.hints.get(step.id, 0)
    number = min(count + 1, len(step.hints))
    _keep(request, place.key, lambda one: _at(one, place).with_hint(step.id, number))
    return Hinted(place=place, step=step, shown=step.hints[:number], new=number > count)


@dataclass(frozen=True, slots=True, kw_only=True)
class Solved:
    """A step's solution: `files` are where they were written, beside the work; `differences` is what is other in them.

    Empty `files` say that it was not shown, for `hints_left` hints come first.
    """

    place: Place
    step: Step
    files: tuple[str, ...] = ()
    differences: str = ""
    hints_left: int = 0

    def as_json(self) -> dict[str, Any]:
        return {
            "exercise": self.place.exercise.name,
            "step": self.step.id,
            "files": list(self.files),
            "differences": self.differences,
            "hints_left": self.hints_left,
        }


def solution(request: LearnRequest, *, sure: bool = False) -> Solved:
    """Write a step's solution beside the learner's work, in a folder of its own, and tell what is other there.

    While there are hints that were not shown, only when `sure`.
    """
    place = locate(request)
    step = _meant(place, request.step)
    left = len(step.hints) - place.progress.hints.get(step.id, 0)
    if left > 0 and not sure:
        return Solved(place=place, step=step, hints_left=left)
    files, differences = list[str](), list[str]()
    for name, source in solved_files(place, step).items():
        target = os.path.join(place.folder, SHOWN_FOLDER, step.id, name)
        write_solution(place.opened, source, target)
        files.append(os.path.relpath(target, place.folder))
        differences += _difference(place.folder, name, files[-1])
    _keep(request, place.key, lambda one: _at(one, place).with_solution(step.id))
    return Solved(place=place, step=step, files=tuple(files), differences="".join(differences))


def solved_files(place: Place, step: Step) -> dict[str, str]:
    """The files of the solved step, and where each lies in the course's folder: those of earlier steps lie below."""
    found: dict[str, str] = {}
    for one in place.exercise.steps[: step.number]:
        for name in place.opened.solution(place.exercise, one.id):
            found[name] = os.path.join(place.exercise.name, SOLUTION_FOLDER, one.id, name)
    return found


def _difference(folder: str, name: str, solved: str) -> Iterator[str]:
    import difflib

    for line in difflib.unified_diff(_lines(folder, name), _lines(folder, solved), fromfile=name, tofile=solved):
        yield line if line.endswith("\n") else f"{line}\n\\ no newline at the end\n"


def _lines(folder: str, name: str) -> list[str]:
    """Of a learner's file; none where it is not there."""
    try:
        with open(os.path.join(folder, name), encoding="utf-8", errors="replace") as file:
            return file.read().splitlines(keepends=True)
    except OSError:
        return []


@dataclass(frozen=True, slots=True, kw_only=True)
class Anew:
    """`aside` is where the old work is now."""

    place: Place
    aside: str

    def as_json(self) -> dict[str, Any]:
        return {"exercise": self.place.exercise.name, "folder": self.place.folder, "aside": self.aside}


def reset(request: LearnRequest) -> Anew:
    """Begin the exercise anew in the same folder, the old work kept beside it."""
    place = locate(request)
    if os.path.realpath(place.folder) == os.path.realpath(os.path.join(place.opened.folder, place.exercise.name)):
        raise UsageError(
            f"`{place.folder}` is the course itself, not a copy of yours", hints=("begin anew there: git stash",)
        )
    aside = rewrite_exercise(place.opened, place.exercise, place.folder)
    progress = Progress(folder=place.folder, course=place.opened.origin)
    _keep(request, place.key, lambda _: progress)
    return Anew(place=replace(place, progress=progress), aside=aside)


def _meant(place: Place, word: str) -> Step:
    """The step that is named, else the next one, else the last."""
    return _step(place, word) if word else (place.current() or place.exercise.steps[-1])


def _at(progress: Progress, place: Place) -> Progress:
    return replace(progress, folder=place.folder, course=place.opened.origin)


def _keep(request: LearnRequest, key: str, change: Callable[[Progress], Progress]) -> Progress:
    kept = record.update(request.environment, lambda known: known.changed(key, change(known.of(key))), request.events)
    return kept.of(key)
