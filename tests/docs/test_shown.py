"""Files that the pages show are good ones, and names that they list are all of them."""

from __future__ import annotations

import re

import pytest

from sealift.engines import binds, variables
from sealift.lint.check import lint
from sealift.sites.reading import read_profile
from tests.docs.blocks import PAGES, ROOT

TEXTS = {str(page.relative_to(ROOT)): page.read_text("utf-8") for page in PAGES}
OF_THE_LANGUAGE = "docs/reference/definition-files.md"
"""Its examples are wrong on purpose, see test_definition_files.py."""


def fences(language: str) -> list[tuple[str, str]]:
    pattern = re.compile(rf"```{language}\n(.*?)```", re.DOTALL)
    return [(name, text) for name, page in TEXTS.items() if name != OF_THE_LANGUAGE for text in pattern.findall(page)]


@pytest.mark.parametrize(("name", "text"), fences("def"))
def test_a_definition_file_has_nothing_to_warn_of(name, text):
    findings = lint(text.encode()).findings
    assert [(one.rule.id, one.message) for one in findings if one.level != "note"] == []


@pytest.mark.parametrize(("name", "text"), [one for one in fences("toml") if "extends = " in one[1]])
def test_a_profile_of_a_site_is_right(name, text):
    assert read_profile(text.encode(), file="mycluster.toml").name == "mycluster"


ADDRESSES = sorted(
    {
        address
        for text in TEXTS.values()
        for pair in re.findall(r"<(https?:[^>]*)>|\]\((https?:[^)]*)\)", text)
        for address in pair
    }
    - {""}
)


def test_addresses_of_other_sites_have_the_form_of_one():
    """Whether somebody answers there is not asked: tests have no network but this machine's."""
    host = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+"
    assert [each for each in ADDRESSES if not re.fullmatch(rf"https://{host}(/[!-~]*)?", each)] == []
    assert len(ADDRESSES) > 20


OUTSIDE = [ROOT / "README.md", *sorted((ROOT / "exercises").rglob("README.md"))]
"""Pages that are no part of the site, whose builder looks at the links of the others."""


@pytest.mark.parametrize("page", OUTSIDE, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_link_within_the_repository_leads_somewhere(page):
    for path, heading in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", page.read_text("utf-8")):
        target = page.parent / path if path else page
        assert target.exists(), path
        assert not heading or heading in map(slug, re.findall(r"^#+ (.*)$", target.read_text("utf-8"), re.MULTILINE))


def slug(heading: str) -> str:
    """The anchor of a heading, as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_variable_is_listed():
    page = TEXTS["docs/reference/environment.md"]
    tables = (variables._FLAGS, variables._TEXTS, variables._LISTS)
    names = [f"APPTAINER_{spellings[0]}" for table in tables for spellings in table.values()]
    assert [name for name in (*names, *binds.VARIABLES[0]) if f"`{name}`" not in page] == []
