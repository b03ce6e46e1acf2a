"""`%arguments`, `--build-arg`, `--build-arg-file` and the placeholders `{{ name }}` that they fill.

    placeholder = "{{" blanks name blanks "}}"      name of ASCII letters, digits and `_`; blanks may be newlines

A placeholder is filled anywhere in a stage's raw text: header, arguments of sections, bodies, `%arguments` itself.
It is left alone where the text before it on its line (or since the last placeholder that was filled) has a `#` followed
by a character that is not `!`. What fills it may hold placeholders too; these are filled once, from the same tables.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from sealift.deffile.bodies import argument_pair, meaningful_lines
from sealift.deffile.characters import decode, lower, trim, words
from sealift.deffile.findings import Caution, Fault
from sealift.deffile.source import Segment, Source
from sealift.deffile.tokens import lines_of, split_tokens
from sealift.deffile.values import Definition, Stage
from sealift.deffile.vocabulary import nearest
from sealift.errors import UsageError

_PLACEHOLDER = re.compile("\\{\\{[\t\n\f\r ]*([0-9A-Za-z_]+)[\t\n\f\r ]*\\}\\}")
_COMMENT = re.compile("#[^!]")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildArguments:
    """What the user gives; `values` wins over every `%arguments`. `skipped` are lines of the file that are none."""

    values: Mapping[str, str] = field(default_factory=dict)
    skipped: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Placeholder:
    """`{{ name }}` at `[start:end]` of a stage's text; it `stays` where a `#` stands before it."""

    name: str
    text: str
    start: int
    end: int
    stays: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Replaced:
    """A stage's source with its placeholders filled, and the names that filled them."""

    source: Source
    consumed: frozenset[str]
    faults: tuple[Fault, ...]


def read_build_arguments(given: Iterable[str], *, file: bytes | None = None) -> BuildArguments:
    """Read `--build-arg` texts and the content of a `--build-arg-file`; the former win.

    UsageError for a text that is not `key=value`; a line of the file that is none is skipped.
    """
    values: dict[str, str] = {}
    skipped = []
    for line in decode(file).split("\n") if file is not None else ():
        pair = argument_pair(line.removesuffix("\r"))
        if pair:
            values[pair[0]] = pair[1]
        elif trim(line) and not trim(line).startswith("#"):
            skipped.append(trim(line))
    for text in given:
        pair = argument_pair(text)
        if pair is None:
            raise UsageError(
                f"build argument `{text}` is not of the form `key=value`",
                hints=(f"write: --build-arg {text.strip(' =') or 'NAME'}=VALUE",),
            )
        values[pair[0]] = pair[1]
    return BuildArguments(values=values, skipped=tuple(skipped))


def defaults_of(stage: Stage) -> dict[str, str]:
    """The values that the stage's own `%arguments` give."""
    pairs = (argument_pair(line) for line in meaningful_lines(stage.script("arguments").text))
    return dict(pair for pair in pairs if pair)


def has_placeholder(text: str) -> bool:
    return _PLACEHOLDER.search(text) is not None


def find_placeholders(text: str, *, known: Container[str]) -> Iterator[Placeholder]:
    """All placeholders of one stage's text; those of `known` names have a value."""
    comments = _Comments(text)
    at = 0
    for match in _PLACEHOLDER.finditer(text):
        stays = comments.stand_before(match.start(), since=at)
        yield Placeholder(name=match[1], text=match[0], start=match.start(), end=match.end(), stays=stays)
        if not stays and match[1] in known:
            at = match.end()


def replace_placeholders(
    source: Source,
    given: Mapping[str, str],
    defaults: Mapping[str, str],
    *,
    elsewhere: frozenset[str] = frozenset(),
) -> Replaced:
    """Fill the placeholders of one stage; one without a value stays and is a fault.

    `elsewhere` are the names that any stage of the file defines.
    """
    text = source.text
    out: list[str] = []
    segments: list[Segment] = []
    consumed: set[str] = set()
    faults: dict[str, Fault] = {}
    at = length = 0

    def put(piece: str, start: int, end: int, *, is_copy: bool = True) -> None:
        nonlocal length
        if piece:
            segments.append(
                Segment(
                    start=length,
                    end=length + len(piece),
                    origin_start=source.origin(start),
                    origin_end=source.origin(end, end=True),
                    is_copy=is_copy,
                )
            )
            out.append(piece)
            length += len(piece)

    for placeholder in find_placeholders(text, known={*given, *defaults}):
        name = placeholder.name
        if placeholder.stays:
            continue
        value = given.get(name, defaults.get(name))
        if value is None:
            if name not in faults:
                faults[name] = _undefined(source, placeholder, (*given, *defaults), elsewhere)
            continue
        put(text[at : placeholder.start], at, placeholder.start)
        put(_nested(value, given, defaults), placeholder.start, placeholder.end, is_copy=False)
        consumed.add(name)
        at = placeholder.end
    put(text[at:], at, len(text))
    if not segments:
        segments.append(Segment(start=0, end=0, origin_start=source.origin(0), origin_end=source.origin(0)))
    filled = Source(
        file=source.file,
        text="".join(out),
        whole=source.whole,
        segments=tuple(segments),
        line_starts=source.line_starts,
    )
    return Replaced(source=filled, consumed=frozenset(consumed), faults=tuple(faults.values()))


