"""An exercise's README as values: its title, its steps, and the fences with what their comments say."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TITLE = re.compile(r"^# (.+)$")
_STEP = re.compile(r"^## (\d+)\. (.+)$")
_OTHER = re.compile(r"^##? ")
_COMMENT = re.compile(r"^<!-- (.+) -->$")
_FENCE = re.compile(r"^(```+)(\w*)$")
_EXIT = re.compile(r"exit (\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fence:
    """A fence of commands, or of what others print. `line` is where it begins.

    `before` says that its commands run before the step is solved, `code` how its last one ends. `reason` is why they
    do not run here, `printer` the command that prints them.
    """

    language: str
    body: str
    line: int
    before: bool = False
    code: int = 0
    reason: str = ""
    printer: str = ""
    unknown: tuple[str, ...] = ()
    """Clauses that mean nothing."""

    @property
    def commands(self) -> tuple[str, ...]:
        lines = (line.partition(" #")[0].strip() for line in self.body.splitlines())
        return tuple(line for line in lines if line and not line.startswith("#"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The text below one heading. `number` is 0 for what is no step."""

    number: int
    title: str
    goal: str
    text: str
    fences: tuple[Fence, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Readme:
    title: str
    about: str
    parts: tuple[Part, ...]
    """In the order of the text; the first is what stands above the first `##`."""

    @property
    def steps(self) -> tuple[Part, ...]:
        return tuple(part for part in self.parts if part.number)


def read_readme(text: str) -> Readme:
    """Read; what is not there is empty."""
    title, number, name, start = "", 0, "", 0
    found: list[tuple[int, str, int, int]] = []
    lines = text.splitlines()
    closing = ""
    for place, line in enumerate(lines):
        if fence := _FENCE.match(line):
            closing = "" if closing == fence[1] else (closing or fence[1])
        if closing or not _OTHER.match(line):
            continue
        if (top := _TITLE.match(line)) and not title:
            title, name = top[1], top[1]
        else:
            found.append((number, name, start, place))
            step = _STEP.match(line)
            number, name = (int(step[1]), step[2]) if step else (0, line.lstrip("# "))
        start = place + 1
    found.append((number, name, start, len(lines)))
    parts = tuple(
        Part(
            number=number,
            title=name,
            goal=_first_paragraph(lines[start:end]),
            text="\n".join(lines[start:end]).strip("\n"),
            fences=tuple(_fences(lines, start, end)),
        )
        for number, name, start, end in found
    )
    return Readme(title=title, about=parts[0].goal, parts=parts)


def _first_paragraph(lines: list[str]) -> str:
    """Plain words on one line."""
    taken: list[str] = []
    for line in lines:
        if line.strip():
            taken.append(line.strip())
        elif taken:
            break
    text = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", " ".join(taken))
    return re.sub(r"\*\*([^*]+)\*\*", r"\1", text)


def _fences(lines: list[str], start: int, end: int) -> list[Fence]:
    found: list[Fence] = []
    place, said = start, ""
    while place < end:
        line = lines[place]
        if comment := _COMMENT.match(line):
            said = comment[1]
        elif opening := _FENCE.match(line):
            last = next((n for n in range(place + 1, end) if lines[n] == opening[1]), end)
            found.append(_fence(opening[2], "\n".join(lines[place + 1 : last]), place + 1, said))
            place, said = last, ""
        elif line.strip():
            said = ""
        place += 1
    return found


def _fence(language: str, body: str, line: int, said: str) -> Fence:
    before, code, reason, printer, unknown = False, 0, "", "", []
    for clause in filter(None, (one.strip() for one in said.split(";"))):
        word, _, rest = clause.partition(": ")
        if clause == "before":
            before = True
        elif exits := _EXIT.fullmatch(clause):
            code = int(exits[1])
        elif word == "not run":
            reason = rest
        elif word == "printed by":
            printer = rest
        else:
            unknown.append(clause)
    return Fence(
        language=language,
        body=body,
        line=line,
        before=before,
        code=code,
        reason=reason,
        printer=printer,
        unknown=tuple(unknown),
    )
