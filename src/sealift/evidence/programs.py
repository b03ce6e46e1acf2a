"""The programs that somebody built for an image: ELF files that no package of the distribution or of conda brought."""

from __future__ import annotations

import itertools
import os
import posixpath
import re
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sealift.elf.reading import Elf, is_elf, read_elf
from sealift.errors import ImageError
from sealift.evidence.files import ImageFiles
from sealift.evidence.opening import OpenImage
from sealift.evidence.packages import Package
from sealift.evidence.searching import Found, open_file

_NOT_OWN = re.compile(
    r"(?:proc|sys|dev|run|tmp|boot|\.singularity\.d|usr/local/cuda[^/]*|opt/rocm[^/]*|opt/nvidia)/|"
    r"(?:usr/)?lib(?:32|64)?/|.*/(?:site|dist)-packages/"
)
"""Below these lie systems' files, toolkits, and what Python's packages bring along."""
_LIBRARY = re.compile(rb".*\.so(\.[0-9.]+)?")
SYSTEM = re.compile(r"(?:usr/)?(?:s?bin|lib(?:32|64|exec)?)/")
"""Below these lie the distribution's own files: looked at last, for its packages cannot always be read."""
_LIMIT = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """`file` reads it. `folders` are those of its own search path, `first` if they go before LD_LIBRARY_PATH."""

    path: str
    file: Found
    elf: Elf

    @property
    def first(self) -> bool:
        # With a RUNPATH beside it a RPATH does not count, and a RUNPATH comes behind LD_LIBRARY_PATH.
        return bool(self.elf.rpath) and not self.elf.runpath

    @property
    def folders(self) -> tuple[str, ...]:
        origin = posixpath.dirname(self.file.path)
        text = (self.elf.runpath or self.elf.rpath).replace("${ORIGIN}", origin).replace("$ORIGIN", origin)
        return tuple(posixpath.normpath(each) for each in text.split(":") if each.startswith("/"))


def own_programs(image: OpenImage, files: ImageFiles, packages: Iterable[Package]) -> tuple[Program, ...]:
    """The first of them, those outside the distribution's folders before others; what is damaged is passed over."""
    brought = {row for one in packages if one.manager != "python" for row in one.rows}
    paths = [
        os.fsdecode(raw)
        for row, raw in enumerate(files.tree.paths)
        if stat.S_ISREG(mode := files.tree.modes[row]) and mode & 0o111 and row not in brought
        if not _LIBRARY.fullmatch(raw)
    ]
    paths.sort(key=lambda path: SYSTEM.match(path) is not None)
    programs = (read_program(image, f"/{path}") for path in paths if not _NOT_OWN.match(path))
    return tuple(itertools.islice((program for program in programs if program is not None), _LIMIT))


def read_program(image: OpenImage, path: str) -> Program | None:
    """The ELF file that `path` leads to; None where there is none that can be read."""
    file = open_file(image, path)
    if file is None or not is_elf(file.read(0, 64)):
        return None
    try:
        return Program(path=path, file=file, elf=read_elf(file.read))
    except ImageError:
        return None


def needed_by(image: OpenImage, program: Program) -> Iterator[str]:
    """What it needs, and what those libraries need that lie beside it or where its own paths lead."""
    yield from program.elf.needed
    places = (*program.folders, posixpath.dirname(program.file.path), "/usr/local/lib")
    for soname in program.elf.needed:
        below = next((one for place in places if (one := read_program(image, f"{place}/{soname}"))), None)
        if below is not None:
            yield from below.elf.needed
