"""Reads what an ELF file asks of the system that loads it: 32 and 64 bits, little- and big-endian.

Nothing that the file says is believed: every place is checked, every chain ends, and every fault is an ImageError.
Only what is asked for is read, so that the file may lie in a compressed image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from sealift.elf.layout import (
    BASE,
    DYNAMIC,
    FLAGS_1,
    IDENTIFICATION,
    INTERP,
    KINDS,
    LOAD,
    MACHINES,
    MAGIC,
    NEEDED,
    PIE,
    RPATH,
    RUNPATH,
    SONAME,
    STRSZ,
    STRTAB,
    VERDEF,
    VERDEFNUM,
    VERNEED,
    VERNEEDNUM,
    Kind,
    Order,
    Records,
    records,
)
from sealift.errors import ImageError

Read = Callable[[int, int], bytes]
"""`read(offset, size)` gives the file's bytes there, fewer only where the file ends."""

NAME_LIMIT = 4096
"""Bytes of a name or path; a longer one is no such thing."""
_DYNAMIC_LIMIT = 1 << 16
_VERSIONS_LIMIT = 1 << 16
"""Pairs, and versions, that one file may have: real ones have hundreds at the most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """`size` bytes of the file at `offset` that are loaded to `address`."""

    offset: int
    address: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Elf:
    """What a file says of itself; empty where it says nothing.

    `machine` is OCI's word for the architecture. `kind` is `executable` for programs that can be loaded anywhere, too.
    `versions_needed` are the symbol versions by library, `versions_defined` those that the file gives to others.
    `dynamic` and `segments` lead to its tables, for `elf.symbols`.
    """

    machine: str
    bits: int
    byte_order: Order
    kind: Kind
    interpreter: str = ""
    soname: str = ""
    needed: tuple[str, ...] = ()
    rpath: str = ""
    runpath: str = ""
    versions_needed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    versions_defined: tuple[str, ...] = ()
    dynamic: Mapping[int, int] = field(default_factory=dict)
    segments: tuple[Segment, ...] = ()


def is_elf(head: bytes) -> bool:
    """Is this how an ELF file begins? `head` is the file's first 20 bytes or more."""
    return head.startswith(MAGIC) and len(head) >= 20 and head[4] in (1, 2) and head[5] in (1, 2)


def read_elf(read: Read) -> Elf:
    """Read the headers and the dynamic segment; ImageError for what is no ELF file, cut off or damaged."""
    head = read(0, IDENTIFICATION + 48)
    if not is_elf(head):
        raise ImageError("this is no ELF file")
    bits = 64 if head[4] == 2 else 32
    order: Order = "little" if head[5] == 1 else "big"
    form = records(bits, order)
    if len(head) < IDENTIFICATION + form.header.size:
        raise damaged("its header is cut off")
    kind, machine, _, _, place, _, _, _, size, count, *_ = form.header.unpack_from(head, IDENTIFICATION)
    headers = _program_headers(read, form, bits, place=place, size=size, count=count)
    segments = tuple(segment for type_, segment in headers if type_ == LOAD)
    pairs = [pair for type_, segment in headers if type_ == DYNAMIC for pair in _pairs(read, form, segment)]
    dynamic = dict(reversed(pairs))  # the first of a tag counts
    memory = Memory(read=read, segments=segments)

    def texts(*tags: int) -> tuple[str, ...]:
        return tuple(string(memory, dynamic, value) for tag, value in pairs if tag in tags)

    loose = KINDS.get(kind, "other")
    return Elf(
        machine=MACHINES.get((machine, bits, order), ""),
        bits=bits,
        byte_order=order,
        kind="executable" if dynamic.get(FLAGS_1, 0) & PIE and loose == "shared" else loose,
        interpreter=next((_interpreter(read, segment) for type_, segment in headers if type_ == INTERP), ""),
        soname=next(iter(texts(SONAME)), ""),
        needed=texts(NEEDED),
        rpath=":".join(texts(RPATH)),
        runpath=":".join(texts(RUNPATH)),
        versions_needed=_versions_needed(memory, form, dynamic),
        versions_defined=_versions_defined(memory, form, dynamic),
        dynamic=dynamic,
        segments=segments,
    )


