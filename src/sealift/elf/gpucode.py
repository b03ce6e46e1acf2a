"""Which GPUs the code inside a program or library was compiled for.

NVIDIA's compilers put their code into the section `.nv_fatbin`, AMD's into `.hip_fatbin`: chains of containers.

    .nv_fatbin   u32 magic ba55ed50 · u16 version · u16 own size · u64 size of what follows
                 then parts: u16 kind (1 PTX, 2 machine code) · u16 version · u32 own size · u64 size of what follows
                 · u32 packed size · u32 · u16 minor · u16 major · u32 architecture (80 for sm_80) …
                 The two numbers are those of PTX's own version, by which CUDA's is known; of machine code they are of
                 its form. Machine code is an ELF file, in which newer compilers leave their name and version.
    .hip_fatbin  "__CLANG_OFFLOAD_BUNDLE__" · u64 number of parts
                 a part: u64 offset · u64 size · u64 size of the name · name (hipv4-amdgcn-amd-amdhsa--gfx90a:xnack-)

Sections are named in the table of section headers, which every library that a compiler made still has. NVIDIA documents
its form nowhere: this is what its own `cuobjdump` tells of the same files, and what open readers have found.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from sealift.core.mpi import version_numbers
from sealift.elf.reading import Read, is_elf

NVIDIA_SECTION, AMD_SECTION = ".nv_fatbin", ".hip_fatbin"
_SECTION = struct.Struct("<IIQQQQIIQQ")
_CONTAINER = struct.Struct("<IHHQ")
_PART = struct.Struct("<HHIQIIHHI")
_MAGIC = 0xBA55ED50
_OBJECT = b"\1\0"
_PTX, _CODE = 1, 2
_BUNDLE = b"__CLANG_OFFLOAD_BUNDLE__"
_TARGET = re.compile(rb"--(gfx[0-9a-f]+)")
_COMPILER = re.compile(rb"Cuda compilation tools, release (\d+\.\d+)")
_NOTE_WITHIN = 1 << 16
_CUDA_OF_PTX = {
    **{(6, minor): cuda for minor, cuda in enumerate(("9.0", "9.1", "9.2", "10.0", "10.1", "10.2"))},
    **{(7, minor): f"11.{minor}" for minor in range(9)},
    **{(8, minor): f"12.{minor}" for minor in range(6)},
    **{(8, minor): f"12.{minor + 1}" for minor in (6, 7, 8)},
    **{(9, minor): f"13.{minor}" for minor in range(3)},
}
"""The oldest CUDA that writes each version of PTX, by the release notes of PTX: 8.5 is that of 12.5 and 12.6."""
_CONTAINERS = 64
"""What a compiler does for one source file it does for all: so many say what a library of thousands was built for."""
_PARTS_LIMIT = 4096
_SECTIONS_LIMIT = 4096
_SEARCHED = 1 << 16
"""Bytes between two containers, which only fill up to a boundary."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuCode:
    """`code` are targets of machine code (`sm_80`, `gfx90a`), `ptx` those of what a driver compiles (`compute_90`).

    `cuda` is the newest version of CUDA that any of it was compiled with, empty where it does not tell.
    """

    code: tuple[str, ...] = ()
    ptx: tuple[str, ...] = ()
    cuda: str = ""

    def __or__(self, other: GpuCode) -> GpuCode:
        """The code of both."""
        return GpuCode(
            code=tuple(dict.fromkeys((*self.code, *other.code))),
            ptx=tuple(dict.fromkeys((*self.ptx, *other.ptx))),
            cuda=max(self.cuda, other.cuda, key=version_numbers),
        )


