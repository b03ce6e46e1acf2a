"""Directory listings: the records of the directory table.

A listing is a row of runs, each of a header and up to 256 entries, in the order of the names as bytes:

    header  u32 entries - 1 · u32 block of their inodes · u32 an inode number
    entry   u16 offset of the inode in that block · s16 its number less the header's · u16 type · u16 length - 1; name

A run ends where the next inode lies in another block, or its number is too far from the header's. In a listing that
fills more than one metadata block a run also ends where a block does, and each further block's first header gets an
**index** behind the directory's inode, so that a look-up reads one block and not the whole listing:

    u32 place of the header in the listing · u32 its block in the directory table · u32 length - 1; first name

Source: Linux fs/squashfs/namei.c and dir.c.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sealift.errors import ImageError
from sealift.squashfs.layout import METADATA_SIZE, NAME_LIMIT, SOCKET
from sealift.squashfs.metadata import MetadataReader, MetadataWriter

Child = tuple[bytes, int, int, int]
"""Name, reference of the inode, its number, its basic type."""

_HEADER = struct.Struct("<III")
_ENTRY = struct.Struct("<HhHH")
_INDEX = struct.Struct("<III")
_RUN_LIMIT = 256
_LONGEST_RUN = _HEADER.size + _RUN_LIMIT * (_ENTRY.size + NAME_LIMIT)
_PIECE = 1 << 18
"""What is read of a listing at once: the size that an inode claims is not to be believed."""
LISTING_LIMIT = 0x7FFF_0000
"""Linux keeps the listing's size in a signed 32-bit number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """A listing as it was written: its reference, its size in bytes, and its indexes as they go behind the inode."""

    reference: int
    size: int
    indexes: bytes
    index_count: int


def write_listing(table: MetadataWriter, children: Iterable[Child], *, indexed: bool) -> Listing:
    """Append the listing of `children`, who come in the order of their names.

    `indexed` asks for indexes: what the writer does for listings larger than one metadata block.
    """
    reference = table.reference
    size = 0
    indexes: list[bytes] = []
    run = bytearray(_HEADER.size)
    count = 0
    block = base = place = 0
    room = METADATA_SIZE - (reference & 0xFFFF) if indexed else LISTING_LIMIT
    last_block = reference >> 16
    pack_entry = _ENTRY.pack
    for name, inode, number, kind in children:
        delta = number - base
        if (
            not count
            or inode >> 16 != block
            or count == _RUN_LIMIT
            or not -0x8000 <= delta <= 0x7FFF
            or len(run) >= room
        ):
            if count:
                _HEADER.pack_into(run, 0, count - 1, block, base)
                table.append(run)
                size += len(run)
                del run[_HEADER.size :]
            if indexed:
                place = table.reference
                if place >> 16 != last_block:
                    indexes.append(_INDEX.pack(size, place >> 16, len(name) - 1) + name)
                    last_block = place >> 16
                room = METADATA_SIZE - (place & 0xFFFF)
            count, block, base, delta = 0, inode >> 16, number, 0
        run += pack_entry(inode & 0xFFFF, delta, kind, len(name) - 1)
        run += name
        count += 1
    if count:
        _HEADER.pack_into(run, 0, count - 1, block, base)
        table.append(run)
        size += len(run)
    if size > LISTING_LIMIT or len(indexes) > 0xFFFF:
        raise ImageError("a directory has more entries than squashfs can hold")
    return Listing(reference=reference, size=size, indexes=b"".join(indexes), index_count=len(indexes))


def read_listing(table: MetadataReader, reference: int, size: int) -> Iterator[tuple[bytes, int, int]]:
    """Give name, inode reference and basic type of each entry of a listing of `size` bytes, in the image's order.

    Raises ImageError for names that no directory can hold, and for a listing that does not end where it should.
    """
    data, position = b"", 0
    unpack_entry = _ENTRY.unpack_from
    while size > 0 or position < len(data):
        if size > 0 and len(data) - position < _LONGEST_RUN:
            piece, reference = table.read(reference, min(size, _PIECE))
            data, position = data[position:] + piece, 0
            size -= len(piece)
        try:
            count, block, _base = _HEADER.unpack_from(data, position)
            position += _HEADER.size
            if count >= _RUN_LIMIT:
                raise _damaged("a run has too many entries")
            for _ in range(count + 1):
                offset, _delta, kind, length = unpack_entry(data, position)
                position += 9 + length
                name = data[position - length - 1 : position]
                if length >= NAME_LIMIT or not 1 <= kind <= SOCKET or offset > METADATA_SIZE:
                    raise _damaged("an entry is wrong")
                if position > len(data):
                    raise _damaged("a listing ends in the middle of an entry")
                if b"/" in name or b"\0" in name or name in (b".", b".."):
                    raise _damaged(f"an entry has the name {name!r}")
                yield name, block << 16 | offset, kind
        except struct.error as error:
            raise _damaged("a listing ends in the middle of an entry") from error


def _damaged(what: str) -> ImageError:
    return ImageError(
        f"the squashfs is damaged in its directory table: {what}", hints=("fetch or build the image again",)
    )
