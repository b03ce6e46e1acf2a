"""How a fault looks on the terminal: what, where with the line marked, and what to type next."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import TextIO

from sealift.errors import DefinitionError, SealiftError, Span

MOST = 20
"""Findings of one file that are shown to people: a file that is none has one for each of its lines."""


def show_fault(error: SealiftError) -> None:
    faults = (error, *error.others) if isinstance(error, DefinitionError) else (error,)
    show_findings([render_fault(fault, colour=use_colour()) for fault in faults], file=_file_of(error))


def show_findings(texts: Sequence[str], *, file: str) -> None:
    """Print them, or the first of very many."""
    shown = list(texts[:MOST])
    if len(texts) > MOST:
        shown.append(f"… and {len(texts) - MOST} more\nhint: see them all: sealift parse --json {file}")
    print("\n\n".join(shown), file=sys.stderr)


def _file_of(error: SealiftError) -> str:
    return error.where.file if error.where is not None else "FILE"


def use_colour(stream: TextIO | None = None) -> bool:
    """Colour only for people: a terminal (stderr, where none is named), and NO_COLOR unset (no-color.org)."""
    return (stream or sys.stderr).isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"  # noqa: TID251 -- how to draw is the terminal's own question


def render_fault(error: SealiftError, *, colour: bool = False) -> str:
    """The text of one fault; the same words with and without colour."""
    return render_finding("error", error.message, error.where, error.hints, colour=colour)


def render_finding(word: str, message: str, where: Span | None, hints: tuple[str, ...], *, colour: bool = False) -> str:
    """The text of a finding; `word` says how grave it is, perhaps with its rule in brackets."""
    colours = {"warning": "\033[1;33m", "note": "\033[1;36m"}
    strong = colours.get(word.partition("[")[0], "\033[1;31m")
    red, blue, off = (strong, "\033[1;34m", "\033[0m") if colour else ("", "", "")
    lines = [f"{red}{word}:{off} {message}"]
    if where is not None:
        lines += _marked(where, blue, off)
    lines += [f"{blue}hint:{off} {hint}" for hint in hints]
    return "\n".join(lines)


def render_in_a_line(word: str, message: str, where: Span, *, colour: bool = False) -> str:
    """The same in one line, as compilers write it, so that editors find the place."""
    cyan, blue, off = ("\033[1;36m", "\033[1;34m", "\033[0m") if colour else ("", "", "")
    return f"{blue}{where.file}:{where.line}:{where.column}:{off} {cyan}{word}:{off} {message}"


_WIDEST = 120
"""Characters of a line that are shown; of a longer one the part around the fault."""


def _marked(span: Span, blue: str, off: str) -> list[str]:
    number = str(span.line)
    gutter = " " * len(number)
    text, start = span.text, span.column - 1
    length = max(1, min(span.length, _WIDEST))
    if len(text) > _WIDEST:
        first = max(0, min(start - (_WIDEST - length) // 2, len(text) - _WIDEST))
        text = ("…" if first else "") + text[first : first + _WIDEST] + ("…" if first + _WIDEST < len(text) else "")
        start += bool(first) - first
    before = "".join("\t" if c == "\t" else " " * _columns(c) for c in text[:start])
    marks = sum(map(_columns, text[start : start + length]))
    return [
        f"{gutter}{blue}-->{off} {span.file}:{span.line}:{span.column}",
        f"{blue}{number} |{off} {text}",
        f"{blue}{gutter} |{off} {before}{'^' * max(1, marks)}",
    ]


def _columns(character: str) -> int:
    """How many columns of a terminal a character takes."""
    if character < "\u0300":
        return 1
    import unicodedata

    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1
