"""Findings for people: what, what was seen, what to do."""

from __future__ import annotations

from collections.abc import Iterator

from sealift.core.finding import Finding

MARKS = {"ok": "✓", "note": "·", "warning": "!", "error": "✗"}


def finding_line(finding: Finding) -> str:
    """On one line, with the remedy below it."""
    text = f"{MARKS[finding.severity]} {_shown(finding.what)}"
    if finding.evidence:
        text += f"  ({_shown(finding.evidence)})"
    return text + "".join(f"\n    {line}" for line in _shown(finding.remedy).splitlines())


def finding_lines(finding: Finding) -> Iterator[str]:
    """In full: a line for each thing that was seen, and the remedy."""
    yield f"{MARKS[finding.severity]} {_shown(finding.what)}  [{finding.id}]"
    for number, line in enumerate(_shown(finding.evidence).splitlines()):
        yield f"    {'seen:' if number == 0 else '     '} {line}"
    for number, line in enumerate(_shown(finding.remedy).splitlines()):
        yield f"    {'do:  ' if number == 0 else '     '} {line}"


def _shown(text: str) -> str:
    return safe(text, keep="\n\t")


def safe(text: str, *, keep: str = "") -> str:
    """Names come from the image: nothing of them may speak to the terminal."""
    return "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text)
