"""Text to tokens: where stages, the header and the sections begin. Nothing is judged here.

file    = [ text ] { stage }           a stage begins at each `Bootstrap:` in column 1, wherever that is
stage   = [ head ] { heading body }
heading = a line whose first word begins with `%`, again wherever that is
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from sealift.deffile.characters import BLANKS, encode, trim
from sealift.deffile.source import Source

TOKEN_LIMIT = 65535
"""Bytes that a head or a section may have together with the next heading: the reach of Apptainer's scanner."""

# U+017F, the long s, folds to `s`, and Go's regular expressions know it.
_STAGE = re.compile("(?mi)^boot[s\u017f]trap:")
_HEADING = re.compile(f"(?m)^[{BLANKS.replace(chr(10), '')}]*%")


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """`[start:end]` of a stage's text: the head, or a heading with its body, which begins at `body`."""

    start: int
    end: int
    body: int
    is_section: bool
    is_first: bool
    """The first token of a stage is trimmed as a whole before it is read."""
    too_long: bool


def split_stages(source: Source) -> Iterator[Source]:
    """The text above the first `Bootstrap:`, if any, then one part a stage; all of them together are the text."""
    starts = [match.start() for match in _STAGE.finditer(source.text)]
    if not starts or starts[0] > 0:
        starts.insert(0, 0)
    for start, end in zip(starts, [*starts[1:], len(source.text)], strict=True):
        if end > start or len(starts) == 1:
            yield source.part(start, end)


def split_tokens(text: str) -> tuple[Token, ...]:
    """The tokens of one stage; all of them together are its text. An empty text has none."""
    headings = [match.start() for match in _HEADING.finditer(text)]
    starts = headings if headings[:1] == [0] else [0, *headings]
    tokens = []
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(text)], strict=True)):
        if end == start:
            continue
        is_section = start in headings[:1] or number > 0
        newline = text.find("\n", start, end)
        tokens.append(
            Token(
                start=start,
                end=end,
                body=start if not is_section else newline + 1 if newline >= 0 else end,
                is_section=is_section,
                is_first=number == 0,
                too_long=_byte_length(text, start, end) > TOKEN_LIMIT,
            )
        )
    return tuple(tokens)


def joined(raw: str) -> str:
    """Lines as Apptainer's scanner hands them on: each ends in one newline, one carriage return before it dropped."""
    if not raw:
        return ""
    return (raw if raw.endswith("\n") else raw + "\n").replace("\r\n", "\n")


def lines_of(text: str, start: int, end: int) -> Iterator[tuple[int, str]]:
    """(offset of its first character that is not blank, trimmed line) of every line of `text[start:end]`."""
    while start < end:
        stop = text.find("\n", start, end)
        stop = end if stop < 0 else stop
        line = text[start:stop]
        trimmed = trim(line)
        yield start + (len(line) - len(line.lstrip(BLANKS)) if trimmed else 0), trimmed
        start = stop + 1


def _byte_length(text: str, start: int, end: int) -> int:
    """Bytes of the token and of the next heading without its newline."""
    if end < len(text):
        stop = text.find("\n", end)
        end = stop if stop >= 0 else len(text)
    return len(encode(text[start:end])) if (end - start) * 4 > TOKEN_LIMIT else 0
