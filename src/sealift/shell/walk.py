"""Every command and every word of a script, those within words too."""

from __future__ import annotations

from collections.abc import Iterator

from sealift.shell.values import (
    Arithmetic,
    Case,
    Command,
    For,
    Function,
    Group,
    If,
    Loop,
    Parameter,
    Script,
    Simple,
    Substitution,
    Test,
    Word,
)


def commands(script: Script) -> Iterator[Command]:
    """The commands as they are written, outer before inner; those of substitutions come behind the command."""
    for line in script.lines:
        for pipeline in line.pipelines:
            for command in pipeline.commands:
                yield from _within(command)


def _within(command: Command) -> Iterator[Command]:
    yield command
    for inner in _bodies(command):
        yield from commands(inner)
    if isinstance(command, Function):
        yield from _within(command.body)
        return
    for word in words(command):
        yield from _substituted(word)


def _bodies(command: Command) -> Iterator[Script]:
    match command:
        case Group() | For():
            yield command.body
        case If():
            for condition, body in command.branches:
                yield condition
                yield body
            if command.otherwise is not None:
                yield command.otherwise
        case Loop():
            yield command.condition
            yield command.body
        case Case():
            for branch in command.branches:
                yield branch.body


def words(command: Command) -> Iterator[Word]:
    """The words of one command itself: values of assignments, targets and here-documents too."""
    match command:
        case Simple():
            for assignment in command.assignments:
                if assignment.value is not None:
                    yield assignment.value
                yield from assignment.array or ()
            yield from command.words
        case For():
            yield from command.words or ()
        case Case():
            yield command.subject
            for branch in command.branches:
                yield from branch.patterns
        case Test():
            yield from command.words
        case Function() | Arithmetic():
            pass
    for redirect in () if isinstance(command, Function) else command.redirects:
        yield redirect.target
        if redirect.document is not None:
            yield redirect.document.body


def _substituted(word: Word) -> Iterator[Command]:
    for part in word.parts:
        if isinstance(part, Substitution):
            yield from commands(part.script)
        elif isinstance(part, Parameter) and part.argument is not None:
            yield from _substituted(part.argument)
