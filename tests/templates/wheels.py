"""The wheels that the templates install, brought once and kept, so that no build waits for a package index."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

from sealift.flows.templates import template_text
from tests import parts
from tests.ground import debian, session

CPU = "https://download.pytorch.org/whl/cpu"
"""Where PyTorch's wheels without CUDA are, for machines that have none of their own."""


HOSTS_MPICH = "mpich==4.1.3"
"""Stands for the MPI of a site, which takes the place of an image's."""


def kept(wanted: Mapping[str, Mapping[str, str]]) -> Path:
    """A folder with all wheels for these templates, each with the arguments that it is built with."""
    found = debian.mirror()
    assert found is not None, "the test that wants wheels must need the part `mirror`"
    names = sorted({name for template, given in wanted.items() for name in requirements(template, given)})
    key = hashlib.sha256("\n".join([*names, HOSTS_MPICH]).encode()).hexdigest()[:12]
    target = parts.cache_folder() / f"{found.suite}-wheels-{key}"
    with session.alone("wheels"):
        if not target.exists():
            _bring(names, target)
    return target


def requirements(template: str, given: Mapping[str, str]) -> list[str]:
    """What the template's pip installs, CUDA of a GPU's variant left out."""
    text = template_text(template)
    arguments = dict(re.findall(r"^    (\w+)=(\S+)$", _section(text, "arguments"), re.MULTILINE)) | dict(given)
    post = re.sub(r"\{\{ (\w+) \}\}", lambda found: arguments[found[1]], _section(text, "post"))
    words = re.findall(r"[\w.-]+(?:\[[\w,-]+\])?==[\w.+-]+", post)
    return [word for word in words if not word.startswith("cuda-toolkit")]


def _section(text: str, name: str) -> str:
    found = re.search(rf"^%{name}\n(.*?)(?=^%|\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def _bring(names: list[str], target: Path) -> None:
    options = ["--only-binary=:all:", "--python-version", debian.python_version(), "--extra-index-url", CPU]
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        folder = Path(work) / "wheels"
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--retries=1", *options, "-d", str(folder)]
        subprocess.run([*download, *names], check=True)
        subprocess.run([*download, "--no-deps", HOSTS_MPICH], check=True)
        os.replace(folder, target)


def unpack_hosts_mpich(kept: Path, folder: Path) -> Path:
    """The libraries of the MPICH that stands for a site's, in a folder of their own."""
    (found,) = kept.glob(f"{HOSTS_MPICH.replace('==', '-')}-*.whl")
    with zipfile.ZipFile(found) as wheel:
        wheel.extractall(folder, [name for name in wheel.namelist() if "/data/lib/" in name])
    (library,) = folder.rglob("libmpi.so.12")
    return library.parent
