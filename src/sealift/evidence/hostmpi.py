"""Collects an MPI of this host that can lie over an image's: the library and all that it needs but the C library."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping

from sealift.core.mpi import HostMpi, family_of
from sealift.elf.reading import Elf, is_elf, read_elf
from sealift.errors import ImageError
from sealift.evidence.mpi import newest_glibc, read_library

_OF_GLIBC = re.compile(
    r"(ld-linux.*|ld64)\.so\.\d|lib(c|m|mvec|dl|pthread|rt|util|resolv|anl|nsl|nss_\w+|thread_db|BrokenLocale)\.so\.\d"
)
"""The image keeps its own: parts of two C libraries do not go together."""
_NAMES = {
    "mpich": (
        ("libmpi.so.12", "libmpifort.so.12", "libmpicxx.so.12"),
        ("libmpich.so.12", "libmpichfort.so.12", "libmpichcxx.so.12"),
    ),
    "openmpi": (("libmpi.so.40", "libmpi_mpifh.so.40"),),
    "standard": (("libmpi_abi.so.1",), ("libmpi_abi.so.0",)),
}
"""The names of an ABI family, with the libraries of other languages that have to come from the same build."""
_PLUGIN_FOLDERS = {"libucs.so.0": "ucx", "libfabric.so.1": "libfabric", "libmpi.so.40": "openmpi"}
"""The folder of plugins that lies beside a library."""
_FILES_LIMIT = 400

Find = Callable[[str], str | None]
"""Where this host's loader finds a library of that name."""


def collect(asked: str, find: Find) -> HostMpi | None:
    """The host's MPI for programs that ask for `asked`; None where the host has none of that ABI.

    One of the family under another name will do: the ABI is the same, so it is given the name that is asked for.
    """
    family = family_of(asked)
    if family is None or family == "none":
        return None
    sets = sorted(_NAMES[family], key=lambda names: names[0] != asked)
    wanted = next((names for names in sets if names[0] == asked), sets[0])
    for names in sets:
        path = find(names[0])
        library = read_library(os.path.realpath(path), _reader(path)) if path is not None else None
        if path is None or library is None:
            continue
        first = {mine: found for mine, theirs in zip(wanted, names, strict=False) if (found := find(theirs))}
        files, versions = _closure({**first, asked: path}, find)
        return HostMpi(library=library, files=files, folders=_plugins(files), glibc=newest_glibc(versions))
    return None


def _closure(first: dict[str, str], find: Find) -> tuple[dict[str, str], list[str]]:
    """The files by name, with what they need and what that needs; and the symbol versions that all of them need."""
    files: dict[str, str] = {}
    versions: list[str] = []
    todo = list(first.items())
    while todo and len(files) < _FILES_LIMIT:
        name, path = todo.pop()
        elf = _elf(path)
        if name in files or elf is None:
            continue
        files[name] = os.path.realpath(path)
        versions += [version for each in elf.versions_needed.values() for version in each]
        for needed in elf.needed:
            if needed not in files and not _OF_GLIBC.fullmatch(needed):
                found = _beside(path, elf, needed) or find(needed)
                if found is not None:
                    todo.append((needed, found))
    return files, versions


def _beside(path: str, elf: Elf, name: str) -> str | None:
    """Where the library's own search path has it."""
    origin = os.path.dirname(os.path.realpath(path))
    for folder in (elf.runpath or elf.rpath).split(":"):
        if folder:
            place = os.path.join(folder.replace("$ORIGIN", origin).replace("${ORIGIN}", origin), name)
            if os.path.isfile(place):
                return place
    return None


def _plugins(files: Mapping[str, str]) -> dict[str, str]:
    """The folders in which libraries look for their plugins, beside themselves."""
    found = {}
    for name, folder in _PLUGIN_FOLDERS.items():
        place = os.path.join(os.path.dirname(files.get(name, "")), folder)
        if name in files and os.path.isdir(place):
            found[folder] = place
    return found


def _elf(path: str) -> Elf | None:
    read = _reader(path)
    try:
        return read_elf(read) if is_elf(read(0, 64)) else None
    except (OSError, ImageError):
        return None


def _reader(path: str) -> Callable[[int, int], bytes]:
    def read(offset: int, size: int) -> bytes:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.pread(descriptor, size, offset)
        finally:
            os.close(descriptor)

    return read
