"""Small images with a real MPI each, Debian's own, and Python to call it by; made once, together, and kept."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests import parts
from tests.ground import debian, session

_VERSION = 2
"""Counts the changes to what is below, so that kept images are made anew."""
_PACKAGES = {"mpich": "mpich", "openmpi": "openmpi-bin"}
_BELOW = """\
Bootstrap: oci
From: {base}:latest

%post
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends python3 libucx0 libfabric1 libhwloc15
"""
_ABOVE = """\
Bootstrap: localimage
From: {below}

%post
    apt-get install -y -qq --no-install-recommends {packages}
    rm -rf /usr/share/doc /usr/share/man /usr/share/locale /var/lib/apt/lists/*
"""


def image(name: str, base: Path) -> Path:
    """The image with `mpich` or `openmpi`, on top of the Debian tree in the OCI layout `base`."""
    found = debian.mirror()
    assert found is not None
    targets = {each: parts.cache_folder() / f"{found.suite}-{each}-{_VERSION}.sif" for each in _PACKAGES}
    with session.alone("images-with-mpi"):
        if not all(target.exists() for target in targets.values()):
            _make(targets, base)
    return targets[name]


def _make(targets: dict[str, Path], base: Path) -> None:
    with tempfile.TemporaryDirectory(dir=parts.cache_folder()) as work:
        below = _build(Path(work) / "below", _BELOW.format(base=base))
        for name, target in targets.items():
            made = _build(Path(work) / name, _ABOVE.format(below=below, packages=_PACKAGES[name]))
            os.replace(made, target)


def _build(stem: Path, definition: str) -> Path:
    recipe, made = stem.with_suffix(".def"), stem.with_suffix(".sif")
    recipe.write_text(definition)
    env = {**os.environ, "SEALIFT_CACHE_DIR": str(stem.parent / "cache"), "TMPDIR": str(stem.parent)}
    argv = [sys.executable, "-m", "sealift", "build", str(made), str(recipe)]
    done = subprocess.run(
        argv, env=env | {"DEBIAN_FRONTEND": "noninteractive"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return made
