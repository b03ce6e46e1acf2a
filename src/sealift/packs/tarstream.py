"""Tar archives read once, as a stream: what a layer's entries say, and their data in the order in which it comes.

Formats: POSIX ustar and pax (pubs.opengroup.org, `pax`, "pax Interchange Format"), GNU tar (gnu.org, "Basic Tar
Format": long names, base-256 numbers, old sparse headers; "Storing Sparse Files": 0.0, 0.1, 1.0), star's prefix, v7.
A header is one block of 512 bytes:

    0    name 100 | mode 8 | uid 8 | gid 8 | size 12 | mtime 12 | checksum 8 | type 1 | link name 100
    257  magic 6 | version 2 | user name 32 | group name 32 | major 8 | minor 8 | prefix 155 | 12 unused
"""

from __future__ import annotations

import re
import stat
import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

from sealift.core.epoch import clamp
from sealift.core.tree import Xattrs
from sealift.errors import ImageError
from sealift.packs.tarfields import (
    device_number,
    old_segments,
    parse_decimal,
    parse_number,
    parse_seconds,
    pax_records,
    pax_xattrs,
    show_name,
)

BLOCK = 512
_HEADER = struct.Struct("100s8s8s8s12s12s8s1s100s6s2s32s32s8s8s155s12s")
_ZEROS = bytes(BLOCK)
LONGEST_RECORD = 1 << 20
"""Go's archive/tar refuses larger name and pax records too."""
LARGEST_FILE = 1 << 44
"""16 TiB: a sparse header may name any size, and its zeros have to be hashed."""
MOST_SEGMENTS = 1 << 20
LONGEST_NAME = 255
"""NAME_MAX of Linux; squashfs itself could hold 256."""
LONGEST_PATH = 4096
"""PATH_MAX of Linux; it also bounds how deep a tree can be."""

Segments = tuple[tuple[int, int], ...]
"""Where a sparse file has data: (offset, length) ascending; all else is zeros."""


class Member(NamedTuple):
    """One entry of an archive.

    `path` is normalised (no leading slash, no `.` or `..`; the root is `b""`). `mode` includes the type bits; those
    of a hard link are a regular file's and `hard_link` is its target, normalised too, else None. `size` is the
    file's whole size; `stored` the bytes that follow in the stream; they differ for sparse files only.
    """

    path: bytes
    mode: int
    uid: int
    gid: int
    mtime: int
    size: int
    stored: int
    link: bytes
    hard_link: bytes | None
    rdev: int
    xattrs: Xattrs
    segments: Segments | None


