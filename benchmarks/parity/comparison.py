"""The whole comparison: build everything with everybody, and explain what differs."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.parity.building import APPTAINER, Builder, Place, build_all, prepare
from benchmarks.parity.cases import Case
from benchmarks.parity.comparing import Difference, compare
from benchmarks.parity.page import Row
from benchmarks.parity.rules import explain, load_rules


def compare_all(place: Place, cases: Sequence[Case], builders: Sequence[Builder]) -> list[Row]:
    """A row for each case, in their order; each builder beside Apptainer."""
    rules = load_rules()
    prepare(place, builders)
    theirs = build_all(place, cases, APPTAINER)
    ours = {builder.name: build_all(place, cases, builder) for builder in builders}
    rows = []
    for case in cases:
        compared, explained, rest = 0, set[str](), list[tuple[str, Difference]]()
        for builder, outcomes in ours.items():
            count, differences = compare(case, theirs[case.name], outcomes[case.name])
            used, left = explain(differences, rules, builder)
            compared += count
            explained |= used.keys()
            rest += [(builder, difference) for difference in left]
        rows.append(Row(case=case, compared=compared, explained=tuple(sorted(explained)), rest=tuple(rest)))
    return rows
