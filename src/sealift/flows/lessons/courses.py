"""Courses on disk: Sealift's own and others', read whole; and the learner's copy of an exercise."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from sealift.errors import UsageError
from sealift.learn.course import Course, Exercise
from sealift.learn.reading import (
    COURSE_FILE,
    EXERCISE_FILE,
    README_FILE,
    SOLUTION_FOLDER,
    exercise_names,
    read_course,
)
from sealift.system.files import atomic_file, explain_oserror

OWN = os.path.normpath(os.path.join(os.path.dirname(__file__), "..", "..", "data", "exercises"))
MARKER = ".sealift-learn"
"""In the learner's folder: which exercise of which course it is, wherever it is moved."""
_LIMIT = 1 << 20
"""Bytes of a file of a course that is read whole."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenCourse:
    """`origin` is what names it in the learner's records: empty for Sealift's own, else its folder."""

    course: Course
    folder: str
    origin: str = ""

    def key(self, exercise: Exercise) -> str:
        return f"{self.course.name}/{exercise.name}"

    def read(self, exercise: Exercise, name: str) -> bytes:
        """A file of an exercise; UsageError where there is none."""
        return _read(os.path.join(self.folder, exercise.name, name))

    def files(self, exercise: Exercise) -> tuple[str, ...]:
        """What the learner begins with, by paths from the exercise's folder."""
        hidden = (EXERCISE_FILE, SOLUTION_FOLDER)
        return tuple(_files(os.path.join(self.folder, exercise.name), hidden))

    def solution(self, exercise: Exercise, step: str) -> tuple[str, ...]:
        """The files of a step's solution, by paths from the step's folder."""
        folder = os.path.join(self.folder, exercise.name, SOLUTION_FOLDER, step)
        return tuple(_files(folder, ())) if os.path.isdir(folder) else ()


def open_course(folder: str = "") -> OpenCourse:
    """The course in `folder`, Sealift's own when empty. UsageError with everything that is wrong with it."""
    place = os.path.abspath(folder) if folder else OWN
    file = os.path.join(place, COURSE_FILE)
    if folder and not os.path.isfile(file):
        raise UsageError(f"there is no course in `{folder}`: no {COURSE_FILE}", hints=("Sealift's own: sealift learn",))
    data = _read(file)
    shown = os.path.join(folder, COURSE_FILE) if folder else COURSE_FILE
    exercises = {
        name: (_read(os.path.join(place, name, EXERCISE_FILE)), _read(os.path.join(place, name, README_FILE)))
        for name in exercise_names(data, file=shown)
    }
    return OpenCourse(course=read_course(data, exercises, file=shown), folder=place, origin=place if folder else "")


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(_LIMIT + 1)
    except OSError as error:
        raise UsageError(f"`{path}` cannot be read: {(error.strerror or '').lower()}") from error
    if len(data) > _LIMIT:
        raise UsageError(f"`{path}` has more than {_LIMIT >> 20} MiB")
    return data


def _files(top: str, left_out: tuple[str, ...], below: str = "") -> Iterator[str]:
    """Sorted; what begins with a dot is nobody's. UsageError for a link or a device, which a course has no need of."""
    for name in sorted(os.listdir(os.path.join(top, below))):
        path = os.path.join(below, name)
        if name.startswith(".") or path in left_out or name == "__pycache__":
            continue
        mode = os.lstat(os.path.join(top, path)).st_mode
        if stat.S_ISDIR(mode):
            yield from _files(top, left_out, path)
        elif stat.S_ISREG(mode):
            yield path
        else:
            raise UsageError(f"`{os.path.join(top, path)}` is neither a file nor a folder")


def write_exercise(opened: OpenCourse, exercise: Exercise, folder: str) -> None:
    """Make `folder` with what the learner begins with: whole, or not at all.

    UsageError where something is there, HostError where it cannot be written.
    """
    if os.path.lexists(folder):
        raise UsageError(f"`{folder}` is there already", hints=("name another folder behind the exercise",))
    with _prepared(opened, exercise, folder) as part:
        os.rename(part, folder)


def rewrite_exercise(opened: OpenCourse, exercise: Exercise, folder: str) -> str:
    """Put the exercise as it begins in place of `folder`, which gets another name beside it; that is given back.

    HostError where it cannot be done, and then all is as it was.
    """
    number = 1
    while os.path.lexists(aside := f"{folder}.old-{number}"):
        number += 1
    with _prepared(opened, exercise, folder) as part:
        os.rename(folder, aside)
        os.rename(part, folder)
        # It is no longer where the exercise is done, though a shell may still stand in it.
        with contextlib.suppress(OSError):
            os.unlink(os.path.join(aside, MARKER))
    return aside


@contextlib.contextmanager
def _prepared(opened: OpenCourse, exercise: Exercise, folder: str) -> Iterator[str]:
    """A folder beside `folder` with all that is to be there; gone after the block, unless it was renamed."""
    part = f"{folder}.part-{os.getpid()}"
    try:
        _sweep_parts(folder)
        os.makedirs(part)
        source = os.path.join(opened.folder, exercise.name)
        for name in opened.files(exercise):
            target = os.path.join(part, name)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            shutil.copyfile(os.path.join(source, name), target)
            if os.stat(os.path.join(source, name)).st_mode & 0o100:
                os.chmod(target, os.stat(target).st_mode | (os.stat(part).st_mode & 0o111))
        note = {"course": opened.origin, "exercise": exercise.name}
        with open(os.path.join(part, MARKER), "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(json.dumps(note) + "\n")
        yield part
    except OSError as error:
        raise explain_oserror(error, f"writing {folder}") from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _sweep_parts(folder: str) -> None:
    """Remove what processes of this host left that were killed while they prepared."""
    above, name = os.path.split(folder)
    for found in os.listdir(above) if os.path.isdir(above) else ():
        pid = found.removeprefix(f"{name}.part-")
        if pid != found and pid.isdecimal() and not os.path.exists(f"/proc/{pid}"):
            shutil.rmtree(os.path.join(above, found), ignore_errors=True)


def write_solution(opened: OpenCourse, path: str, target: str) -> None:
    """Copy the file of a solution, whole or not at all; one that is there is replaced. HostError where it cannot be."""
    try:
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(os.path.join(opened.folder, path), "rb") as file, atomic_file(target) as out:
            shutil.copyfileobj(file, out)
    except OSError as error:
        raise explain_oserror(error, f"writing {target}") from error


def marked(folder: str) -> tuple[str, str, str] | None:
    """The nearest folder, from `folder` upwards, in which an exercise is done: folder, course and exercise's name."""
    while True:
        found = _marker(folder) or _of_checkout(folder)
        if found is not None:
            return (folder, *found)
        above = os.path.dirname(folder)
        if above == folder:
            return None
        folder = above


def _marker(folder: str) -> tuple[str, str] | None:
    try:
        with open(os.path.join(folder, MARKER), "rb") as file:
            note = json.loads(file.read(_LIMIT).decode("utf-8", "surrogateescape"))
        return str(note["course"]), str(note["exercise"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _of_checkout(folder: str) -> tuple[str, str] | None:
    """An exercise that is done where the course itself lies, as one may who has a copy of the repository."""
    above, name = os.path.split(folder)
    if not name or not os.path.isfile(os.path.join(folder, EXERCISE_FILE)):
        return None
    return (above, name) if os.path.isfile(os.path.join(above, COURSE_FILE)) else None
