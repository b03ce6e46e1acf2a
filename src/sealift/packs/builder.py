"""Building a pack: file data goes to blocks and fragments as it comes, names to a `Layer`, the index comes last."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable
from concurrent.futures import Executor
from typing import BinaryIO

from sealift.packs.blocks import BlockWriter
from sealift.packs.contents import Contents
from sealift.packs.index import Index
from sealift.packs.layer import Layer
from sealift.packs.options import PackOptions
from sealift.packs.pack import DATA_START, write_pack_end
from sealift.packs.tails import Gatherer, tail_size
from sealift.squashfs.placement import NO_FRAGMENT, Placement

WHOLE_FILE = 4 << 20
"""Files up to this size are looked at as a whole, so that an equal one is found before it is compressed."""
EMPTY_DIGEST = hashlib.sha256(b"").digest()


class PackBuilder:
    """Writes one pack to `target`, a new file that can be sought; same calls, same bytes.

    Content comes by `add_whole` or `begin`/`feed`/`end`; each gives the place of an inode's bytes.
    """

    def __init__(self, target: BinaryIO, *, options: PackOptions, pool: Executor) -> None:
        target.seek(DATA_START)
        self._target = target
        self._options = options
        self._block_size = options.block_size
        self._writer = BlockWriter(target, start=DATA_START, options=options, pool=pool)
        self._gatherer = Gatherer(options.block_size)
        self.layer = Layer()
        self._known = Contents(self.layer.digest)
        self._firsts: dict[int, int] = {}
        """Of inodes with full blocks: where their words begin."""
        self._holders = array("I")
        """One more than the inode whose bytes an inode shares, 0 where it shares none; may end early."""
        self._tail_fragments = array("I")
        self._tail_offsets = array("I")

    def add_whole(self, inode: int, data: memoryview | bytes) -> None:
        """The content of `inode`, in one piece."""
        digest = hashlib.sha256(data).digest()
        self._set_digest(inode, digest)
        if not data or self._share(inode, digest):
            return
        tail = tail_size(len(data), self._block_size)
        if tail != len(data):
            self._firsts[inode] = self._writer.block_total
            self._writer.add_blocks(data[: len(data) - tail], file=inode, first=True)
        if tail:
            self._add_tail(inode, data[len(data) - tail :], digest)

    def add_pieces(self, inode: int, size: int, pieces: Iterable[memoryview | bytes]) -> None:
        """The content of `inode` in pieces that make `size` bytes; all but the last are whole blocks."""
        hasher = hashlib.sha256()
        tail = tail_size(size, self._block_size)
        full = size - tail
        self._firsts[inode] = self._writer.block_total
        done = 0
        rest: memoryview | bytes = b""
        for piece in pieces:
            hasher.update(piece)
            here = piece
            if done + len(piece) > full:
                here, rest = piece[: full - done], piece[full - done :]
            if here:
                self._writer.add_blocks(here, file=inode, first=done == 0)
            done += len(here)
        if done != full or len(rest) != tail:
            raise ValueError("the pieces do not make the size that was said")
        digest = hasher.digest()
        self._set_digest(inode, digest)
        if not self._share(inode, digest) and tail:
            self._add_tail(inode, rest, digest)

    def _set_digest(self, inode: int, digest: bytes) -> None:
        self.layer.digests[inode * 32 : inode * 32 + 32] = digest

    def _share(self, inode: int, digest: bytes) -> bool:
        """Whether the pack has this content already, under another inode; notes it."""
        holder = self._known.setdefault(digest, inode)
        if holder == inode:
            return False
        _extend(self._holders, inode, 0)
        self._holders[inode] = holder + 1
        return True

    def _add_tail(self, inode: int, data: memoryview | bytes, digest: bytes) -> None:
        full, fragment, offset = self._gatherer.add(data, digest)
        if full is not None:
            self._writer.add_fragment(full)
        if inode >= len(self._tail_offsets):
            _extend(self._tail_fragments, inode, NO_FRAGMENT)
            _extend(self._tail_offsets, inode, 0)
        self._tail_fragments[inode] = fragment
        self._tail_offsets[inode] = offset

    def finish(self) -> None:
        """Write what is pending, the tables, the index and the footer."""
        rest = self._gatherer.finish()
        if rest:
            self._writer.add_fragment(rest)
        fragments = self._writer.finish()
        writer = self._writer
        self._known = Contents(self.layer.digest)
        tree, flags, inodes = self.layer.finish()
        last = max(inodes)
        for column, fill in ((self._holders, 0), (self._tail_fragments, NO_FRAGMENT), (self._tail_offsets, 0)):
            _extend(column, last, fill)
        holders = self._holders
        placed = array("I", [holders[inode] - 1 if holders[inode] else inode for inode in inodes])
        placement = Placement(
            starts=_sparse_column(writer.starts, placed),
            firsts=_sparse_column(self._firsts, placed),
            blocks=writer.blocks,
            fragments=array("I", map(self._tail_fragments.__getitem__, placed)),
            offsets=array("I", map(self._tail_offsets.__getitem__, placed)),
        )
        index = Index(
            tree=tree,
            placement=placement,
            fragments=fragments,
            fragment_plain=writer.fragment_plain,
            torn=self._torn(placed, tree.sizes),
            flags=flags,
            lower_links=self.layer.lower_links(),
        )
        write_pack_end(self._target, index, options=self._options, data_end=writer.position, data_crc=writer.crc)

    def _torn(self, placed: array[int], sizes: array[int]) -> tuple[int, ...]:
        """Fragments with bytes that no row has: a later entry of the same layer took the file's place."""
        left = array("Q", self._writer.fragment_plain)
        seen = bytearray(len(self._holders))
        for inode, size in zip(placed, sizes, strict=True):
            fragment = self._tail_fragments[inode]
            if fragment != NO_FRAGMENT and not seen[inode]:
                seen[inode] = 1
                left[fragment] -= tail_size(size, self._block_size)
        return tuple(number for number, count in enumerate(left) if count)


def _extend(column: array[int], row: int, fill: int) -> None:
    """Make `column` long enough to hold `row`."""
    missing = row + 1 - len(column)
    if missing > 0:
        column.extend(array(column.typecode, [fill]) * missing)


def _sparse_column(values: dict[int, int], placed: array[int]) -> array[int]:
    if not values:
        return array("Q", bytes(8 * len(placed)))
    return array("Q", [values.get(inode, 0) for inode in placed])
