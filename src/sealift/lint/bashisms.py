"""What bash knows and the plain shell of Debian, Ubuntu (dash) and Alpine (ash) does not."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sealift.shell.values import (
    Arithmetic,
    Command,
    For,
    Function,
    Literal,
    Parameter,
    Script,
    Simple,
    Substitution,
    Test,
    Word,
)
from sealift.shell.walk import commands, words

Bashism = tuple[int, int, str]
"""Start, end, and what it is, in a person's words."""

_BUILTINS = {
    "source": "`source`, which is `.` elsewhere",
    "pushd": "`pushd`",
    "popd": "`popd`",
    "shopt": "`shopt`",
    "declare": "`declare`",
    "typeset": "`typeset`",
    "let": "`let`",
    "mapfile": "`mapfile`",
    "readarray": "`readarray`",
}
_OPERATORS = frozenset(("//", "/", "/#", "/%", "^", "^^", ",", ",,", ":", "@"))
_BRACES = re.compile(r"\{[^{}\s,]*,[^{}\s]*\}|\{-?\w+\.\.-?\w+\}")
_KNOWN_TO_ASH = re.compile(
    r"`\[\[|`source`|`let`|\$\{…[/:]|`==`|`&>`|pushd|popd|`function`|echo -e|pipefail|`\$'…'`|`\+=`|`shopt`"
)


def bashisms(script: Script, *, ash: bool = False) -> Iterator[Bashism]:
    """In the order of the script. With `ash`, only what busybox does not know either."""
    found = [one for command in commands(script) for one in _of(command)]
    for one in sorted(found):
        if not (ash and _KNOWN_TO_ASH.search(one[2])):
            yield one


def _of(command: Command) -> Iterator[Bashism]:
    match command:
        case Test():
            yield command.start, command.end, "`[[ … ]]`"
        case Arithmetic():
            yield command.start, command.end, "`(( … ))`"
        case For(sums=sums) if sums:
            yield command.start, command.start + 3, "`for (( … ))`"
        case For(word="select"):
            yield command.start, command.start + 6, "`select`"
        case Function(keyword=True):
            yield command.start, command.start + 8, "`function`"
        case Simple():
            yield from _simple(command)
    if not isinstance(command, Function):
        for redirect in command.redirects:
            if redirect.operator in ("&>", "&>>", "<<<"):
                yield redirect.start, redirect.end, f"`{redirect.operator}`"
            elif redirect.operator == ">&" and not re.fullmatch(r"[0-9]+|-|[0-9]+-", redirect.target.bare or "0"):
                yield redirect.start, redirect.end, "`>&` with a file"
    for word in words(command):
        yield from _word(word)


def _simple(command: Simple) -> Iterator[Bashism]:
    for one in command.assignments:
        if one.array is not None or one.index:
            yield one.start, one.end, "an array"
        elif one.operator == "+=":
            yield one.start, one.end, "`+=`"
    texts = [word.literal or "" for word in command.words]
    if not texts:
        return
    name, first = texts[0], command.words[0]
    if name in _BUILTINS:
        yield first.start, command.end, _BUILTINS[name]
    elif name in ("[", "test") and "==" in texts:
        yield first.start, command.end, "`==` in `[ … ]`, which is `=` elsewhere"
    elif name == "set" and "pipefail" in texts:
        yield first.start, command.end, "`set -o pipefail`"
    elif name == "echo" and re.fullmatch(r"-[neE]*e[neE]*", texts[1] if len(texts) > 1 else ""):
        yield first.start, command.words[1].end, "`echo -e`, which is `printf` elsewhere"


def _word(word: Word) -> Iterator[Bashism]:
    for part in word.parts:
        match part:
            case Substitution(opening=opening) if opening in ("<(", ">("):
                yield part.start, part.end, f"`{opening}…)`"
            case Parameter(operator=operator, name=name) if "[" in name or operator[:1] == "!":
                yield part.start, part.end, "an array" if "[" in name else "`${!…}`"
            case Parameter(operator=operator) if operator in _OPERATORS:
                yield part.start, part.end, f"`${{…{operator[0]}…}}`"
            case Literal(quote="") if _BRACES.search(part.text):
                yield part.start, part.end, "`{a,b}`, which stays as it is elsewhere"
        if isinstance(part, Parameter) and part.argument is not None:
            yield from _word(part.argument)
