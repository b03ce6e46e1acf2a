"""Building a pack: file data goes to blocks and fragments as it comes, names to a `Layer`, the index comes last."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterable
from concurrent.futures import Executor
from typing import BinaryIO

from sealift.packs.blocks import BlockWriter
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
        self._known: dict[bytes, int] = {}
        self._firsts: dict[int, int] = {}
        self._tails: dict[int, tuple[int, int]] = {}
        self._same: dict[int, int] = {}
        self.layer = Layer()

    def add_whole(self, inode: int, data: memoryview | bytes) -> None:
        """The content of `inode`, in one piece."""
        digest = hashlib.sha256(data).digest()
        self.layer.digests[inode] = digest
        if not data:
            return
        known = self._known.setdefault(digest, inode)
        if known != inode:
            self._same[inode] = known
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
        self.layer.digests[inode] = digest
        known = self._known.setdefault(digest, inode)
        if known != inode:
            self._same[inode] = known
        elif tail:
            self._add_tail(inode, rest, digest)

    def _add_tail(self, inode: int, data: memoryview | bytes, digest: bytes) -> None:
        full, fragment, offset = self._gatherer.add(data, digest)
        if full is not None:
            self._writer.add_fragment(full)
        self._tails[inode] = (fragment, offset)

    def finish(self) -> None:
        """Write what is pending, the tables, the index and the footer."""
        last = self._gatherer.finish()
        if last:
            self._writer.add_fragment(last)
        fragments = self._writer.finish()
        writer = self._writer
        tree, flags, inodes = self.layer.finish()
        same, starts, firsts, tails = self._same, writer.starts, self._firsts, self._tails
        placed = [same.get(inode, inode) for inode in inodes]
        none = (NO_FRAGMENT, 0)
        placement = Placement(
            starts=array("Q", [starts.get(inode, 0) for inode in placed]),
            firsts=array("Q", [firsts.get(inode, 0) for inode in placed]),
            blocks=writer.blocks,
            fragments=array("I", [tails.get(inode, none)[0] for inode in placed]),
            offsets=array("I", [tails.get(inode, none)[1] for inode in placed]),
        )
        index = Index(
            tree=tree,
            placement=placement,
            fragments=fragments,
            fragment_plain=writer.fragment_plain,
            flags=flags,
            lower_links=self.layer.lower_links(),
        )
        write_pack_end(self._target, index, options=self._options, data_end=writer.position, data_crc=writer.crc)
