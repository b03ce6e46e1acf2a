"""Real definition files with the recorded answers of Apptainer's own parser; they lie outside of the repository.

`SEALIFT_TEST_CORPUS` names the folder: `defs/*.def` with `apptainer/*.json`, and `probes/*.def` with `probes/*.json`.
Unset, these tests are skipped; what the files of this folder and test_as_apptainer.py say holds without them.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sealift.deffile.as_apptainer import as_apptainer
from sealift.deffile.characters import decode
from sealift.deffile.parse import read
from sealift.deffile.values import render

CORPUS = os.environ.get("SEALIFT_TEST_CORPUS")

pytestmark = pytest.mark.skipif(not CORPUS, reason="SEALIFT_TEST_CORPUS names no folder")


def answers() -> list[tuple[str, Path, Path]]:
    if not CORPUS:
        return []
    corpus = Path(CORPUS)
    found = [
        (f"{kind}-{path.stem}", corpus / kind / f"{path.stem}.def", path)
        for kind, folder in (("defs", "apptainer"), ("probes", "probes"))
        for path in sorted((corpus / folder).glob("*.json"))
    ]
    assert len(found) > 500
    return found


CASES = answers()


@pytest.mark.parametrize(("definition", "answer"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_the_parser_agrees_with_apptainer(definition: Path, answer: Path) -> None:
    wanted = json.loads(answer.read_bytes())
    del wanted["file"]
    data = definition.read_bytes()
    assert as_apptainer(data) == wanted
    assert render(read(data).definition) == decode(data)
