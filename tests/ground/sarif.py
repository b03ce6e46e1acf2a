"""The official schema of SARIF 2.1.0, as npm's `@microsoft/jest-sarif` brings it."""

from __future__ import annotations

import subprocess
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "@microsoft/jest-sarif@1.0.0-beta.0"
_MEMBER = "package/lib/schemas/sarif-2.1.0-rtm.5.json"


def schema(folder: Path) -> Path:
    """Where the schema lies in `folder`, there or not."""
    return folder / "sarif-2.1.0-rtm.5.json"


def fetch(target: Path) -> None:
    """Bring the schema there, unless it is."""
    if target.exists():
        return
    with tempfile.TemporaryDirectory() as place:
        subprocess.run(["npm", "pack", "--silent", PACKAGE], cwd=place, check=True, capture_output=True)
        with tarfile.open(next(Path(place).glob("*.tgz"))) as package:
            member = package.extractfile(_MEMBER)
            assert member is not None  # a plain file
            target.write_bytes(member.read())
