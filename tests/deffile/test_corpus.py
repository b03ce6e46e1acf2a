"""Real definition files with the recorded answers of Apptainer's own parser (tests/ground/corpus.py).

What the files of this folder and test_as_apptainer.py say holds without them.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sealift.deffile.as_apptainer import as_apptainer
from sealift.deffile.characters import decode
from sealift.deffile.parse import read
from sealift.deffile.values import render
from tests.ground import corpus

pytestmark = corpus.needed
CASES = corpus.answers()


@pytest.mark.parametrize(("definition", "answer"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_the_parser_agrees_with_apptainer(definition: Path, answer: Path) -> None:
    wanted = json.loads(answer.read_bytes())
    del wanted["file"]
    data = definition.read_bytes()
    assert as_apptainer(data) == wanted
    assert render(read(data).definition) == decode(data)
