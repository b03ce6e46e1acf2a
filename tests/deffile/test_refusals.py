"""Each way in which a definition file can be wrong is a file, with the exact text that the user sees beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealift.deffile.parse import read
from sealift.deffile.prepare import check, prepare
from sealift.errors import DefinitionError

from .shown import definition_files, shown_error

CASES = [*definition_files("refused"), *definition_files("unbuildable")]


@pytest.mark.parametrize("path", CASES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_what_is_refused(path: Path) -> None:
    with pytest.raises(DefinitionError) as caught:
        prepare(path.read_bytes(), file=path.name)
    assert shown_error(caught.value) == path.with_suffix(".txt").read_bytes().decode()
    assert bool(read(path.read_bytes()).faults) == (path.parent.name == "refused")


def test_every_rule_has_a_case() -> None:
    """The rules are the ids that the code names; two of them need a command line, and are in test_arguments.py."""
    shown = {fault.id for path in CASES for fault in check(path.read_bytes()).faults}
    assert shown == RULES - {"unused-argument", "empty-stage", "not-a-definition-file"}


RULES = {
    "app-section-case",
    "app-without-name",
    "byte-order-mark",
    "empty-file",
    "empty-stage",
    "files-lone-quote",
    "header-continuation",
    "header-without-colon",
    "heading-alone",
    "indented-section",
    "later-stage",
    "lone-carriage-returns",
    "missing-header-key",
    "missing-interpreter",
    "no-bootstrap",
    "no-header",
    "nul-character",
    "not-a-definition-file",
    "repeated-agent",
    "section-in-heredoc",
    "section-too-long",
    "section-without-name",
    "tab-after-section",
    "undefined-argument",
    "unknown-agent",
    "unknown-header-keyword",
    "unknown-section",
    "unknown-stage",
    "unused-argument",
}
