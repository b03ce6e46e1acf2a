"""Which packages are in an image: what the databases of its package managers say, read without running anything.

Read are dpkg's, RPM's (SQLite), apk's, pacman's, conda's and Python's. A database whose form is not read is named.
"""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from sealift.evidence.files import ImageFiles

Manager = Literal["dpkg", "rpm", "apk", "pacman", "conda", "python"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """One installed package. `rows` are those of its regular files that are there; `size` is what they hold.

    What interpreters compiled of its Python files belongs to it, too.

    `place` is the folder of the environment for managers that have several: conda's prefix, Python's site-packages.
    """

    manager: Manager
    name: str
    version: str
    architecture: str = ""
    place: str = ""
    rows: tuple[int, ...] = ()
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Inventory:
    """`packages` by manager in the order of `MANAGERS`, then by name; `unread` says which databases were not read."""

    packages: tuple[Package, ...] = ()
    unread: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """A package as its database lists it: absolute paths of the image, which need not be there."""

    name: str
    version: str
    architecture: str = ""
    place: str = ""
    paths: Iterable[str] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What one manager's databases say."""

    listed: tuple[Listed, ...] = ()
    unread: tuple[str, ...] = ()


MANAGERS: tuple[Manager, ...] = ("dpkg", "rpm", "apk", "pacman", "conda", "python")
"""In this order a file that several of them know belongs to the first: a distribution's Python packages are its own."""


def find_packages(files: ImageFiles) -> Inventory:
    """All packages of all managers; a database that is damaged is told of as unread."""
    compiled = _compiled(files)
    packages: list[Package] = []
    unread: list[str] = []
    for manager in MANAGERS:
        told = _reader(manager)(files)
        unread += told.unread
        found = [_package(manager, one, files, compiled) for one in told.listed]
        packages += sorted(found, key=lambda one: (one.name, one.architecture, one.version, one.place))
    return Inventory(packages=tuple(packages), unread=tuple(unread))


def owners(files: ImageFiles, packages: Iterable[Package]) -> dict[int, int]:
    """Which package each inode belongs to: the first row of the inode to the package's number."""
    owned: dict[int, int] = {}
    for number, package in enumerate(packages):
        for row in package.rows:
            owned.setdefault(files.firsts[row], number)
    return owned


def _reader(manager: Manager) -> Callable[[ImageFiles], Told]:
    from sealift.evidence.managers import apk, conda, dpkg, pacman, python, rpm

    return {
        "dpkg": dpkg.read,
        "rpm": rpm.read,
        "apk": apk.read,
        "pacman": pacman.read,
        "conda": conda.read,
        "python": python.read,
    }[manager]


def _package(manager: Manager, one: Listed, files: ImageFiles, compiled: Mapping[int, list[int]]) -> Package:
    tree = files.tree
    found = {row for path in one.paths if (row := files.row(path)) is not None}
    found |= {each for row in found for each in compiled.get(row, ())}
    rows = tuple(sorted(row for row in found if stat.S_ISREG(tree.modes[row])))
    size = sum(tree.sizes[row] for row in {files.firsts[row] for row in rows})
    return Package(
        manager=manager,
        name=one.name,
        version=one.version,
        architecture=one.architecture,
        place=one.place,
        rows=rows,
        size=size,
    )


def _compiled(files: ImageFiles) -> dict[int, list[int]]:
    """Sources to what interpreters compiled of them: `x/__pycache__/y.cpython-311.opt-1.pyc` is of `x/y.py`."""
    found: dict[int, list[int]] = defaultdict(list)
    for row, path in enumerate(files.tree.paths):
        if path.endswith(b".pyc"):
            folder, mark, name = path.rpartition(b"/__pycache__/")
            source = files.row("/" + os.fsdecode(folder + b"/" + name.partition(b".")[0] + b".py")) if mark else None
            if source is not None:
                found[source].append(row)
    return found
