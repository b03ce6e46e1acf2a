"""Small images with a real MPI each, Debian's own, and Python to call it by; made once and kept."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests import parts
from tests.ground import debian, session

PACKAGES = {"mpich": "mpich python3", "openmpi": "openmpi-bin python3"}
_VERSION = 1
"""Counts the changes to what is below, so that kept images are made anew."""
_DEFINITION = """\
Bootstrap: oci
From: {base}:latest

%post
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends {packages}
    rm -rf /usr/share/doc /usr/share/man /usr/share/locale /var/lib/apt/lists/*
"""


def image(name: str, base: Path) -> Path:
    """The image with `mpich` or `openmpi`, on top of the Debian tree in the OCI layout `base`."""
    found = debian.mirror()
    assert found is not None
    target = parts.cache_folder() / f"{found.suite}-{name}-{_VERSION}.sif"
    with session.alone(f"image-{name}"):
        if not target.exists():
            _make(target, _DEFINITION.format(base=base, packages=PACKAGES[name]))
    return target


def _make(target: Path, definition: str) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        recipe, made = Path(work) / "image.def", Path(work) / "image.sif"
        recipe.write_text(definition)
        env = {**os.environ, "SEALIFT_CACHE_DIR": str(Path(work) / "cache"), "TMPDIR": work}
        done = subprocess.run(
            [sys.executable, "-m", "sealift", "build", str(made), str(recipe)],
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        os.replace(made, target)
