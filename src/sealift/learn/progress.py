"""How far a learner is: a value, and its text on disk. The text is read with doubt, for anybody can have changed it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

SCHEMA = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Of one exercise. `folder` is where it is done, `course` where its course lies, empty for Sealift's own.

    `done` are the steps that the last check found right, `finished` that all once were. `hints` counts those that were
    shown, by step; `solutions` are the steps whose solution was shown.
    """

    folder: str = ""
    course: str = ""
    done: tuple[str, ...] = ()
    finished: bool = False
    hints: Mapping[str, int] = field(default_factory=dict)
    solutions: tuple[str, ...] = ()

    def with_hint(self, step: str, count: int) -> Progress:
        return replace(self, hints={**self.hints, step: max(count, self.hints.get(step, 0))})

    def with_solution(self, step: str) -> Progress:
        return replace(self, solutions=tuple(dict.fromkeys((*self.solutions, step))))


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Everything that is known: by `COURSE/EXERCISE`. `current` is the one that was worked on last."""

    exercises: Mapping[str, Progress] = field(default_factory=dict)
    current: str = ""

    def of(self, key: str) -> Progress:
        return self.exercises.get(key, Progress())

    def changed(self, key: str, progress: Progress) -> Record:
        return Record(exercises={**self.exercises, key: progress}, current=key)


def write_record(record: Record) -> bytes:
    """The same bytes for the same record."""
    value = {
        "schema": SCHEMA,
        "current": record.current,
        "exercises": {
            key: {
                "folder": one.folder,
                "course": one.course,
                "done": list(one.done),
                "finished": one.finished,
                "hints": dict(sorted(one.hints.items())),
                "solutions": list(one.solutions),
            }
            for key, one in sorted(record.exercises.items())
        },
    }
    return (json.dumps(value, indent=2, ensure_ascii=False) + "\n").encode("utf-8", "surrogateescape")


def read_record(data: bytes) -> Record:
    """ValueError for what `write_record` did not write."""
    value = json.loads(data.decode("utf-8", "surrogateescape"))
    if not isinstance(value, dict) or value.get("schema") != SCHEMA:
        raise ValueError("no progress of this Sealift")
    try:
        return Record(
            exercises={str(key): _progress(one) for key, one in value["exercises"].items()},
            current=str(value["current"]),
        )
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("something is missing in it") from error


def _progress(value: Mapping[str, Any]) -> Progress:
    return Progress(
        folder=str(value["folder"]),
        course=str(value["course"]),
        done=tuple(map(str, value["done"])),
        finished=bool(value["finished"]),
        hints={str(step): int(count) for step, count in value["hints"].items()},
        solutions=tuple(map(str, value["solutions"])),
    )
