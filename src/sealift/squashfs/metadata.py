"""Metadata blocks: filled and compressed when writing, found and decompressed when reading."""

from __future__ import annotations

import itertools
from collections.abc import Callable

from sealift.errors import ImageError
from sealift.squashfs.compression import Compression, decompress
from sealift.squashfs.layout import METADATA_SIZE, METADATA_STORED, from_little_endian

Pread = Callable[[int, int], bytes]
"""`pread(length, offset)`: that many bytes of the squashfs, or fewer at its end; offsets count from its start."""

_CACHED_BLOCKS = 1024
"""8 MiB a table: a walk of the directories comes back to a block again and again, but hardly after so many others."""

_TABLE_LIMIT = 256 << 20
"""16 million fragments or sets of attributes."""


class MetadataWriter:
    """Takes the bytes of one table and gives its compressed blocks; references are known while writing."""

    def __init__(self, compression: Compression) -> None:
        self._compress = compression.compress
        self._pending = bytearray()
        self._parts: list[bytes] = []
        self._written = 0

    @property
    def reference(self) -> int:
        """Where the next byte will lie."""
        return self._written << 16 | len(self._pending)

    @property
    def offset(self) -> int:
        """The place of the next byte in its block once that is decompressed."""
        return len(self._pending)

    def append(self, data: bytes | bytearray) -> None:
        pending = self._pending
        pending += data
        if len(pending) >= METADATA_SIZE:
            whole = len(pending) - len(pending) % METADATA_SIZE
            view = memoryview(bytes(pending[:whole]))
            for start in range(0, whole, METADATA_SIZE):
                self._add_block(view[start : start + METADATA_SIZE])
            del pending[:whole]

    def finish(self) -> bytes:
        """Close the last block and return the table."""
        if self._pending:
            self._add_block(memoryview(bytes(self._pending)))
            self._pending.clear()
        return b"".join(self._parts)

    def _add_block(self, plain: memoryview) -> None:
        packed = self._compress(plain)
        if len(packed) < len(plain):
            word, body = len(packed), packed
        else:
            word, body = len(plain) | METADATA_STORED, bytes(plain)
        self._parts += (word.to_bytes(2, "little"), body)
        self._written += 2 + len(body)


def pack_table(data: bytes, start: int, compression: Compression) -> tuple[bytes, bytes]:
    """Blocks of a table that will lie at `start`, and its index: the offset of each block in 64 bits."""
    writer = MetadataWriter(compression)
    index = bytearray()
    for begin in range(0, len(data), METADATA_SIZE):
        index += (start + (writer.reference >> 16)).to_bytes(8, "little")
        writer.append(data[begin : begin + METADATA_SIZE])
    return writer.finish(), bytes(index)


class MetadataReader:
    """Reads from the blocks of one table, which lie in `start` … `end`; keeps the latest blocks decompressed.

    Every method raises ImageError where the image is damaged; what one call reads is at most what its caller asks for.
    """

    def __init__(self, pread: Pread, *, compressor: int, start: int, end: int, name: str) -> None:
        self._pread = pread
        self._compressor = compressor
        self._start = start
        self._end = end
        self._name = name
        self._blocks: dict[int, tuple[bytes, int]] = {}

    def block(self, start: int) -> tuple[bytes, int]:
        """The decompressed block that lies `start` bytes behind the table's start, and where the next one does."""
        found = self._blocks.get(start)
        if found is not None:
            return found
        found = self._load(start)
        if len(self._blocks) >= _CACHED_BLOCKS:
            # Oldest first is good enough: walks go forward, and a dictionary keeps the order of insertion.
            del self._blocks[next(iter(self._blocks))]
        self._blocks[start] = found
        return found

    def read(self, reference: int, length: int) -> tuple[bytes, int]:
        """`length` bytes from `reference` on, over as many blocks as it takes, and the reference behind them."""
        start, offset = reference >> 16, reference & 0xFFFF
        plain, following = self.block(start)
        end = offset + length
        if end <= len(plain):
            return plain[offset:end], start << 16 | end
        if offset > len(plain):
            raise self._damaged(f"a reference points behind its block at {start}")
        parts = [plain[offset:]]
        missing = length - len(parts[0])
        while missing > 0:
            start = following
            plain, following = self.block(start)
            parts.append(plain[:missing])
            missing -= len(plain)
        return b"".join(parts), start << 16 | (len(plain) + missing)

    def _load(self, start: int) -> tuple[bytes, int]:
        position = self._start + start
        # One byte more than the largest block and its word: usually one system call instead of two.
        raw = self._pread(METADATA_SIZE + 2, position) if position + 2 < self._end else b""
        if len(raw) < 3:
            raise self._damaged(f"a block at {start} lies outside the table")
        word = int.from_bytes(raw[:2], "little")
        size = word & ~METADATA_STORED
        if size == 0 or size > METADATA_SIZE or position + 2 + size > self._end or len(raw) < 2 + size:
            raise self._damaged(f"the block at {start} has a wrong size")
        body = raw[2 : 2 + size]
        if not word & METADATA_STORED:
            try:
                body = decompress(self._compressor, body, METADATA_SIZE)
            except ImageError as error:
                if error.hints:
                    raise
                raise self._damaged(f"the block at {start}: {error.message}") from error
        if not body:
            raise self._damaged(f"the block at {start} is empty")
        return body, start + 2 + size

    def _damaged(self, what: str) -> ImageError:
        return ImageError(
            f"the squashfs is damaged in its {self._name} table: {what}", hints=("fetch or build the image again",)
        )


def read_table(pread: Pread, *, compressor: int, index: int, size: int, limit: int, name: str) -> tuple[bytes, int]:
    """Read a table by the index at offset `index`: its `size` bytes once decompressed, and where its blocks start.

    No block may lie at or behind `limit`, the start of what follows the index.
    """
    count = -(-size // METADATA_SIZE)
    damaged = ImageError(
        f"the squashfs is damaged: its {name} table lies outside the image", hints=("fetch or build the image again",)
    )
    if size > _TABLE_LIMIT or index + 8 * count > limit:
        raise damaged
    raw = pread(8 * count, index)
    if len(raw) < 8 * count:
        raise damaged
    starts = from_little_endian("Q", raw)
    if any(following <= start for start, following in itertools.pairwise([*starts, index])):
        raise damaged
    blocks = MetadataReader(pread, compressor=compressor, start=0, end=index, name=name)
    parts = [blocks.block(start)[0] for start in starts]
    data = b"".join(parts)
    if len(data) < size or any(len(part) != METADATA_SIZE for part in parts[:-1]):
        raise damaged
    return data[:size], starts[0] if starts else index
