"""Which MPI mpi4py's wheels open: they are built for no MPI, and look for one when they are imported.

    MPI4PY_LIBMPI            where it is set, and nowhere else
    PREFIX/lib/libmpi.so…    by its path, for the prefix of the virtual environment and of Python, /usr excepted
    libmpi.so…               by its name, as the loader finds it

What is opened by its path stays, whatever LD_LIBRARY_PATH says.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from sealift.evidence.files import ImageFiles
from sealift.evidence.packages import Package

VARIABLE = "MPI4PY_LIBMPI"
_NAMES = ("libmpi.so", "libmpi.so.12", "libmpi.so.40")
_SETTINGS_LIMIT = 1 << 16
_WHEEL = re.compile(r"MPI\.(mpich|openmpi|mpiabi)\..*\.so")
"""A module for each family; what is built from source has one, which the loader binds to its library."""


def opened_by_path(files: ImageFiles, packages: Iterable[Package], environment: Mapping[str, str]) -> str:
    """The library that mpi4py opens by its path; empty where the loader chooses, or where there is none."""
    for one in packages:
        if one.manager != "python" or one.name != "mpi4py":
            continue
        if not any(_WHEEL.fullmatch(name) for name in files.names(f"{one.place}/mpi4py")):
            continue
        said = environment.get(VARIABLE, "")
        folders = [f"{prefix}/lib/{name}" for prefix in _prefixes(files, one.place) for name in _NAMES]
        paths = said.split(":") if said else folders
        found = next((path for path in paths if "/" in path and files.file(path) is not None), "")
        if found:
            return found
    return ""


def _prefixes(files: ImageFiles, place: str) -> Iterator[str]:
    # Debian's Python has the prefix /usr, wherever its packages lie.
    match = re.fullmatch(r"(.+)/lib\d*/python[\d.]+t?/site-packages", place)
    if match is None:
        return
    row = files.file(f"{match[1]}/pyvenv.cfg")
    settings = files.read(row, _SETTINGS_LIMIT).decode("utf-8", "replace") if row is not None else ""
    prefixes = [match[1]]
    if re.search(r"(?mi)^include-system-site-packages\s*=\s*true", settings):
        prefixes += re.findall(r"(?m)^home\s*=\s*(\S+)/bin\s*$", settings)
    yield from (prefix for prefix in prefixes if prefix != "/usr")
