"""Data blocks and fragments on their way to a file: compressed in several threads, written in the order they came."""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import BinaryIO

from sealift.packs.options import PackOptions
from sealift.squashfs.compression import Compression
from sealift.squashfs.placement import STORED, Fragments

JOB_SIZE = 1 << 20
"""Plain bytes that one job of the pool compresses: enough to make handing it over cheap."""
IN_FLIGHT = 24 << 20
"""Plain bytes that wait or are being compressed at once; bounds the memory of packing."""

_NEXT = -1
_FRAGMENT = -2

_Item = tuple[memoryview | bytes, int]
_Result = tuple[int, bytes]


class BlockWriter:
    """Writes a squashfs's data area to `out`, which stands where the first block goes: `start` in the squashfs.

    Offsets handed out are relative to the start of the squashfs. `starts[file]` is known once everything is written.
    """

    def __init__(self, out: BinaryIO, *, start: int, options: PackOptions, pool: Executor) -> None:
        from isal import isal_zlib

        # The same checksum as zlib's, four times as fast.
        self._crc32: Callable[[bytes, int], int] = isal_zlib.crc32
        self._out = out
        self._pool = pool
        self._compression = options.compression
        self._block_size = options.block_size
        self._pending: deque[tuple[Future[list[_Result]], list[_Item], int]] = deque()
        self._job: list[_Item] = []
        self._job_size = 0
        self._in_flight = 0
        self._submitted_fragments = 0
        self.position = start
        self.crc = 0
        self.blocks = array("I")
        self.block_total = 0
        self.starts: dict[int, int] = {}
        self.fragment_starts = array("Q")
        self.fragment_sizes = array("I")
        self.fragment_plain = array("I")
        """Bytes of each fragment before compressing."""

    def add_blocks(self, data: memoryview | bytes, *, file: int, first: bool) -> None:
        """Append the data of one file; all but the last call for a file give whole blocks.

        `first` marks the beginning of the file, whose number is `file`.
        """
        size = self._block_size
        view = memoryview(data)
        tag = file if first else _NEXT
        for at in range(0, len(view), size):
            block = view[at : at + size]
            self._job.append((block, tag))
            tag = _NEXT
            self._job_size += len(block)
            self.block_total += 1
            if self._job_size >= JOB_SIZE:
                self._submit()

    def add_fragment(self, data: bytes | bytearray) -> int:
        """Append one fragment and return its number."""
        self._job.append((memoryview(data), _FRAGMENT))
        self._job_size += len(data)
        self.fragment_plain.append(len(data))
        number = self._submitted_fragments
        self._submitted_fragments += 1
        if self._job_size >= JOB_SIZE:
            self._submit()
        return number

    def finish(self) -> Fragments:
        """Write what is pending; afterwards `position` is the end of the data area."""
        self._submit()
        while self._pending:
            self._write_oldest()
        return Fragments(starts=self.fragment_starts, sizes=self.fragment_sizes)

    def _submit(self) -> None:
        if not self._job:
            return
        items, size = self._job, self._job_size
        self._job, self._job_size = [], 0
        self._pending.append((self._pool.submit(compress_items, items, self._compression), items, size))
        self._in_flight += size
        while self._in_flight > IN_FLIGHT or (self._pending and self._pending[0][0].done()):
            self._write_oldest()

    def _write_oldest(self) -> None:
        future, items, size = self._pending.popleft()
        results = future.result()
        self._in_flight -= size
        position = self.position
        for (_data, tag), (word, packed) in zip(items, results, strict=True):
            if tag == _FRAGMENT:
                self.fragment_starts.append(position)
                self.fragment_sizes.append(word)
            else:
                if tag >= 0:
                    self.starts[tag] = position
                self.blocks.append(word)
            position += word & (STORED - 1)
            self.crc = self._crc32(packed, self.crc)
            self._out.write(packed)
        self.position = position


def compress_items(items: list[_Item], compression: Compression) -> list[_Result]:
    """The on-disk size word and bytes of each item: zeros become a hole, what does not shrink is stored."""
    results: list[_Result] = []
    for data, tag in items:
        if tag != _FRAGMENT and not data[0] and is_zero(data):
            results.append((0, b""))
            continue
        results.append(compress_one(data, compression))
    return results


def compress_one(data: memoryview | bytes, compression: Compression) -> tuple[int, bytes]:
    """One block's size word and bytes; stored as it is where compressing does not make it smaller."""
    packed = compression.compress(data)
    if len(packed) < len(data):
        return len(packed), packed
    return len(data) | STORED, bytes(data)


def is_zero(data: memoryview | bytes) -> bool:
    return not any(data[:32]) and bytes(data).count(0) == len(data)
