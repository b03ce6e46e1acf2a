"""Reads pieces of one file of a squashfs, in any order: only the blocks that they lie in are decompressed."""

from __future__ import annotations

from collections import OrderedDict
from itertools import accumulate

from sealift.errors import ImageError
from sealift.squashfs.inodes import Inode
from sealift.squashfs.placement import NO_FRAGMENT, STORED
from sealift.squashfs.reader import SquashfsReader

_KEPT = 4
"""Blocks that are kept decompressed: who reads tables goes to and fro between a few places."""


class FilePieces:
    """`read(offset, size)` of the regular file `inode`; fewer bytes only at its end. ImageError where it is damaged."""

    def __init__(self, reader: SquashfsReader, inode: Inode) -> None:
        self._reader = reader
        self._inode = inode
        self._starts = [inode.start + size for size in accumulate((w & ~STORED for w in inode.words), initial=0)]
        self._kept: OrderedDict[int, bytes] = OrderedDict()

    def read(self, offset: int, size: int) -> bytes:
        block_size = self._reader.superblock.block_size
        end = min(offset + size, self._inode.size)
        found = []
        while offset < end:
            into = offset % block_size
            piece = self._block(offset // block_size)[into : into + end - offset]
            if not piece:
                raise ImageError("the squashfs is damaged: a file is shorter than its size")
            found.append(piece)
            offset += len(piece)
        return b"".join(found)

    def _block(self, number: int) -> bytes:
        kept = self._kept.pop(number, None)
        if kept is None:
            kept = self._fetched(number)
        self._kept[number] = kept
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return kept

    def _fetched(self, number: int) -> bytes:
        inode, block_size = self._inode, self._reader.superblock.block_size
        length = min(block_size, inode.size - number * block_size)
        if number < len(inode.words):
            word = inode.words[number]
            return self._reader.block(self._starts[number], word) if word else bytes(length)
        if inode.fragment == NO_FRAGMENT:
            return b""
        return self._reader.fragment(inode.fragment)[inode.offset : inode.offset + length]
