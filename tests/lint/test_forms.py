"""SARIF by its official schema; annotations by GitHub's rules for them."""

from __future__ import annotations

import json

import jsonschema
import pytest

from sealift.lint.catalogue import RULES
from sealift.lint.check import lint
from sealift.lint.forms import as_github, as_sarif
from sealift.lint.values import Settings, Waiver
from tests import parts
from tests.ground import sarif

ODD = "Bootstrap: docker\nFrom: ubuntu\n\n%post\n"
ODD += "    # sealift: ignore=pip-unpinned that is so\n    pip install numpy # é\n"


@pytest.mark.slow
@pytest.mark.needs("sarif-schema")
def test_sarif_is_valid_by_its_schema() -> None:
    schema = json.loads(sarif.schema(parts.cache_folder()).read_bytes())
    bad = [lint(rule.bad.encode(), file=f"a b/{rule.id}, 100%.def") for rule in RULES]
    settings = Settings(ignore={"size": Waiver(reason="small enough", origin="sealift.toml")})
    reports = [*bad, lint(ODD.encode(), settings=settings)]
    whole = as_sarif(reports, RULES, version="1.0.0")
    jsonschema.Draft4Validator(schema).validate(whole)
    assert len(whole["runs"][0]["results"]) > len(RULES)
    kinds = {one["suppressions"][0]["kind"] for one in whole["runs"][0]["results"] if "suppressions" in one}
    assert kinds == {"inSource", "external"}
    locations = [
        one["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] for one in whole["runs"][0]["results"]
    ]
    assert locations[0] == "a%20b/no-bootstrap%2C%20100%25.def"


def test_annotations_hold_no_line_ends_and_no_stray_marks() -> None:
    reports = [lint(rule.bad.encode(), file="a:b,c%.def") for rule in RULES]
    lines = as_github(reports)
    assert len(lines) > len(RULES)
    assert not any("\n" in line or "\r" in line for line in lines)
    assert all(line.partition("file=")[2].startswith("a%3Ab%2Cc%25.def,line=") for line in lines)
