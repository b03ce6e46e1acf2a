"""A course as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A wrong solution: in the solved step, `replace` of `file` becomes `by`, and `run` are typed."""

    file: str
    replace: str
    by: str
    run: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """What learners do wrong: `pattern` is found in what the check saw, and `hint` helps."""

    pattern: str
    hint: str
    example: Example


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that has to be so. `fields` are those of its kind, each of the right type."""

    kind: str
    wants: str
    fields: Mapping[str, Any] = field(default_factory=dict)
    when: str = ""
    mistakes: tuple[Mistake, ...] = ()

    def text(self, name: str) -> str:
        return str(self.fields.get(name, ""))

    def texts(self, name: str) -> tuple[str, ...]:
        return tuple(self.fields.get(name, ()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """`number` counts from 1; `title` and `goal` are the README's."""

    id: str
    number: int
    title: str
    goal: str
    checks: tuple[Check, ...]
    hints: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Exercise:
    """`name` is its folder's; `title` and `about` are the README's. `solution` names files by step."""

    name: str
    title: str
    about: str
    minutes: int
    steps: tuple[Step, ...]

    @property
    def short(self) -> str:
        """What people type: `ex01` of `ex01-build-container`."""
        return self.name.partition("-")[0]

    def step(self, word: str) -> Step | None:
        """The step of that number or id."""
        return next((step for step in self.steps if word in (step.id, str(step.number))), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    name: str
    title: str
    exercises: tuple[Exercise, ...]

    def find(self, word: str) -> Exercise | None:
        """The exercise of that name or short name; `ex1` and `1` are `ex01`, too."""
        return next((one for one in self.exercises if word in (one.name, one.short) or _same(word, one.short)), None)


def _same(word: str, short: str) -> bool:
    number = word.removeprefix("ex")
    return number.isdecimal() and short.removeprefix("ex").isdecimal() and int(number) == int(short.removeprefix("ex"))
