"""Reads flags as Apptainer does (Go's pflag), without the command-line library: ranks wait for this.

`--flag value`, `--flag=value`, `-B value`, `-Bvalue`, `-B=value`, `-ec` for two switches, `--switch=false`, and `--`,
behind which there are no more flags.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from sealift.errors import UsageError

Kind = Literal["switch", "text", "number", "texts", "list", "pairs"]
"""`texts` are kept as typed at each use, `list` is split at commas too, `pairs` are K=V, K=V."""
Value = str | bool | int | tuple[str, ...] | dict[str, str]

_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")


class FlagError(UsageError):
    """The words of a command line are wrong, whatever stands on the disk."""


class Flag(NamedTuple):
    """One flag. `field` is what the command makes of it: for `run` and the like, a field of the launch plan."""

    name: str
    kind: Kind
    field: str
    help: str = ""
    """One line for `--help`; empty hides the flag there."""
    short: str = ""
    metavar: str = ""
    verbs: tuple[str, ...] = ()
    """The verbs that have it; none means all that use the table."""


class Use(NamedTuple):
    """A flag as it stood on the command line, its value as typed (`true` for a bare switch)."""

    flag: Flag
    value: str


class Parsed(NamedTuple):
    uses: tuple[Use, ...]
    rest: tuple[str, ...]

    def value(self, field: str) -> Value | None:
        """What all uses of the flags with this field say together; None where there is none."""
        return together([use for use in self.uses if use.flag.field == field])


def parse(
    flags: Iterable[Flag], arguments: Sequence[str], *, verb: str, mixed: bool = False, command: str = "sealift"
) -> Parsed:
    """Split `arguments` into flags and the rest.

    The first word that is no flag ends them, so that everything behind it belongs to a program; with `mixed` they may
    stand behind it too. `--help` ends the reading. FlagError names what is wrong, and what comes close; `command` is
    what the user called.
    """
    longs: dict[str, Flag] = {}
    shorts: dict[str, Flag] = {}
    for flag in flags:
        if not flag.verbs or verb in flag.verbs:
            longs[flag.name] = flag
            if flag.short:
                shorts[flag.short] = flag
    uses: list[Use] = []
    rest: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--" or (not mixed and (word == "-" or not word.startswith("-"))):
            rest += [word] if word != "--" else []
            rest += words
            break
        if word == "-" or not word.startswith("-"):
            rest.append(word)
            continue
        try:
            found = _long(word, longs, words) if word.startswith("--") else _shorts(word, shorts, words)
        except KeyError as error:
            raise _unknown(str(error.args[0]), longs, word, verb=verb, command=command) from None
        uses += found
        if any(use.flag.name == "help" for use in found):
            break
    return Parsed(tuple(uses), tuple(rest))


def together(uses: Sequence[Use]) -> Value | None:
    """The value of several uses of one flag: the last one's, or all of them for kinds that collect."""
    if not uses:
        return None
    flag = uses[-1].flag
    match flag.kind:
        case "switch":
            return _switch(uses[-1])
        case "number":
            return _number(uses[-1])
        case "texts":
            return tuple(use.value for use in uses)
        case "list":
            return tuple(part for use in uses for part in split_list(use.value))
        case "pairs":
            return {key: text for use in uses for key, text in _pairs(use)}
        case _:
            return uses[-1].value


def split_list(text: str) -> list[str]:
    """The parts of a list with commas, in which a part may be quoted (`"a,b",c`)."""
    if '"' in text:
        import csv

        return [part for row in csv.reader([text], strict=True) for part in row]
    return text.split(",") if text else []


def _long(word: str, longs: dict[str, Flag], words: Iterable[str]) -> list[Use]:
    """KeyError with the flag as shown where there is none of that name; so does `_shorts`."""
    name, equals, value = word[2:].partition("=")
    flag = longs.get(name)
    if flag is None:
        raise KeyError(f"--{name}")
    if equals:
        return [_checked(Use(flag, value))]
    if flag.kind == "switch":
        return [Use(flag, "true")]
    return [_checked(Use(flag, _next(flag, words, f"--{name}")))]


def _shorts(word: str, shorts: dict[str, Flag], words: Iterable[str]) -> list[Use]:
    uses: list[Use] = []
    letters = word[1:]
    while letters:
        flag = shorts.get(letters[0])
        if flag is None:
            raise KeyError(f"-{letters[0]}")
        letters = letters[1:]
        if letters.startswith("="):
            return [*uses, _checked(Use(flag, letters[1:]))]
        if flag.kind == "switch":
            uses.append(Use(flag, "true"))
            continue
        return [*uses, _checked(Use(flag, letters or _next(flag, words, f"-{flag.short}")))]
    return uses


def _next(flag: Flag, words: Iterable[str], shown: str) -> str:
    for word in words:
        return word
    raise FlagError(f"`{shown}` wants a value", hints=(f"{shown} {flag.metavar or 'VALUE'}",))


def _checked(use: Use) -> Use:
    """The use itself; FlagError where its value does not fit its kind."""
    match use.flag.kind:
        case "switch":
            _switch(use)
        case "number":
            _number(use)
        case "pairs":
            _pairs(use)
        case _:
            pass
    return use


def _switch(use: Use) -> bool:
    if use.value not in (*_TRUE, *_FALSE):
        raise FlagError(
            f"`--{use.flag.name}` is a switch, and `{use.value}` is neither true nor false",
            hints=(f"--{use.flag.name}",),
        )
    return use.value in _TRUE


def _number(use: Use) -> int:
    try:
        return int(use.value)
    except ValueError as error:
        raise FlagError(
            f"`--{use.flag.name}` wants a whole number, not `{use.value}`", hints=(f"--{use.flag.name} 1",)
        ) from error


def _pairs(use: Use) -> list[tuple[str, str]]:
    # One `=`: the whole text is one pair, commas and all.
    texts = [use.value.strip('"')] if use.value.count("=") == 1 else split_list(use.value)
    pairs = []
    for text in texts or [""]:
        key, equals, value = text.partition("=")
        if not equals:
            raise FlagError(f"`{text}` of `--{use.flag.name}` is not K=V", hints=(f"--{use.flag.name} THREADS=4",))
        pairs.append((key, value))
    return pairs


def _unknown(shown: str, longs: dict[str, Flag], word: str, *, verb: str, command: str) -> FlagError:
    import difflib

    what = command if verb == command else f"{command} {verb}"
    where = f" (in `{word}`)" if len(shown) == 2 and word != shown else ""
    names = [name for name in longs if name != "help"]
    close = difflib.get_close_matches(word.strip("-").partition("=")[0], names, n=1)
    hints = (f"did you mean `--{close[0]}`?",) if close else ()
    return FlagError(f"`{what}` has no flag `{shown}`{where}", hints=(*hints, f"{what} --help"))


def refused(use: Use, command: str) -> FlagError:
    """The error for a flag that is known and not taken; the flag's help says why."""
    return FlagError(f"`{command}` does not take `--{use.flag.name}` here: {use.flag.help}")