def damaged(what: str) -> ImageError:
    return ImageError(f"the ELF file is damaged: {what}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """The file as it would stand in memory."""

    read: Read
    segments: tuple[Segment, ...]

    def at(self, address: int, size: int, what: str) -> bytes:
        """`size` bytes at an address; ImageError naming `what` where the file has none or fewer there."""
        found = self.up_to(address, size, what)
        if len(found) < size:
            raise damaged(f"{what} is cut off")
        return found

    def up_to(self, address: int, size: int, what: str) -> bytes:
        """At most `size` bytes at an address, as far as its segment goes; at least one, else ImageError."""
        for segment in self.segments:
            into = address - segment.address
            if 0 <= into < segment.size:
                found = self.read(segment.offset + into, min(size, segment.size - into))
                if found or not size:
                    return found
        raise damaged(f"{what} lies in no segment")


def string(memory: Memory, dynamic: Mapping[int, int], place: int) -> str:
    """The name at `place` of the string table; bytes that are not UTF-8 appear as surrogate escapes."""
    if STRTAB not in dynamic or place >= dynamic.get(STRSZ, 0):
        raise damaged("a name lies outside its string table")
    found = b""
    room = min(dynamic[STRSZ] - place, NAME_LIMIT)
    while b"\0" not in found:
        if len(found) >= room:
            raise damaged("a name has no end")
        found += memory.up_to(dynamic[STRTAB] + place + len(found), min(64, room - len(found)), "a name")
    return found.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _program_headers(
    read: Read, form: Records, bits: int, *, place: int, size: int, count: int
) -> list[tuple[int, Segment]]:
    if count == 0:
        return []
    if size != form.segment.size:
        raise damaged(f"its program headers have {size} bytes instead of {form.segment.size}")
    raw = read(place, size * count)
    if len(raw) < size * count:
        raise damaged("its program headers are cut off")
    found = []
    for fields in form.segment.iter_unpack(raw):
        offset, address, in_file = (
            (fields[2], fields[3], fields[5]) if bits == 64 else (fields[1], fields[2], fields[4])
        )
        found.append((fields[0], Segment(offset=offset, address=address, size=in_file)))
    return found


def _pairs(read: Read, form: Records, segment: Segment) -> Iterator[tuple[int, int]]:
    size = min(segment.size // form.pair.size, _DYNAMIC_LIMIT) * form.pair.size
    raw = read(segment.offset, size)
    for tag, value in form.pair.iter_unpack(raw[: len(raw) // form.pair.size * form.pair.size]):
        if tag == 0:
            return
        yield tag, value
    if size:
        raise damaged("its dynamic segment has no end")


def _interpreter(read: Read, segment: Segment) -> str:
    raw = read(segment.offset, min(segment.size, NAME_LIMIT))
    if b"\0" not in raw:
        raise damaged("the path of its interpreter has no end")
    return raw.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _versions_needed(memory: Memory, form: Records, dynamic: Mapping[int, int]) -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    address = dynamic.get(VERNEED, 0)
    left = _VERSIONS_LIMIT
    for _ in range(min(dynamic.get(VERNEEDNUM, 0), _VERSIONS_LIMIT) if address else 0):
        _, count, file, below, further = form.need.unpack(memory.at(address, form.need.size, "a needed version"))
        names = []
        place = address + below
        left -= count + 1
        if left < 0:
            raise damaged("it needs more versions than there can be")
        for _ in range(count):
            _, _, _, name, next_ = form.need_below.unpack(memory.at(place, form.need_below.size, "a needed version"))
            names.append(string(memory, dynamic, name))
            if next_ == 0:
                break
            place += next_
        library = string(memory, dynamic, file)
        found[library] = found.get(library, ()) + tuple(names)
        if further == 0:
            break
        address += further
    return found


def _versions_defined(memory: Memory, form: Records, dynamic: Mapping[int, int]) -> tuple[str, ...]:
    found = []
    address = dynamic.get(VERDEF, 0)
    for _ in range(min(dynamic.get(VERDEFNUM, 0), _VERSIONS_LIMIT) if address else 0):
        raw = memory.at(address, form.definition.size, "a version")
        _, flags, _, _, _, below, further = form.definition.unpack(raw)
        name, _ = form.definition_below.unpack(memory.at(address + below, form.definition_below.size, "a version"))
        if not flags & BASE:
            found.append(string(memory, dynamic, name))
        if further == 0:
            break
        address += further
    return tuple(found)
