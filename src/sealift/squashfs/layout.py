"""The layout of SquashFS 4.0 on disk: the drawing, its numbers and the superblock.

    0        superblock, 96 bytes
    96       [compressor options: one metadata block, when the flag says so; Sealift writes none]
             data blocks and fragment blocks, in any order
    ───────  inode table           metadata blocks
             directory table       metadata blocks
             fragment table        metadata blocks of 16-byte records, then their index
             export table          metadata blocks of 8-byte inode references, then their index
             id table              metadata blocks of 4-byte ids, then their index
             xattr table           metadata blocks of keys and values,
                                   metadata blocks of 16-byte records, then a header and their index
    ───────  `bytes_used`; the file is padded with zeros to a multiple of 4096

All numbers are little-endian. The tables touch each other without a gap: Linux refuses to mount otherwise. A
superblock names a table by its index, which stands behind the table; the inode and the directory table by their start.

A **metadata block** is a 16-bit size word (bit 15: stored, not compressed) and up to 8192 bytes once decompressed. A
**reference** is `start << 16 | offset`: the block that starts `start` bytes behind the table's own start, and the place
in it once it is decompressed. What begins in one block may run on into the next.

Sources: Linux fs/squashfs/squashfs_fs.h and super.c, Documentation/filesystems/squashfs.rst.
"""

from __future__ import annotations

import struct
import sys
from array import array
from dataclasses import dataclass

from sealift.errors import ImageError

MAGIC = 0x73717368
SUPERBLOCK = struct.Struct("<5I6H8Q")
SUPERBLOCK_SIZE = 96
METADATA_SIZE = 8192
METADATA_STORED = 0x8000
PADDING = 4096
NAME_LIMIT = 256
LINK_LIMIT = 4095
"""Linux (PATH_MAX) neither makes nor, since 6.9, reads a longer target."""
ID_LIMIT = 0xFFFF
"""The superblock counts ids in 16 bits."""
NO_TABLE = 0xFFFF_FFFF_FFFF_FFFF
NO_XATTR = 0xFFFF_FFFF

NO_FRAGMENTS_FLAG = 0x0010
DUPLICATES_FLAG = 0x0040
EXPORT_FLAG = 0x0080
NO_XATTRS_FLAG = 0x0200
COMPRESSOR_OPTIONS_FLAG = 0x0400

DIRECTORY, FILE, SYMLINK, BLOCK, CHARACTER, FIFO, SOCKET = range(1, 8)
"""Inode types; the extended form of each is its number plus `EXTENDED`. Directory entries name the basic type."""
EXTENDED = 7

_BLOCK_SIZES = range(12, 21)
"""Base-2 logarithms of the block sizes that the format allows: 4 KiB to 1 MiB."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Superblock:
    """The superblock; offsets count from the start of the squashfs, `root` is a reference into the inode table."""

    inodes: int
    mtime: int
    block_size: int
    fragments: int
    compressor: int
    flags: int
    ids: int
    root: int
    bytes_used: int
    id_table: int
    xattr_table: int
    inode_table: int
    directory_table: int
    fragment_table: int
    export_table: int

    def pack(self) -> bytes:
        return SUPERBLOCK.pack(
            MAGIC,
            self.inodes,
            self.mtime,
            self.block_size,
            self.fragments,
            self.compressor,
            self.block_size.bit_length() - 1,
            self.flags,
            self.ids,
            4,
            0,
            self.root,
            self.bytes_used,
            self.id_table,
            self.xattr_table,
            self.inode_table,
            self.directory_table,
            self.fragment_table,
            self.export_table,
        )


def to_little_endian(column: array[int]) -> bytes:
    """The column's bytes as they lie on disk."""
    if sys.byteorder == "big":
        column = column[:]
        column.byteswap()
    return column.tobytes()


def from_little_endian(typecode: str, data: bytes) -> array[int]:
    column: array[int] = array(typecode, data)
    if sys.byteorder == "big":
        column.byteswap()
    return column


def check_block_size(block_size: int) -> None:
    """Raise ValueError unless `block_size` is a power of two from 4 KiB to 1 MiB."""
    if block_size.bit_length() - 1 not in _BLOCK_SIZES or block_size & (block_size - 1):
        raise ValueError(f"squashfs has no block size of {block_size} bytes")


def parse_superblock(data: bytes, *, available: int) -> Superblock:
    """Read and check a superblock; `available` is how many bytes the file has from its start on.

    Raises ImageError: not a squashfs, another version, cut off, or tables that lie outside or out of order.
    """
    if len(data) < SUPERBLOCK_SIZE or data[:4] != MAGIC.to_bytes(4, "little"):
        raise ImageError(
            "this is not a squashfs image: its first bytes are not `hsqs`",
            hints=("see what it is: file IMAGE",),
        )
    fields = SUPERBLOCK.unpack_from(data)
    _, inodes, mtime, block_size, fragments, compressor, block_log, flags, ids, major, minor = fields[:11]
    root, bytes_used, id_table, xattr_table, inode_table, directory_table, fragment_table, export_table = fields[11:]
    if (major, minor) != (4, 0):
        raise ImageError(
            f"this is squashfs version {major}.{minor}; Sealift reads 4.0",
            hints=("convert it with squashfs-tools: unsquashfs, then mksquashfs",),
        )
    if block_log not in _BLOCK_SIZES or block_size != 1 << block_log:
        raise ImageError(f"the squashfs superblock is damaged: its block size is {block_size} (2^{block_log})")
    if bytes_used > available:
        raise ImageError(
            f"the squashfs is cut off: it has {bytes_used} bytes by its superblock, and {available} are there",
            hints=("fetch or build the image again",),
        )
    order = [SUPERBLOCK_SIZE, inode_table, directory_table]
    if fragments:
        order.append(fragment_table)
    order += [table for table in (export_table, id_table, xattr_table) if table != NO_TABLE]
    if ids == 0 or inodes == 0 or order != sorted(order) or order[-1] >= bytes_used:
        raise ImageError("the squashfs superblock is damaged: its tables lie outside the image or out of order")
    return Superblock(
        inodes=inodes,
        mtime=mtime,
        block_size=block_size,
        fragments=fragments,
        compressor=compressor,
        flags=flags,
        ids=ids,
        root=root,
        bytes_used=bytes_used,
        id_table=id_table,
        xattr_table=xattr_table,
        inode_table=inode_table,
        directory_table=directory_table,
        fragment_table=fragment_table,
        export_table=export_table,
    )
