"""The reference of the language: every example is read, and every message beside one is the real one."""

from __future__ import annotations

import re

import pytest

from sealift.cli.app import main
from tests.deffile.test_refusals import RULES
from tests.deffile.test_traps import TRAPS
from tests.docs.blocks import ROOT

PAGE = (ROOT / "docs" / "reference" / "definition-files.md").read_text("utf-8")
_EXAMPLE = re.compile(
    r"(?:<!-- with: (?P<given>[^\n]+) -->\n)?```def\n(?P<text>.*?)```\n(?:```text\n(?P<says>.*?)```\n)?", re.DOTALL
)
EXAMPLES = [(match["given"], match["text"], match["says"]) for match in _EXAMPLE.finditer(PAGE)]


@pytest.mark.parametrize(("given", "text", "says"), EXAMPLES)
def test_an_example_says_what_stands_beside_it(given, text, says, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.def").write_text(text, encoding="utf-8")
    code = main(["parse", *(["--build-arg", given] if given else []), "x.def"])
    assert capsys.readouterr().err == (f"\n{says}" if says else "")
    assert code == (3 if says and says.startswith("error") else 0)


def test_every_block_is_an_example():
    assert len(EXAMPLES) == PAGE.count("```def\n") > 10
    assert sum(says is not None for _, _, says in EXAMPLES) == PAGE.count("```text\n")


def test_every_code_is_explained():
    named = set(re.findall(r"`([a-z]+(?:-[a-z]+)+)`", PAGE.partition("## What is refused")[2]))
    assert named >= RULES | TRAPS
