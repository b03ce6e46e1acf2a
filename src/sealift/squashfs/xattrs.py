"""Extended attributes: the squashfs table of them, written and read.

    keys and values, in metadata blocks; a set of attributes is a run of
        u16 prefix (0 user., 1 trusted., 2 security.; 0x100: the value lies elsewhere)
        u16 length   name without its prefix
        u32 length   value, or a 64-bit reference to the length and value of an equal one
    records, in metadata blocks; an inode names its set by the record's number
        u64 reference to the set's first key · u32 attributes in the set · u32 bytes of the set
    header: u64 offset of the first metadata block of keys · u32 records · u32 0; then the records' index

squashfs knows the three prefixes above and no other: POSIX ACLs (`system.posix_acl_access`), for instance, cannot be
held. Whoever makes a tree for a squashfs leaves such names out, with a word to the user: see `can_hold`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence

from sealift.core.tree import Xattrs
from sealift.errors import ImageError
from sealift.squashfs.compression import Compression
from sealift.squashfs.layout import NO_TABLE, Superblock
from sealift.squashfs.metadata import MetadataReader, MetadataWriter, Pread, pack_table, read_table

_PREFIXES = (b"user.", b"trusted.", b"security.")
_ELSEWHERE = 0x100
_KEY = struct.Struct("<HH")
_LENGTH = struct.Struct("<I")
_REFERENCE = struct.Struct("<Q")
_RECORD = struct.Struct("<QII")
_VALUE_LIMIT = 65536
"""Linux, XATTR_SIZE_MAX; names are limited to 255 bytes (XATTR_NAME_MAX)."""
_SET_LIMIT = 1 << 20


def can_hold(name: bytes) -> bool:
    """Can squashfs hold an attribute of this full name?"""
    return name.startswith(_PREFIXES) and len(name) <= 255


class XattrWriter:
    """Gives each set of attributes that is used a number, in the order of first use, and makes the table."""

    def __init__(self, sets: Sequence[Xattrs]) -> None:
        self._sets = sets
        self._numbers: dict[int, int] = {}

    def number(self, chosen: int) -> int:
        """The number of `sets[chosen]` in the table; not to be asked for an empty set."""
        return self._numbers.setdefault(chosen, len(self._numbers))

    def table(self, start: int, compression: Compression) -> tuple[bytes, int]:
        """The table as it will lie at `start`, and where its header will be; (b"", NO_TABLE) when it is empty."""
        if not self._numbers:
            return b"", NO_TABLE
        keys = MetadataWriter(compression)
        known: dict[bytes, int] = {}
        records = bytearray()
        for chosen in self._numbers:
            reference = keys.reference
            size = 0
            for name, value in self._sets[chosen]:
                size += _append(keys, known, name, value)
            records += _RECORD.pack(reference, len(self._sets[chosen]), size)
        pairs = keys.finish()
        blocks, index = pack_table(bytes(records), start + len(pairs), compression)
        header = _RECORD.pack(start, len(self._numbers), 0)
        return pairs + blocks + header + index, start + len(pairs) + len(blocks)


def _append(keys: MetadataWriter, known: dict[bytes, int], name: bytes, value: bytes) -> int:
    if not can_hold(name):
        raise ImageError(f"squashfs cannot hold the extended attribute `{name.decode(errors='replace')}`")
    if len(value) > _VALUE_LIMIT:
        raise ImageError(
            f"the extended attribute `{name.decode(errors='replace')}` has {len(value)} bytes;"
            f" Linux allows {_VALUE_LIMIT}"
        )
    kind = next(number for number, prefix in enumerate(_PREFIXES) if name.startswith(prefix))
    rest = name[len(_PREFIXES[kind]) :]
    where = known.get(value)
    if where is not None:
        stored = _KEY.pack(kind | _ELSEWHERE, len(rest)) + rest + _LENGTH.pack(8) + _REFERENCE.pack(where)
        keys.append(stored)
        return len(stored)
    key = _KEY.pack(kind, len(rest)) + rest
    keys.append(key)
    if len(value) > _REFERENCE.size:
        known[value] = keys.reference
    keys.append(_LENGTH.pack(len(value)) + value)
    return len(key) + 4 + len(value)


class XattrReader:
    """The sets of an image by their numbers; every set is read once."""

    def __init__(self, pread: Pread, superblock: Superblock) -> None:
        header = pread(_RECORD.size, superblock.xattr_table)
        if len(header) < _RECORD.size:
            raise _damaged("it is cut off")
        start, self._count, _ = _RECORD.unpack(header)
        self._records, end = read_table(
            pread,
            compressor=superblock.compressor,
            index=superblock.xattr_table + _RECORD.size,
            size=self._count * _RECORD.size,
            limit=superblock.bytes_used,
            name="xattr",
        )
        if start > end:
            raise _damaged("its keys lie behind its records")
        self._keys = MetadataReader(pread, compressor=superblock.compressor, start=start, end=end, name="xattr")
        self._sets: dict[int, Xattrs] = {}

    def read(self, number: int) -> Xattrs:
        """The set of this number, sorted by name; ImageError when there is none."""
        if number in self._sets:
            return self._sets[number]
        if number >= self._count:
            raise _damaged("an inode names a set that does not exist")
        reference, count, _size = _RECORD.unpack_from(self._records, number * _RECORD.size)
        found = self._sets[number] = tuple(sorted(self._pairs(reference, count)))
        return found

    def _pairs(self, reference: int, count: int) -> Iterable[tuple[bytes, bytes]]:
        total = 0
        for _ in range(count):
            raw, reference = self._keys.read(reference, _KEY.size)
            kind, length = _KEY.unpack(raw)
            if kind & 0xFF >= len(_PREFIXES) or length > 255:
                raise _damaged("a name is wrong")
            rest, reference = self._keys.read(reference, length)
            value, reference = self._value(reference)
            if kind & _ELSEWHERE:
                if len(value) != _REFERENCE.size:
                    raise _damaged("a value is wrong")
                value, _ = self._value(_REFERENCE.unpack(value)[0])
            total += 8 + length + len(value)
            if total > _SET_LIMIT:
                raise _damaged("a set is too large")
            yield _PREFIXES[kind & 0xFF] + rest, value

    def _value(self, reference: int) -> tuple[bytes, int]:
        raw, reference = self._keys.read(reference, _LENGTH.size)
        (length,) = _LENGTH.unpack(raw)
        if length > _VALUE_LIMIT:
            raise _damaged("a value is too large")
        return self._keys.read(reference, length)


def _damaged(what: str) -> ImageError:
    return ImageError(f"the squashfs is damaged in its xattr table: {what}", hints=("fetch or build the image again",))