def argument_cautions(stage: Stage, source: Source) -> list[Caution]:
    """Lines of `%arguments` that are skipped, and placeholders that a `#` before them keeps from being filled."""
    found = []
    for token in split_tokens(source.text):
        heading = trim(source.text[token.start : token.body])
        if not token.is_section or lower(heading.lstrip("%").partition(" ")[0]) != "arguments":
            continue
        for at, line in lines_of(source.text, token.body, token.end):
            if line and not line.startswith("#") and argument_pair(line) is None:
                found.append(
                    Caution(
                        id="skipped-argument",
                        message=f"`{line}` is skipped: it is not of the form `key=value`",
                        where=source.span(at, at + len(line)),
                        hints=(f"write: {'NAME' if line.startswith('=') else words(line)[0]}=VALUE",),
                    )
                )
    known = defaults_of(stage)
    for placeholder in find_placeholders(source.text, known=known):
        start = placeholder.start
        before = source.text[source.text.rfind("\n", 0, start) + 1 : start]
        if placeholder.stays and placeholder.name in known and not _looks_like_a_comment(before):
            found.append(
                Caution(
                    id="placeholder-behind-hash",
                    message=f"`{placeholder.text}` is not filled, because a `#` stands before it on the line",
                    where=source.span(start, placeholder.end),
                    hints=("put the placeholder on a line of its own, for instance into a variable, and use that",),
                )
            )
    return found


class _Comments:
    """Answers the skip rule for places in ascending order, in time linear in the text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._found = -1
        self._searched_to = 0

    def stand_before(self, start: int, *, since: int) -> bool:
        """Does a `#` that counts stand before `start` on its line, behind `since`?"""
        newline = self._text.rfind("\n", since, start)
        begin = newline if newline >= 0 else since
        if self._found < begin:
            match = _COMMENT.search(self._text, max(begin, self._searched_to - 1), start)
            self._searched_to = start
            self._found = match.start() if match else -1
        return self._found >= begin


def _looks_like_a_comment(before: str) -> bool:
    """Does a shell take what follows for a comment: a `#` at the start of a word, outside quotes?"""
    quote = ""
    for index, character in enumerate(before):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character == "#" and (index == 0 or before[index - 1] in " \t;&|("):
            return True
    return False


def _nested(value: str, given: Mapping[str, str], defaults: Mapping[str, str]) -> str:
    filled = value
    for match in _PLACEHOLDER.finditer(value):
        inner = given.get(match[1], defaults.get(match[1]))
        if inner is not None:
            filled = filled.replace(match[0], inner)
    return filled


def _undefined(source: Source, placeholder: Placeholder, known: tuple[str, ...], elsewhere: frozenset[str]) -> Fault:
    name = placeholder.name
    close = nearest(name, known)
    hints = []
    if name in elsewhere:
        hints.append(
            f"the `%arguments` of another stage do not count here: repeat {name}=VALUE below this `Bootstrap:`"
        )
    elif close:
        hints.append(f"did you mean `{{{{ {close} }}}}`?")
    if name not in elsewhere:
        hints.append(f"give it: --build-arg {name}=VALUE, or put {name}=VALUE below `%arguments` of this stage")
        hints.append(
            f"if it is meant for another program, write {{{{ ({name}) }}}}, which Jinja, Go and Helm read alike"
        )
    return Fault(
        id="undefined-argument",
        message=f"the build argument `{placeholder.text}` has no value".replace("\n", " "),
        apptainer=f"build var {name} is not defined through either --build-arg (--build-arg-file) "
        "or 'arguments' section",
        where=source.span(placeholder.start, placeholder.end),
        hints=tuple(hints),
    )


def unused_arguments(names: list[str], definition: Definition, sources: tuple[Source, ...]) -> Fault:
    used = sorted({match[1] for source in sources for match in _PLACEHOLDER.finditer(source.text)})
    one = names[0]
    close = nearest(one, used)
    known = ", ".join(f"`{name}`" for name in used)
    listed = ", ".join(f"`{name}`" for name in names)
    hint = f"did you mean `{close}`?" if close else f"it uses {known}" if used else "it has no placeholder `{{ … }}`"
    return Fault(
        id="unused-argument",
        message=f"build argument {listed} is used nowhere in {definition.file}"
        if len(names) == 1
        else f"build arguments {listed} are used nowhere in {definition.file}",
        apptainer=f"unused build args: {', '.join(names)}. Use option --warn-unused-build-args to show a warning "
        "instead of a fatal message",
        hints=(hint, "leave it out, or: --warn-unused-build-args"),
    )
