"""How a fault looks on the terminal: what, where with the line marked, and what to type next."""

from __future__ import annotations

import os
import sys

from sealift.errors import DefinitionError, SealiftError, Span


def show_fault(error: SealiftError) -> None:
    faults = (error, *error.others) if isinstance(error, DefinitionError) else (error,)
    print("\n\n".join(render_fault(fault, colour=use_colour()) for fault in faults), file=sys.stderr)


def use_colour() -> bool:
    """Colour only for people: a terminal, and NO_COLOR unset (no-color.org)."""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"  # noqa: TID251 -- how to draw is the terminal's own question


def render_fault(error: SealiftError, *, colour: bool = False) -> str:
    """The text of one fault; the same words with and without colour."""
    red, blue, off = ("\033[1;31m", "\033[1;34m", "\033[0m") if colour else ("", "", "")
    lines = [f"{red}error:{off} {error.message}"]
    if error.where is not None:
        lines += _marked(error.where, blue, off)
    lines += [f"{blue}hint:{off} {hint}" for hint in error.hints]
    return "\n".join(lines)


def _marked(span: Span, blue: str, off: str) -> list[str]:
    number = str(span.line)
    gutter = " " * len(number)
    before = "".join("\t" if c == "\t" else " " for c in span.text[: span.column - 1])
    return [
        f"{gutter}{blue}-->{off} {span.file}:{span.line}:{span.column}",
        f"{blue}{number} |{off} {span.text}",
        f"{blue}{gutter} |{off} {before}{'^' * max(1, span.length)}",
    ]