def read_gpu_code(read: Read) -> GpuCode | None:
    """What the file has for GPUs; None where it has nothing, or its form is not known. Reads headers only."""
    code, ptx, versions = set[str](), set[str](), {""}
    for name, offset, size in _sections(read):
        if name == NVIDIA_SECTION:
            for kind, architecture, version in _nvidia(read, offset, size):
                versions.add(version)
                if kind == _CODE:
                    code.add(f"sm_{architecture}")
                elif kind == _PTX:
                    ptx.add(f"compute_{architecture}")
        elif name == AMD_SECTION:
            code.update(_amd(read, offset, size))
    if not (code or ptx):
        return None
    return GpuCode(
        code=tuple(sorted(code, key=_order)),
        ptx=tuple(sorted(ptx, key=_order)),
        cuda=max(sorted(versions), key=version_numbers),
    )


def _order(target: str) -> tuple[int, str]:
    number = target.rpartition("_")[2]
    return (int(number) if number.isdecimal() else 0, target)


def _sections(read: Read) -> Iterator[tuple[str, int, int]]:
    """Name, offset and size of the sections of a little-endian program or library of 64 bits; none of others."""
    head = read(0, 64)
    if not is_elf(head) or len(head) < 64 or head[4:6] != b"\x02\x01" or head[16:18] == _OBJECT:
        return
    (place,) = struct.unpack_from("<Q", head, 40)
    size, count, names = struct.unpack_from("<3H", head, 58)
    if not place or size != _SECTION.size or not names < count <= _SECTIONS_LIMIT:
        return
    raw = read(place, size * count)
    if len(raw) < size * count:
        return
    rows = [_SECTION.unpack_from(raw, number * size) for number in range(count)]
    texts = read(rows[names][4], min(rows[names][5], 1 << 20))
    for row in rows:
        name = texts[row[0] : row[0] + 64].partition(b"\0")[0]
        yield name.decode("ascii", "replace"), row[4], row[5]


def _nvidia(read: Read, offset: int, size: int) -> Iterator[tuple[int, int, str]]:
    """Kind, architecture and version of CUDA of the parts of the first containers."""
    place, end, parts, compiler = offset, offset + size, 0, ""
    for _ in range(_CONTAINERS):
        found = _next_container(read, place, end)
        if found is None:
            return
        at, length = found
        place = at + length
        while at + _PART.size <= min(place, end):
            raw = read(at, _PART.size)
            parts += 1
            if len(raw) < _PART.size or parts > _PARTS_LIMIT:
                return
            kind, _, own, below, _, _, minor, major, architecture = _PART.unpack(raw)
            if own < _PART.size:
                return
            version = _CUDA_OF_PTX.get((major, minor), "") if kind == _PTX else ""
            if kind == _CODE and not compiler:
                compiler = version = _compiler(read, at + own, below)
            yield kind, architecture, version
            at += own + below


def _compiler(read: Read, offset: int, size: int) -> str:
    """The version of the compiler that made this machine code, unless it is packed or older than that note."""
    raw = read(offset, min(size, _NOTE_WITHIN))
    found = _COMPILER.search(raw) if is_elf(raw[:64]) else None
    return found[1].decode("ascii") if found else ""


def _next_container(read: Read, place: int, end: int) -> tuple[int, int] | None:
    """Where the parts of the next container begin, and their size."""
    if place + _CONTAINER.size > end:
        return None
    raw = read(place, _CONTAINER.size)
    skipped = 0
    if len(raw) == _CONTAINER.size and raw[:4] == b"\0\0\0\0":
        filler = read(place, min(_SEARCHED, end - place))
        skipped = filler.find(struct.pack("<I", _MAGIC))
        if skipped < 0:
            return None
        raw = filler[skipped : skipped + _CONTAINER.size]
    if len(raw) < _CONTAINER.size:
        return None
    magic, _, own, length = _CONTAINER.unpack(raw)
    if magic != _MAGIC or own < _CONTAINER.size:
        return None
    return place + skipped + own, length


def _amd(read: Read, offset: int, size: int) -> Iterator[str]:
    """The targets of the first bundle: all bundles of a library have the same."""
    raw = read(offset, min(size, 1 << 16))
    if raw.startswith(_BUNDLE):
        for found in _TARGET.finditer(raw.partition(b"\x7fELF")[0]):
            yield found[1].decode("ascii")
