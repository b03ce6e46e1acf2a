"""The wheels that the templates install, brought once and kept, so that no build waits for a package index."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sealift.flows.templates import template_text
from tests import parts
from tests.ground import debian, session

CPU = "https://download.pytorch.org/whl/cpu"
"""Where PyTorch's wheels without CUDA are, for machines that have none of their own."""


def kept(wanted: Mapping[str, Mapping[str, str]]) -> Path:
    """A folder with all wheels for these templates, each with the arguments that it is built with."""
    found = debian.mirror()
    assert found is not None, "the test that wants wheels must need the part `mirror`"
    names = sorted({name for template, given in wanted.items() for name in requirements(template, given)})
    key = hashlib.sha256("\n".join(names).encode()).hexdigest()[:12]
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
    with tempfile.TemporaryDirectory(dir=target.parent) as work:
        folder = Path(work) / "wheels"
        options = ["--only-binary=:all:", "--python-version", debian.python_version(), "--extra-index-url", CPU]
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--retries=1", *options, "-d", str(folder), *names],
            check=True,
        )
        os.replace(folder, target)
