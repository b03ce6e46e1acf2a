"""A root filesystem with the Python of this test run and some of its packages: an image for notebooks."""

from __future__ import annotations

import importlib.metadata
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterable
from pathlib import Path

from tests.ground.tiny import copy_libraries, make_tiny_root

LEFT_OUT = (
    *("test", "idlelib", "tkinter", "turtledemo", "ensurepip", "lib2to3"),
    *("__pycache__", "site-packages", "dist-packages"),
)
LARGE = ("debugpy", "jedi")
"""Packages that a kernel runs without."""


def make_python_root(root: Path, *packages: str) -> Path:
    """Make it in the folder `root`: /usr/bin/python3, which finds `packages` and all that they want."""
    make_tiny_root(root)
    base = Path(sys.base_prefix)
    program = Path(os.path.realpath(sys.executable))
    _copy_program(program, root)
    standard = Path(sysconfig.get_path("stdlib"))
    shutil.copytree(standard, _inside(root, standard), ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=False)
    (root / "usr/bin/python3").unlink(missing_ok=True)
    (root / "usr/bin/python3").symlink_to(program if base != Path("/usr") else program.name)
    for each in _closure(packages):
        _copy_package(each, _inside(root, _site(program)))
    for library in root.rglob("*.so"):
        copy_libraries(library, root)
    return root


def _inside(root: Path, path: Path) -> Path:
    return root / str(path).lstrip("/")


def _copy_program(program: Path, root: Path) -> None:
    target = _inside(root, program)
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(program, target)
    copy_libraries(program, root)


def _site(program: Path) -> Path:
    """Where this interpreter looks for packages when it is in no environment of its own."""
    line = "import site; print(site.getsitepackages()[0])"
    return Path(subprocess.run([program, "-I", "-c", line], capture_output=True, text=True, check=True).stdout.strip())


def _closure(names: Iterable[str]) -> list[importlib.metadata.Distribution]:
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop().lower().replace("_", "-")
        if name in found or name in LARGE:
            continue
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # for another platform or Python
        wanted = [line for line in found[name].requires or () if "extra ==" not in line]
        waiting += [re.split(r"[\s;<>=!~(\[]", line, maxsplit=1)[0] for line in wanted]
    return [found[name] for name in sorted(found)]


def _copy_package(package: importlib.metadata.Distribution, target: Path) -> None:
    for file in package.files or ():
        if file.parts[-2:-1] != ("bin",) and "__pycache__" not in file.parts and "tests" not in file.parts:
            path = Path(os.path.normpath(target / file))
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(str(file.locate()), path)
