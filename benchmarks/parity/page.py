"""docs/parity.md: what is compared, what came of it, and why what differs differs."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.parity.cases import Case
from benchmarks.parity.comparing import Difference
from benchmarks.parity.rules import Rule

FILE = Path(__file__).resolve().parents[2] / "docs" / "parity.md"

TEMPLATE = Path(__file__).with_name("page.md")


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What came of one definition file. `explained` are the rules that it took, `rest` what none explains."""

    case: Case
    compared: int
    explained: tuple[str, ...]
    rest: tuple[tuple[str, Difference], ...] = ()
    """Each with the builder whose image differs."""


def render(
    rows: Sequence[Row], rules: Iterable[Rule], versions: Mapping[str, str], *, template: Path = TEMPLATE
) -> str:
    total, rest = sum(row.compared for row in rows), sum(len(row.rest) for row in rows)
    summary = (
        f"Last written with {_listed(versions.values())}: {len(rows)} definition files, "
        f"{total:,} things compared, {rest} differences that no rule explains."
    )
    parts = {"@SUMMARY@": summary, "@TABLE@": "\n".join(table(rows)), "@RULES@": "\n".join(rule_table(rules))}
    text = template.read_text()
    for mark, part in parts.items():
        text = text.replace(mark, part)
    return text


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} and {last}"


def table(rows: Iterable[Row]) -> list[str]:
    lines = ["| definition file | what it covers | compared | rules |", "|---|---|---:|---|"]
    for row in rows:
        name = f"[{row.case.name}](../tests/definitions/{row.case.path.name})"
        rest = f" **{len(row.rest)} unexplained**" if row.rest else ""
        lines.append(f"| {name} | {_covers(row.case)} | {row.compared} | {', '.join(row.explained)}{rest} |")
    return lines


def rule_table(rules: Iterable[Rule]) -> list[str]:
    reasons: dict[str, str] = {}
    for rule in rules:
        reasons.setdefault(rule.id, rule.reason)
    return ["| rule | reason |", "|---|---|", *(f"| {name} | {_cell(reason)} |" for name, reason in reasons.items())]


def without_counts(text: str) -> list[str]:
    """The lines of a page without what depends on the machine: versions, and how many things were compared."""
    lines = []
    for line in text.splitlines():
        if line.startswith("Last written with"):
            continue
        cells = line.split(" | ")
        lines.append(" | ".join(cells[:2]) if line.startswith("| [") else line)
    return lines


def _covers(case: Case) -> str:
    words = _cell(case.covers)
    if case.fails is not None:
        words += f" (refused, exit code {case.fails})"
    if case.refused:
        words += f" (Sealift alone: {_cell(case.refused)})"
    return words


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
