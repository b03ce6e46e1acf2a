"""Real definition files with the recorded answers of Apptainer's own parser; they lie outside of the repository.

`SEALIFT_TEST_CORPUS` names the folder: `defs/*.def` with `apptainer/*.json`, and `probes/*.def` with `probes/*.json`.
Unset, what reads it is skipped, also where all parts are required: it cannot be installed.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

_NAMED = os.environ.get("SEALIFT_TEST_CORPUS", "")
FOLDER = Path(_NAMED)
needed = pytest.mark.skipif(not _NAMED, reason="SEALIFT_TEST_CORPUS names no folder of real definition files")


def definitions() -> list[Path]:
    found = sorted(FOLDER.glob("defs/*.def"))
    assert len(found) > 400
    return found


def answers() -> list[tuple[str, Path, Path]]:
    """A name, the definition file and Apptainer's answer, for each that has one."""
    if not _NAMED:
        return []
    found = [
        (f"{kind}-{path.stem}", FOLDER / kind / f"{path.stem}.def", path)
        for kind, folder in (("defs", "apptainer"), ("probes", "probes"))
        for path in sorted((FOLDER / folder).glob("*.json"))
    ]
    assert len(found) > 500
    return found