class TarReader:
    """Iterates the members of a plain tar stream; `take` hands out the current member's data.

    What a consumer leaves is passed over. Raises ImageError for a damaged or truncated archive.
    """

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._chunk = b""
        self._view = memoryview(b"")
        self._at = 0
        self._left = 0
        self._padding = 0
        self._numbers: dict[bytes, int] = {}
        self._globals: dict[bytes, bytes] = {}

    def __iter__(self) -> Iterator[Member]:
        while True:
            self._skip(self._left + self._padding)
            self._left = self._padding = 0
            member = self._next()
            if member is None:
                self._drain()
                return
            yield member

    def take(self, count: int) -> memoryview:
        """Exactly `count` bytes of the current member's data; they stay valid as long as they are held."""
        self._left -= count
        if self._left < 0:
            raise ValueError("more than the member has")
        return self._read(count)

    def take_run(self, unit: int, most: int) -> memoryview:
        """At least `unit` and at most `most` bytes in whole `unit`s, as many as lie together without copying."""
        here = len(self._chunk) - self._at
        most = min(most, self._left)
        return self.take(min(most - most % unit, max(unit, here - here % unit)))

    # -- the stream below -------------------------------------------------------------------------------------

    def _read(self, count: int) -> memoryview:
        at = self._at
        end = at + count
        if end <= len(self._chunk):
            self._at = end
            return self._view[at:end]
        pieces = [self._view[at:]]
        missing = end - len(self._chunk)
        while True:
            chunk = next(self._chunks, None)
            if chunk is None:
                raise ImageError("the tar archive is cut off")
            if missing <= len(chunk):
                break
            pieces.append(memoryview(chunk))
            missing -= len(chunk)
        self._chunk = chunk
        self._view = memoryview(chunk)
        self._at = missing
        pieces.append(self._view[:missing])
        return memoryview(b"".join(pieces))

    def _skip(self, count: int) -> None:
        while count > 0:
            here = min(count, max(len(self._chunk) - self._at, 1))
            self._read(here)
            count -= here

    def _header(self) -> bytes | None:
        """The next block, or None at the end of the archive."""
        at = self._at
        if at + BLOCK <= len(self._chunk):
            self._at = at + BLOCK
            return self._chunk[at : at + BLOCK]
        if at == len(self._chunk):
            chunk = next((c for c in self._chunks if c), None)
            if chunk is None:
                return None
            self._chunk, self._view, self._at = chunk, memoryview(chunk), 0
        return bytes(self._read(BLOCK))

    def _drain(self) -> None:
        for _chunk in self._chunks:
            pass

    # -- headers ----------------------------------------------------------------------------------------------

    def _next(self) -> Member | None:
        pax: dict[bytes, bytes] = {}
        sparse_pairs: list[bytes] = []
        long_name = long_link = None
        while True:
            block = self._header()
            if block is None or block == _ZEROS:
                if pax or long_name is not None or long_link is not None:
                    raise ImageError("the tar archive is cut off")
                return None
            fields = _HEADER.unpack(block)
            self._check(block, fields[6])
            kind = fields[7]
            if kind in b"xXgLK":
                size = self._number(fields[4])
                if size > LONGEST_RECORD:
                    raise ImageError(f"the tar archive has a name record of {size} bytes")
                record = bytes(self._read(size))
                self._skip(-size % BLOCK)
                if kind == b"L":
                    long_name = record.partition(b"\0")[0]
                elif kind == b"K":
                    long_link = record.partition(b"\0")[0]
                elif kind == b"g":
                    self._globals.update(pax_records(record, []))
                else:
                    pax.update(pax_records(record, sparse_pairs))
                continue
            if kind == b"V":  # a volume's label names no file
                self._skip(_padded(self._number(fields[4])))
                continue
            if self._globals:
                pax = {**self._globals, **pax}
            return self._member(block, fields, kind, pax, sparse_pairs, long_name, long_link)

    def _member(
        self,
        block: bytes,
        fields: tuple[bytes, ...],
        kind: bytes,
        pax: dict[bytes, bytes],
        sparse_pairs: list[bytes],
        long_name: bytes | None,
        long_link: bytes | None,
    ) -> Member:
        number = self._number
        name = fields[0].partition(b"\0")[0]
        magic = fields[9]
        if magic == b"ustar\0":
            prefix = fields[15]
            if fields[16][8:] == b"tar\0":  # star keeps times in the prefix's last 24 bytes
                prefix = prefix[:131]
            if prefix[0]:
                name = prefix.partition(b"\0")[0] + b"/" + name
        if long_name is not None:
            name = long_name
        link = fields[8].partition(b"\0")[0] if long_link is None else long_link
        size = number(fields[4])
        mtime = number(fields[5])
        uid = number(fields[2])
        gid = number(fields[3])
        xattrs: Xattrs = ()
        if pax:
            name = pax.get(b"path", name)
            name = pax.get(b"GNU.sparse.name", name)
            link = pax.get(b"linkpath", link)
            if b"size" in pax:
                size = parse_decimal(pax[b"size"])
            if b"uid" in pax:
                uid = parse_decimal(pax[b"uid"])
            if b"gid" in pax:
                gid = parse_decimal(pax[b"gid"])
            if b"mtime" in pax:
                mtime = parse_seconds(pax[b"mtime"])
            xattrs = pax_xattrs(pax)
        if size < 0 or size > LARGEST_FILE:
            raise ImageError(f"the tar archive gives `{show_name(name)}` a size of {size} bytes")
        if not 0 <= uid < 1 << 32 or not 0 <= gid < 1 << 32:
            raise ImageError(f"the tar archive gives `{show_name(name)}` an owner out of range")
        mode = number(fields[1]) & 0o7777
        path = normalise(name)
        if kind in b"0\x007S":
            if name.endswith(b"/") and kind != b"S":
                return Member(path, mode | stat.S_IFDIR, uid, gid, clamp(mtime), 0, 0, b"", None, 0, xattrs, None)
            segments: Segments | None = None
            whole = size
            self._left, self._padding = size, -size % BLOCK
            if kind == b"S":
                segments, whole = self._old_sparse(block)
            elif pax and (b"GNU.sparse.size" in pax or b"GNU.sparse.realsize" in pax):
                segments, whole = self._pax_sparse(pax, sparse_pairs)
            if segments is not None:
                _check_segments(segments, whole, self._left, name)
            return Member(
                path, mode | stat.S_IFREG, uid, gid, clamp(mtime), whole, self._left, b"", None, 0, xattrs, segments
            )
        hard_link: bytes | None = None
        rdev = 0
        match kind:
            case b"5" | b"D":
                link = b""
                mode |= stat.S_IFDIR
                if kind == b"D":  # GNU's incremental dump: the directory's names follow as data
                    self._left, self._padding = size, -size % BLOCK
            case b"2":
                if not link or b"\0" in link or len(link) > 4095:
                    raise ImageError(f"the symbolic link `{show_name(name)}` has no usable target")
                mode |= stat.S_IFLNK
            case b"1":
                hard_link, link = normalise(link), b""
                mode |= stat.S_IFREG
            case b"3" | b"4":
                link = b""
                rdev = device_number(number(fields[13]), number(fields[14]), name)
                mode |= stat.S_IFCHR if kind == b"3" else stat.S_IFBLK
            case b"6":
                link = b""
                mode |= stat.S_IFIFO
            case _:
                raise ImageError(f"`{show_name(name)}` in the tar archive is of the unknown type {kind!r}")
        return Member(path, mode, uid, gid, clamp(mtime), 0, 0, link, hard_link, rdev, xattrs, None)

    def _check(self, block: bytes, checksum: bytes) -> None:
        """The checksum is the sum of the header's bytes with its own field as spaces; a few old tars summed signed."""
        try:
            expected = int(checksum.strip(b" \0") or b"-1", 8)
        except ValueError:
            expected = -1
        # The low half of Adler-32 is 1 + the sum, modulo 65521: the one fast way to sum bytes here.
        total = expected + sum(checksum) - 256
        if (zlib.adler32(block) & 0xFFFF) == (1 + total) % 65521:
            return
        blank = block[:148] + b" " * 8 + block[156:]
        if expected != sum(byte - 256 if byte > 127 else byte for byte in blank):
            raise ImageError("the tar archive is damaged: a header's checksum is wrong")

    def _number(self, field: bytes) -> int:
        """An octal field, or GNU's base-256 where the first bit is set; the same few fields come again and again."""
        value = self._numbers.get(field)
        if value is None:
            if len(self._numbers) > 10000:
                self._numbers.clear()
            value = self._numbers[field] = parse_number(field)
        return value

    def _old_sparse(self, block: bytes) -> tuple[Segments, int]:
        segments = old_segments(block[386:482])
        extended = block[482]
        while extended:
            extra = self._header()
            if extra is None:
                raise ImageError("the tar archive is cut off")
            segments += old_segments(extra[:504])
            extended = extra[504]
            if len(segments) > MOST_SEGMENTS:
                raise ImageError("a sparse file in the tar archive has too many pieces")
        return tuple(segments), self._number(block[483:495])

    def _pax_sparse(self, pax: dict[bytes, bytes], pairs: list[bytes]) -> tuple[Segments, int]:
        if pax.get(b"GNU.sparse.major") == b"1":
            return self._sparse_map(), parse_decimal(pax.get(b"GNU.sparse.realsize", b""))
        numbers = pax[b"GNU.sparse.map"].split(b",") if b"GNU.sparse.map" in pax else pairs
        values = [parse_decimal(number) for number in numbers if number]
        size = pax.get(b"GNU.sparse.size") or pax.get(b"GNU.sparse.realsize", b"")
        return tuple(zip(values[::2], values[1::2], strict=False)), parse_decimal(size)

    def _sparse_map(self) -> Segments:
        """Sparse format 1.0: the map lies in front of the data, decimal numbers by lines, padded to a block."""
        text = b""
        wanted = 1
        while text.count(b"\n") < wanted:
            if len(text) > MOST_SEGMENTS * 32:
                raise ImageError("a sparse file in the tar archive has too many pieces")
            text += bytes(self.take(BLOCK)) if self._left >= BLOCK else _cut_off()
            if wanted == 1 and b"\n" in text:
                wanted = 1 + 2 * parse_decimal(text.partition(b"\n")[0])
                if wanted > 2 * MOST_SEGMENTS:
                    raise ImageError("a sparse file in the tar archive has too many pieces")
        values = [parse_decimal(line) for line in text.split(b"\n")[1:wanted]]
        return tuple(zip(values[::2], values[1::2], strict=True))


