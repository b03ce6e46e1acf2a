"""The definition files that we show to others are good by our own rules."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sealift.lint.check import lint
from tests.ground.install import CHECKOUT

FILES = sorted(path for folder in ("examples", "templates") for path in (Path(CHECKOUT) / folder).rglob("*.def"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_has_nothing_to_warn_of(path: Path) -> None:
    findings = lint(path.read_bytes(), file=path.name).findings
    assert [(one.rule.id, one.where.line, one.message) for one in findings if one.level != "note"] == []


def test_what_the_docs_show_is_good_too() -> None:
    page = (Path(CHECKOUT) / "docs" / "lint.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```def\n(.*?)```", page, re.DOTALL)
    report = lint(shown.encode())
    assert [one.rule.id for one in report.findings if one.level != "note"] == []
    assert {one.finding.rule.id for one in report.ignored} == {"cuda-devel-base", "pip-unpinned"}


def test_there_are_some() -> None:
    assert FILES
