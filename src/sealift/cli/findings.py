"""Findings for people: what, what was seen, what to do."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator

from sealift.core.finding import Finding

MARKS = {"ok": "✓", "note": "·", "warning": "!", "error": "✗"}


def finding_line(finding: Finding) -> str:
    """On one line, with the remedy below it."""
    text = f"{MARKS[finding.severity]} {_shown(finding.what)}"
    if finding.evidence:
        text += f"  ({_shown(finding.evidence)})"
    return text + "".join(f"\n    {line}" for line in _shown(finding.remedy).splitlines())


def finding_lines(finding: Finding, *, width: int = 0) -> Iterator[str]:
    """In full: a line for each thing that was seen, and the remedy; with `width` in lines that fit a terminal.

    What is to be typed stays on one line, and what is said of it goes below where it does not fit.
    """
    yield from _folded(f"{MARKS[finding.severity]} {_shown(finding.what)}  [{finding.id}]", width, indent=2)
    for number, line in enumerate(_shown(finding.evidence).splitlines()):
        yield from _folded(f"    {'seen:' if number == 0 else '     '} {line}", width, indent=10)
    for number, line in enumerate(_shown(finding.remedy).splitlines()):
        text = f"    {'do:  ' if number == 0 else '     '} {line}"
        typed, apart, more = text.rpartition("   ")
        if width and len(text) > width and apart and typed.strip(" do:"):
            yield typed.rstrip()
            yield f"            {more}"
        else:
            yield text


def _folded(text: str, width: int, *, indent: int) -> Iterator[str]:
    if not width or len(text) <= width:
        yield text
        return
    yield from textwrap.wrap(
        text,
        width,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
        drop_whitespace=True,
    )


def _shown(text: str) -> str:
    return safe(text, keep="\n\t")


def safe(text: str, *, keep: str = "") -> str:
    """Names come from the image: nothing of them may speak to the terminal."""
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)
