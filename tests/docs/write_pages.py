"""Write the pages of the reference that come from the program: the commands, and what is known of each site."""

from __future__ import annotations

import shutil

from tests.docs.blocks import ROOT
from tests.docs.commands import commands_page
from tests.docs.sites import site_pages

REFERENCE = ROOT / "docs" / "reference"

if __name__ == "__main__":
    (REFERENCE / "commands.md").write_text(commands_page(), encoding="utf-8")
    shutil.rmtree(REFERENCE / "site-profiles", ignore_errors=True)
    (REFERENCE / "site-profiles").mkdir()
    for name, text in site_pages().items():
        (REFERENCE / name).write_text(text, encoding="utf-8")