def normalise(name: bytes) -> bytes:
    """A path inside the root without `.`, `..`, double or outer slashes; ImageError where it leads out of it."""
    if name.startswith(b"./"):
        name = name[2:]
    name = name.strip(b"/")
    if len(name) > LONGEST_PATH:
        raise ImageError(f"a path in the archive is longer than {LONGEST_PATH} bytes: `{show_name(name)}`")
    if _SIMPLE(name) and len(name) <= LONGEST_NAME:
        return name
    if b"\0" in name:
        raise ImageError(f"the name `{show_name(name)}` in the archive holds a NUL byte")
    parts: list[bytes] = []
    for part in name.split(b"/"):
        if part == b"..":
            if not parts:
                raise ImageError(f"the name `{show_name(name)}` in the archive leads out of the image")
            parts.pop()
        elif len(part) > LONGEST_NAME:
            raise ImageError(f"the name `{show_name(name)}` in the archive is longer than {LONGEST_NAME} bytes")
        elif part and part != b".":
            parts.append(part)
    return b"/".join(parts)


_SIMPLE = re.compile(rb"(?!\.\.?(?:/|\Z))[^\0/]+(?:/(?!\.\.?(?:/|\Z))[^\0/]+)*\Z|\Z").match


def _padded(size: int) -> int:
    return size + -size % BLOCK


def _cut_off() -> bytes:
    raise ImageError("the tar archive is cut off")


def _check_segments(segments: Segments, size: int, stored: int, name: bytes) -> None:
    end = 0
    for offset, length in segments:
        if offset < end or length < 0:
            end = -1
            break
        end = offset + length
    if not 0 <= end <= size <= LARGEST_FILE or sum(length for _offset, length in segments) != stored:
        raise ImageError(f"the sparse file `{show_name(name)}` in the tar archive is damaged")
