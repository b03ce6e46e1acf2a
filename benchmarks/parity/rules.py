"""The rules by which differences are explained: rules.toml, one table a rule."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

from benchmarks.parity.comparing import Difference

FILE = Path(__file__).with_name("rules.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """Explains differences whose `about` is one of these and whose name matches one of the globs.

    `theirs` and `ours`, where they are given, are patterns for the whole value on that side; `by` the builders to which
    the rule is confined, `of` the cases.
    """

    id: str
    about: tuple[str, ...]
    match: tuple[str, ...]
    reason: str
    theirs: str | None = None
    ours: str | None = None
    by: tuple[str, ...] = ()
    of: tuple[str, ...] = ()

    def explains(self, difference: Difference, builder: str, case: str = "") -> bool:
        return (
            difference.about in self.about
            and (not self.by or builder in self.by)
            and (not self.of or case in self.of)
            and any(fnmatchcase(difference.name, glob) for glob in self.match)
            and _fits(self.theirs, difference.theirs)
            and _fits(self.ours, difference.ours)
        )


def load_rules(file: Path = FILE) -> tuple[Rule, ...]:
    tables = tomllib.loads(file.read_text())["rule"]
    return tuple(
        Rule(
            id=table["id"],
            about=tuple(table["about"]),
            match=tuple(table["match"]),
            reason=table["reason"],
            theirs=table.get("theirs"),
            ours=table.get("ours"),
            by=tuple(table.get("by", ())),
            of=tuple(table.get("of", ())),
        )
        for table in tables
    )


def explain(
    differences: Iterable[Difference], rules: Iterable[Rule], builder: str, case: str = ""
) -> tuple[Mapping[str, int], list[Difference]]:
    """How many differences each rule explains, and those that none does."""
    counts: dict[str, int] = {}
    rest = []
    listed = tuple(rules)
    for difference in differences:
        rule = next((rule for rule in listed if rule.explains(difference, builder, case)), None)
        if rule is None:
            rest.append(difference)
        else:
            counts[rule.id] = counts.get(rule.id, 0) + 1
    return counts, rest


def _fits(pattern: str | None, value: str) -> bool:
    return pattern is None or re.fullmatch(pattern, value, re.DOTALL) is not None
