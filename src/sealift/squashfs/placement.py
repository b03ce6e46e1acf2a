"""Where the bytes of regular files lie in a squashfs, in columns beside a tree's."""

from __future__ import annotations

from array import array
from dataclasses import dataclass

NO_FRAGMENT = 0xFFFFFFFF
STORED = 1 << 24
"""Bit of an on-disk block size: the block is stored as it is, not compressed (Linux fs/squashfs/squashfs_fs.h)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """One row per row of the tree; only rows of regular files mean anything.

    `starts[row]` is the offset of the file's first block from the start of the squashfs. Its block sizes are
    `blocks[firsts[row] : firsts[row] + block_count(...)]`, each an on-disk size word: 0 is a hole of one block, the
    `STORED` bit marks an uncompressed block. `fragments[row]` is an index into the image's fragments or NO_FRAGMENT,
    `offsets[row]` where the file's tail begins in that fragment once it is decompressed.
    """

    starts: array[int]  # 'Q'
    firsts: array[int]  # 'Q'
    blocks: array[int]  # 'I'
    fragments: array[int]  # 'I'
    offsets: array[int]  # 'I'


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragments:
    """The fragment blocks of an image: offset from its start, on-disk size word (as for data blocks)."""

    starts: array[int]  # 'Q'
    sizes: array[int]  # 'I'


def block_count(size: int, fragment: int, block_size: int) -> int:
    """How many full data blocks a file of `size` bytes has: its tail counts only where no fragment holds it."""
    return size // block_size if fragment != NO_FRAGMENT else -(-size // block_size)
