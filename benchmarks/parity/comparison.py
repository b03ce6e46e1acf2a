"""The whole comparison: build everything with everybody, and explain what differs."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from benchmarks.parity.building import APPTAINER, Builder, Place, build_all, prepare
from benchmarks.parity.cases import Case
from benchmarks.parity.comparing import Difference, compare
from benchmarks.parity.page import Row
from benchmarks.parity.rules import explain, load_rules


def compare_all(
    place: Place, cases: Sequence[Case], builders: Sequence[Builder], *, of_others: Collection[str] | None = None
) -> list[Row]:
    """A row for each case, in their order; each builder beside Apptainer.

    `of_others` are the names of the cases that others than the user with subordinate ids build too; None is all.
    """
    rules = load_rules()
    prepare(place, builders)
    theirs = build_all(place, cases, APPTAINER)
    ours = {
        builder.name: build_all(
            place,
            [case for case in cases if builder.who == "subuid" or of_others is None or case.name in of_others],
            builder,
        )
        for builder in builders
    }
    rows = []
    for case in cases:
        compared, explained, rest = 0, set[str](), list[tuple[str, Difference]]()
        for builder, outcomes in ours.items():
            if case.name not in outcomes:
                continue
            count, differences = compare(case, theirs[case.name], outcomes[case.name])
            used, left = explain(differences, rules, builder)
            compared += count
            explained |= used.keys()
            rest += [(builder, difference) for difference in left]
        rows.append(Row(case=case, compared=compared, explained=tuple(sorted(explained)), rest=tuple(rest)))
    return rows
