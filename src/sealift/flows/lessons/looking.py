"""Looks at a step: each check by its kind, in order, and a finding for each. Nothing of the learner's is changed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping

from sealift.core.finding import Finding
from sealift.errors import SealiftError
from sealift.flows.lessons.desk import Desk, Seen
from sealift.flows.lessons.images import (
    look_at_built,
    look_at_holds,
    look_at_label,
    look_at_leftovers,
    look_at_package,
    look_at_size,
)
from sealift.flows.lessons.programs import run_in_image
from sealift.flows.lessons.recipes import look_at_file, look_at_lint, look_at_recipe
from sealift.flows.lessons.verdicts import look_at_site
from sealift.learn.course import Check, Step
from sealift.learn.vocabulary import CONDITIONS, KINDS

LOOKS: Mapping[str, Callable[[Check, Desk], Seen]] = {
    "file": look_at_file,
    "recipe": look_at_recipe,
    "lint": look_at_lint,
    "built": look_at_built,
    "size": look_at_size,
    "holds": look_at_holds,
    "package": look_at_package,
    "label": look_at_label,
    "leftovers": look_at_leftovers,
    "site": look_at_site,
    "run": run_in_image,
}
"""A function for each of `vocabulary.KINDS`."""


LATER = "looked at later: "
"""Before what waits until something else is right."""


def look_at(step: Step, desk: Desk, *, here: Callable[[str], bool]) -> tuple[Finding, ...]:
    """A finding for each check: `ok`, `error`, or `note` for what is left out here or waits for the others.

    `here` tells whether a condition of `CONDITIONS` holds on this host.
    """
    return tuple(_findings(step, desk, here))


def _findings(step: Step, desk: Desk, here: Callable[[str], bool]) -> Iterator[Finding]:
    waits = unreadable = False
    for check in step.checks:
        kind = KINDS[check.kind]
        if check.when and not here(check.when):
            why = CONDITIONS[check.when]
            yield Finding(id=check.kind, severity="note", what=f"left out, for {why}: {check.wants}")
            continue
        if unreadable or (kind.image and waits):
            yield Finding(id=check.kind, severity="note", what=LATER + check.wants)
            continue
        try:
            seen = LOOKS[check.kind](check, desk)
        except SealiftError as error:
            seen = Seen(right=False, seen=error.message, remedy=error.hints)
        waits |= kind.first and not seen.right
        unreadable |= seen.unreadable
        yield _finding(check, seen)


def _finding(check: Check, seen: Seen) -> Finding:
    if seen.right:
        return Finding(id=check.kind, severity="ok", what=check.wants)
    texts = (*seen.texts, seen.seen)
    known = [one.hint for one in check.mistakes if any(re.search(one.pattern, text) for text in texts)]
    return Finding(
        id=check.kind,
        severity="error",
        what=check.wants,
        evidence=seen.seen,
        remedy="\n".join((*known[:1], *seen.remedy)),
    )
