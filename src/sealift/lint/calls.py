"""Commands as people mean them: `sudo`, `env` and the like taken away, paths cut, options told from operands."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sealift.lint.values import Edit, Hit, Level
from sealift.shell.follow import UNKNOWN, Field, Run

if TYPE_CHECKING:
    from sealift.lint.recipe import ScriptView

_WRAPPERS = {
    "sudo": frozenset(("-u", "-g", "-p", "-C", "--user", "--group")),
    "exec": frozenset(("-a",)),
    "command": frozenset[str](),
    "builtin": frozenset[str](),
    "nice": frozenset(("-n",)),
    "nohup": frozenset[str](),
    "time": frozenset(("-o", "-f")),
    "env": frozenset(("-u", "-C")),
    "stdbuf": frozenset(("-i", "-o", "-e")),
    "timeout": frozenset(("-k", "-s")),
    "eatmydata": frozenset[str](),
    "xargs": frozenset(("-n", "-I", "-P", "-L", "-d", "-a", "-s", "-E")),
}
OF_SHELL = frozenset(
    (".", ":", "[", "alias", "declare", "eval", "exit", "export", "false", "hash", "let", "local", "printf", "read",
     "readonly", "return", "set", "setenv", "shift", "shopt", "source", "test", "trap", "true", "typeset", "ulimit",
     "umask", "unalias", "unset")
)  # fmt: skip
"""What a shell does itself: no program is started."""
PRINTERS = frozenset(("echo", "printf", "cat", "true", "exit", "return", ":", "more", "less", "help"))
"""What only says something, or ends."""
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """`name` is the program without its folder; `fields` are its arguments, the program itself not among them."""

    script: ScriptView
    run: Run
    name: str
    program: Field
    fields: tuple[Field, ...]
    wrappers: tuple[str, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        return tuple(one.text for one in self.fields)

    def has(self, *options: str) -> bool:
        """Is one of these options given: a long one with or without a value, a short one in a cluster too?"""
        for text in self.texts:
            if text == "--":
                return False
            for option in options:
                if text == option or (option.startswith("--") and text.startswith(option + "=")):
                    return True
                if len(option) == 2 and option[1] in text[1:] and re.fullmatch(r"-[A-Za-z]+", text):
                    return True
        return False

    def value(self, *options: str) -> str | None:
        """The value of the first of these options that is given."""
        texts = self.texts
        for row, text in enumerate(texts):
            for option in options:
                if text == option:
                    return texts[row + 1] if row + 1 < len(texts) else ""
                if option.startswith("--") and text.startswith(option + "="):
                    return text[len(option) + 1 :]
                if len(option) == 2 and text.startswith(option) and len(text) > 2 and text[:2] != "--":
                    return text[2:]
        return None

    def operands(self, with_value: Container[str] = ()) -> tuple[Field, ...]:
        """The arguments that are no options; `with_value` are options whose value is the next argument."""
        found, fields = list[Field](), list(self.fields)
        while fields:
            one = fields.pop(0)
            if one.text == "--":
                return (*found, *fields)
            if one.text.startswith("-") and one.text != "-":
                if one.text in with_value and fields:
                    fields.pop(0)
                continue
            found.append(one)
        return tuple(found)

    def variable(self, name: str) -> str | None:
        """The value of a variable where the call stands, its own assignments included."""
        return self.run.variables.get(name)

    def hit(self, message: str, *hints: str, edits: tuple[Edit, ...] = (), level: Level | None = None) -> Hit:
        """Something to say of the whole command."""
        return self.script.hit(self.run.start, self.run.end, message, *hints, edits=edits, level=level)

    def hit_field(self, one: Field, message: str, *hints: str) -> Hit:
        """Something to say of one argument, where it is written."""
        if self.run.is_inner:
            return self.hit(message, *hints)
        return self.script.hit(one.word.start, one.word.end, message, *hints)

    def insert_behind(self, one: Field, text: str) -> tuple[Edit, ...]:
        """The edit that puts `text` behind an argument; none where the argument is not written there as it is."""
        word = one.word
        if self.run.is_inner or word.literal != one.text or self.script.text[word.start : word.end] != one.text:
            return ()
        return self.script.edit(word.end, word.end, text)

    def line_below(self, text: str) -> tuple[Edit, ...]:
        """The edit that puts a line below the list of commands that the call ends, as far indented as that.

        None where that might not run when the call does, or where the call is a part of something larger.
        """
        script, run = self.script, self.run
        lines = [line for line in script.reading.script.lines if line.start <= run.start and run.end <= line.end]
        if run.is_inner or not run.certain or len(lines) != 1 or script.reading.faults:
            return ()
        line = lines[0]
        simple = all(len(pipe.commands) == 1 for pipe in line.pipelines)
        last = line.pipelines[-1].commands[-1]
        if not simple or last != run.command or line.terminator != "\n" or "||" in line.operators:
            return ()
        newline = script.text.find("\n", line.end)
        between = script.text[line.end : newline].strip()
        begin = script.text.rfind("\n", 0, line.start) + 1
        indent = script.text[begin : line.start]
        if newline < 0 or between[:1] not in ("", "#") or indent.strip() or run.command.redirects:
            return ()
        edits = script.edit(newline, newline, f"\n{indent}{text}")
        # Where lines end in carriage returns too, the new one would need its own.
        return tuple(edit for edit in edits if script.recipe.text[edit.start - 1] != "\r")


def calls_of(script: ScriptView, run: Run) -> Iterator[Call]:
    """The call that a run is, if it is one of a program that is known by name."""
    fields, wrappers, name = list(run.fields), list[str](), ""
    while fields:
        name = fields[0].text.rpartition("/")[2]
        if name not in _WRAPPERS:
            break
        wrappers.append(name)
        fields = _unwrapped(name, fields[1:])
    if not fields or not name or UNKNOWN in name:
        return
    yield Call(
        script=script,
        run=run,
        name=name,
        program=fields[0],
        fields=tuple(fields[1:]),
        wrappers=tuple(wrappers),
    )


def _unwrapped(name: str, fields: Sequence[Field]) -> list[Field]:
    """The command that a wrapper runs."""
    rest = list(fields)
    with_value = _WRAPPERS[name]
    while rest and rest[0].text.startswith("-"):
        option = rest.pop(0).text
        if option in with_value and rest:
            rest.pop(0)
        if option == "--":
            break
    if name in ("env", "sudo"):
        while rest and _ASSIGNMENT.match(rest[0].text):
            rest.pop(0)
    if name == "timeout" and rest:
        rest.pop(0)
    return rest
