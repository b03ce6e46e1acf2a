"""The wheels that the course installs, brought once and kept, so that no walk waits for a package index.

There is no GPU where the tests run: PyTorch and JAX are those for processors.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from tests import parts
from tests.docs.blocks import ROOT
from tests.ground import debian, session

CPU = "https://download.pytorch.org/whl/cpu"
"""Where PyTorch's wheels for processors are, for machines that have none of their own."""
_PINNED = re.compile(r"(?<![\w.-])[A-Za-z][\w.-]*==[0-9][\w.]*[0-9]")


def kept() -> Path:
    """A folder with the wheels that recipes, commands and wrong solutions of the course name, and what those need."""
    found = debian.mirror()
    assert found is not None, "the test that wants wheels must need the part `mirror`"
    names = pinned()
    key = hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]
    target = parts.cache_folder() / f"{found.suite}-course-wheels-{key}"
    with session.alone("course-wheels"):
        if not target.exists():
            _bring(names, target)
    return target


def pinned() -> list[str]:
    """`NAME==VERSION` of all that is installed; PyTorch's version and index are arguments of their own."""
    recipe = (ROOT / "exercises" / "ex02-gpu-in-container" / "torch.def").read_text("utf-8")
    version = re.search(r"(?m)^    torch=(\S+)$", recipe)
    assert version is not None
    texts = [
        path.read_text("utf-8")
        for path in (ROOT / "exercises").rglob("*")
        if path.suffix in (".def", ".md", ".toml", ".sh") and path.is_file()
    ]
    named = {name for text in texts for name in _PINNED.findall(text) if not name.startswith("torch==")}
    return sorted(named | {f"torch=={version[1]}+cpu"})


def _bring(names: list[str], target: Path) -> None:
    """Versions of one package that exclude each other are asked for one after the other."""
    rounds: dict[int, list[str]] = defaultdict(list)
    seen: dict[str, int] = defaultdict(int)
    for name in names:
        package = name.partition("==")[0]
        rounds[seen[package]].append(name)
        seen[package] += 1
    options = ["--only-binary=:all:", "--python-version", debian.python_version(), "--extra-index-url", CPU]
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        folder = Path(work) / "wheels"
        download = [sys.executable, "-m", "pip", "download", "--quiet", "--retries=1", *options, "-d", str(folder)]
        for number in sorted(rounds):
            subprocess.run([*download, *rounds[number]], check=True)
        os.replace(folder, target)
