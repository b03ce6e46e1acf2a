"""The script that docs/jobs.md explains is the one that its command writes.

    SEALIFT_WRITE_GOLDEN=1 pytest tests/docs/test_jobs.py

puts it there anew.
"""

from __future__ import annotations

import os
import re
import shlex

import pytest

from sealift import __version__
from sealift.cli.app import main
from tests.docs.blocks import ROOT

PAGE = ROOT / "docs/jobs.md"
FENCE = re.compile(r"```bash\n(#!/bin/bash\n.*?)```\n", re.DOTALL)


def test_the_script_is_what_the_command_writes(capsys: pytest.CaptureFixture[str]) -> None:
    page = PAGE.read_text()
    (line,) = re.findall(r"^sealift (job docker://.*) > app\.sbatch$", page, re.MULTILINE)
    assert main(shlex.split(line)) == 0
    written = capsys.readouterr().out.replace(f"Sealift {__version__} ", "Sealift 0.1.0 ")
    if os.environ.get("SEALIFT_WRITE_GOLDEN"):
        page = FENCE.sub(
            lambda _: f"```bash\n{written}```\n", page.replace("#SCRIPT#\n", "```bash\n#!/bin/bash\n```\n")
        )
        PAGE.write_text(page)
    assert FENCE.findall(page) == [written]
