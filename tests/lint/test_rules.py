"""Each rule by its own examples: the bad one gives this finding and no other that is grave, the good one none."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest

from sealift.lint.catalogue import BY_ID, RULES
from sealift.lint.check import lint
from sealift.lint.fix import fix
from sealift.lint.pages import FAMILIES, explain, pages
from sealift.lint.values import Finding, Rule, Settings
from tests.ground.install import CHECKOUT

DEFFILE = Path(CHECKOUT) / "src" / "sealift" / "deffile"
OF_NO_LINT = {"unused-argument", "empty-stage", "not-a-definition-file"}
"""Faults that come of build arguments, which the linter is not given, and of files that are none."""


@functools.cache
def found(text: str, rule: Rule) -> tuple[Finding, ...]:
    site = (rule.site,) if rule.site else ()
    settings = Settings(site=site, facts=rule.facts)
    return lint(text.encode("utf-8", "surrogateescape"), settings=settings).findings


def grave(text: str, rule: Rule) -> list[str]:
    return [one.rule.id for one in found(text, rule) if one.level != "note" and one.rule != rule]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_its_examples_show_it(rule: Rule) -> None:
    bad = [one for one in found(rule.bad, rule) if one.rule == rule]
    assert len(bad) == 1
    assert bad[0].level in (rule.level, "error")
    assert [one for one in found(rule.good, rule) if one.rule == rule] == []
    assert grave(rule.bad, rule) == []
    assert grave(rule.good, rule) == []
    assert bool(bad[0].edits) == rule.fixes


@pytest.mark.parametrize("rule", [rule for rule in RULES if rule.fixes], ids=lambda rule: rule.id)
def test_its_fix_mends_its_example(rule: Rule) -> None:
    only = Settings(select=frozenset({rule.id}))
    fixed = fix(rule.bad.encode(), settings=only)
    assert [one.rule for one in fixed.mended] == [rule]
    assert lint(fixed.data, settings=only).findings == ()
    assert fix(fixed.data, settings=only).data == fixed.data


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.id)
def test_its_words_are_for_people(rule: Rule) -> None:
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)+", rule.id)
    assert rule.family in FAMILIES
    assert not rule.title.endswith(".")
    assert rule.reason.endswith((".", "`."))
    assert rule.remedy.endswith((".", "`."))
    for one in found(rule.bad, rule):
        assert not one.message.endswith(".")
        assert one.hints, one.message
    assert explain(rule).startswith(f"{rule.id}: {rule.title}\n")
    assert f"ignore={rule.id} " in explain(rule)


def test_there_are_enough_and_each_once() -> None:
    assert len(BY_ID) == len(RULES) > 40
    assert {rule.family for rule in RULES} == set(FAMILIES)


def test_every_word_of_the_parser_has_a_rule() -> None:
    said = {
        name
        for path in DEFFILE.glob("*.py")
        for name in re.findall(r'(?:\bid=|return \(?\s*)"([a-z]+(?:-[a-z0-9]+)+)"', path.read_text(encoding="utf-8"))
    }
    assert len(said) > 40
    assert said - OF_NO_LINT <= BY_ID.keys()
    assert {rule.id for rule in RULES if rule.family == "language"} <= said


def test_the_pages_of_rules_are_up_to_date() -> None:
    folder = Path(CHECKOUT) / "docs" / "reference"
    files = [folder / "lint-rules.md", *(folder / "lint-rules").iterdir()]
    written = {str(path.relative_to(folder)): path.read_text(encoding="utf-8") for path in files}
    assert written == pages(), "write them anew: python -m tests.lint.write_pages"
