"""The pages of the reference that come from the program are the program's."""

from __future__ import annotations

import re

import pytest

from sealift.cli.app import COMMANDS
from tests.docs.blocks import PAGES, ROOT
from tests.docs.commands import calls, commands_page, examples, understand
from tests.docs.sites import site_pages

REFERENCE = ROOT / "docs" / "reference"
ANEW = "write it anew: python -m tests.docs.write_pages"


def test_the_page_of_commands_is_up_to_date():
    assert (REFERENCE / "commands.md").read_text("utf-8") == commands_page(), ANEW


def test_every_command_is_there():
    page = commands_page()
    assert [verb for verb in COMMANDS if f"| [`{verb}`](#" not in page] == []


@pytest.mark.parametrize("line", tuple(examples()))
def test_an_example_of_a_help_text_is_understood(line):
    (words,) = calls(line)
    understand(words)


SHOWN = tuple(
    dict.fromkeys(
        re.sub(r"\$\{\{.*?\}\}", "X", line.strip())
        for page in PAGES
        for fence in re.findall(r"```(?:sh|yaml)\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
        for line in fence.splitlines()
        if "sealift " in line.partition(" #")[0]
    )
)


@pytest.mark.parametrize("line", SHOWN)
def test_what_a_page_shows_is_understood(line):
    """Those that cannot be run here, too."""
    for words in calls(line):
        understand(words)


def test_the_pages_of_sites_are_up_to_date():
    files = [REFERENCE / "site-profiles.md", *(REFERENCE / "site-profiles").iterdir()]
    written = {str(path.relative_to(REFERENCE)): path.read_text("utf-8") for path in files}
    assert written == site_pages(), ANEW
