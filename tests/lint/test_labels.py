"""The labels, recounted; with the corpus at hand, the rules are run again and held to them."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from sealift.lint.catalogue import BY_ID
from sealift.lint.check import lint
from tests.ground import corpus
from tests.ground.install import CHECKOUT
from tests.lint.labels import ENOUGH, READ_FILES, SETTINGS, load, precision_page


def test_no_rule_is_wrong_more_than_once_in_fifty() -> None:
    labels = load()
    assert len(labels) > 80
    assert labels.keys() <= BY_ID.keys()
    for one in labels.values():
        places = [*one.right, *(place for place, _ in one.wrong)]
        assert len(set(places)) == len(places) >= min(one.found, ENOUGH), one.rule
        assert len(one.wrong) * ENOUGH <= len(places), one.rule
        assert one.why
        assert all(why for _, why in one.wrong)


def test_the_page_of_precision_is_counted_from_the_labels() -> None:
    written = (Path(CHECKOUT) / "docs" / "lint-precision.md").read_text(encoding="utf-8")
    assert written == precision_page(), "write it anew: python -m tests.lint.write_pages"


@pytest.mark.slow
@corpus.needed
def test_the_rules_find_what_was_read_and_little_else() -> None:
    found: dict[str, set[str]] = defaultdict(set)
    paths = corpus.definitions()
    assert len(paths) == READ_FILES
    for path in paths:
        report = lint(path.read_bytes(), settings=SETTINGS)
        for one in report.findings:
            found[one.rule.id].add(f"{path.stem}:{one.where.line}")
    labels = load()
    assert {rule: len(places) for rule, places in found.items()} == {rule: one.found for rule, one in labels.items()}
    assert {
        rule: sorted(set(one.right) - found[rule]) for rule, one in labels.items() if set(one.right) - found[rule]
    } == {}
