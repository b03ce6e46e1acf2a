"""Which MPI the programs of an image use, each seen for itself: an image may have several, and programs for each."""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from sealift.core.mpi import ImageMpi, family_of
from sealift.evidence.files import ImageFiles
from sealift.evidence.mpi import answering, asked_by, mpi_inside
from sealift.evidence.opening import OpenImage
from sealift.evidence.packages import Package
from sealift.evidence.programs import Program, read_program

_MODULE = re.compile(r"(.*/(?:site|dist)-packages/)mpi4py/MPI\.[^/]*so")
_TOOL = re.compile(r"mpi(exec|run|chversion|vars)|hydra|ompi|orte|prte|pmix|IMB-|cpuinfo|impi_info")
"""Programs that come with an MPI itself: their texts speak of it, and none is somebody's solver."""
_INSIDE_LIMIT = 1 << 30
_LEAST_INSIDE = 256 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class MpiUse:
    """One MPI of an image as some of its programs see it: `mpi` begins with the library that they ask for.

    `users` are paths of programs, and packages by name and version. `fixed` are those whose own RPATH, which goes
    before LD_LIBRARY_PATH, leads to the image's library.
    """

    mpi: ImageMpi
    users: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asks:
    user: str
    sonames: tuple[str, ...]
    """Any of them will do."""
    fixed: bool = False


def find_uses(
    image: OpenImage, files: ImageFiles, mpi: ImageMpi, programs: Iterable[Program], packages: Iterable[Package]
) -> tuple[MpiUse, ...]:
    """One for each MPI that something uses; one without users where nobody is known to; none in an image without MPI.

    `mpi` is what is in the image, seen from no program. What its own libraries answer to comes first.
    """
    programs = tuple(programs)
    asks = [*_by_programs(image, programs), *_by_packages(image, files, packages)]
    here = [each.soname for each in mpi.libraries]
    by_name: dict[str, list[_Asks]] = {}
    for each in asks:
        name = next((soname for soname in here if soname in each.sonames), each.sonames[0])
        by_name.setdefault(name, []).append(each)
    order = sorted(by_name, key=lambda name: here.index(name) if name in here else len(here))
    uses = [
        MpiUse(
            mpi=replace(mpi, libraries=answering(mpi.libraries, name), asked=name, static=(), static_family="none"),
            users=tuple(each.user for each in by_name[name]),
            fixed=tuple(each.user for each in by_name[name] if each.fixed),
        )
        for name in order
    ]
    inside = _inside(mpi, programs, {each.user for each in asks})
    if inside is not None:
        uses.append(inside)
    return tuple(uses) or ((MpiUse(mpi=mpi),) if mpi.family != "none" else ())


def _by_programs(image: OpenImage, programs: Iterable[Program]) -> Iterator[_Asks]:
    for program in programs:
        name = "" if _TOOL.match(posixpath.basename(program.path)) else asked_by(image, program)
        if name:
            fixed = program.first and any(read_program(image, f"{folder}/{name}") for folder in program.folders)
            yield _Asks(user=program.path, sonames=(name,), fixed=fixed)


def _by_packages(image: OpenImage, files: ImageFiles, packages: Iterable[Package]) -> Iterator[_Asks]:
    """mpi4py: its module was compiled for one MPI; wheels have one for each, of which the one that loads is taken."""
    modules: dict[str, list[str]] = {}
    for raw in files.tree.paths:
        found = _MODULE.fullmatch(os.fsdecode(raw)) if b"/mpi4py/MPI." in raw else None
        program = read_program(image, f"/{found[0]}") if found else None
        if found is not None and program is not None:
            names = [soname for soname in program.elf.needed if family_of(soname) is not None]
            modules.setdefault(f"/{found[1]}".rstrip("/"), []).extend(names)
    versions = {one.place: one.version for one in packages if one.name == "mpi4py" and one.manager == "python"}
    for place, names in modules.items():
        if names:
            version = versions.get(place, "")
            yield _Asks(user=f"mpi4py {version}".rstrip(), sonames=tuple(sorted(names)))


def _inside(mpi: ImageMpi, programs: Iterable[Program], users: set[str]) -> MpiUse | None:
    """Programs that carry an MPI; where no library is, `mpi` has them already."""
    if mpi.static:
        return MpiUse(mpi=mpi, users=mpi.static)
    found, left = [], _INSIDE_LIMIT
    for program in programs:
        size = program.file.size
        if program.path in users or _TOOL.match(posixpath.basename(program.path)) or not _LEAST_INSIDE <= size <= left:
            continue
        left -= size
        found += [(program.path, family) for family in mpi_inside(program.file)]
    if not found:
        return None
    static = tuple(path for path, family in found if family == found[0][1])
    return MpiUse(mpi=replace(mpi, libraries=(), static=static, static_family=found[0][1]), users=static)
