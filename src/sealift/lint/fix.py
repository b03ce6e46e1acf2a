"""Mending what can be mended safely: edits are put in, everything else stays byte for byte."""

from __future__ import annotations

from dataclasses import dataclass

from sealift.deffile.characters import decode, encode
from sealift.lint.check import lint
from sealift.lint.values import Edit, Finding, Settings

_MOST_PASSES = 8
"""One mended line may be what another rule minds; no rule makes another's fault, so that a few passes are enough."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """`mended` are the findings that are gone."""

    data: bytes
    mended: tuple[Finding, ...]


def fix(data: bytes, *, file: str = "definition file", settings: Settings | None = None) -> Fixed:
    """The file without the findings that can be mended."""
    mended: list[Finding] = []
    for _ in range(_MOST_PASSES):
        report = lint(data, file=file, settings=settings)
        chosen, edits = list[Finding](), list[Edit]()
        for finding in report.findings:
            if finding.edits and not any(_overlap(one, other) for one in finding.edits for other in edits):
                chosen.append(finding)
                edits += finding.edits
        if not edits:
            break
        mended += chosen
        data = encode(applied(decode(data), edits))
    return Fixed(data=data, mended=tuple(mended))


def applied(text: str, edits: list[Edit]) -> str:
    """The text with edits that do not overlap."""
    for edit in sorted(edits, key=lambda one: one.start, reverse=True):
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def _overlap(one: Edit, other: Edit) -> bool:
    """Do two edits touch? Two that only insert may not insert at one place."""
    return one.start <= other.end and other.start <= one.end
