"""Reads any SquashFS 4.0: mksquashfs's in gzip, xz and zstd, Apptainer's, Sealift's own.

Nothing that the image says is believed: sizes are checked before memory is taken, and every fault is an ImageError.
"""

from __future__ import annotations

import io
import os
import stat
import struct
import threading
from array import array
from collections.abc import Iterator, Sequence
from typing import BinaryIO

from sealift.core.tree import Entry, Tree, Xattrs, show_path
from sealift.errors import ImageError
from sealift.squashfs.compression import decompress
from sealift.squashfs.directories import read_listing
from sealift.squashfs.inodes import Inode, read_inode
from sealift.squashfs.layout import (
    NO_TABLE,
    NO_XATTR,
    SUPERBLOCK_SIZE,
    Superblock,
    from_little_endian,
    parse_superblock,
)
from sealift.squashfs.metadata import MetadataReader, Pread, read_table
from sealift.squashfs.placement import NO_FRAGMENT, STORED, Fragments, Placement, block_count
from sealift.squashfs.walk import walk, walk_names
from sealift.squashfs.xattrs import XattrReader

ENTRIES_LIMIT = 50_000_000
_AGAIN = ("fetch or build the image again",)


class SquashfsReader:
    """A squashfs that begins at `offset` of a file or of a file descriptor, which must stay open.

    Safe to use from several threads at once when the file has a descriptor. Every method raises ImageError where the
    image is damaged; paths are bytes without a leading slash, the root is `b""`.
    """

    def __init__(self, file: int | BinaryIO, offset: int = 0) -> None:
        self._pread, length = _opened(file, offset)
        self.superblock: Superblock = parse_superblock(
            self._pread(SUPERBLOCK_SIZE, 0), available=max(length - offset, 0)
        )
        sb = self.superblock
        behind_directories = min(
            [t for t in (sb.export_table, sb.id_table) if t != NO_TABLE] + ([sb.fragment_table] if sb.fragments else [])
        )
        self._inodes = self._metadata("inode", sb.inode_table, sb.directory_table)
        self._directories = self._metadata("directory", sb.directory_table, behind_directories)
        self._ids = from_little_endian("I", self._table("id", sb.id_table, 4 * sb.ids))
        self.fragments: Fragments = self._read_fragments()
        self._xattrs = XattrReader(self._pread, sb) if sb.xattr_table != NO_TABLE else None
        # A file's words lie in the inode table, which cannot grow by more than this when it is decompressed.
        self._words_limit = (sb.directory_table - sb.inode_table) * 4096
        self._last_fragment: tuple[int, bytes] = (NO_FRAGMENT, b"")

    # ── the whole tree ──────────────────────────────────────────────────────────────────────────────────────────────

    def tree(self, *, limit: int = ENTRIES_LIMIT) -> tuple[Tree, Placement, Fragments]:
        """Every entry, in canonical order, with the placement of the files; digests are not known.

        ImageError for an image of more than `limit` entries, for a directory that stands in two places, and for files
        that lie outside the image.
        """
        tree, placement = walk(self, limit=limit)
        return tree, placement, self.fragments

    def names(self, *, limit: int = ENTRIES_LIMIT) -> Iterator[tuple[bytes, bytes]]:
        """Folder, with its slash, and name of all that is no directory, in no order; ImageError as of `tree`.

        Only directories' inodes are read, and nothing is kept of the names: much quicker than `tree`.
        """
        return walk_names(self, limit=limit)

    # ── one path ────────────────────────────────────────────────────────────────────────────────────────────────────

    def root(self) -> Inode:
        return self.inode(self.superblock.root)

    def find(self, path: bytes) -> Inode | None:
        """The inode at `path`, walking down from the root; None when it is not there. Follows no symbolic link."""
        inode = self.root()
        for name in path.split(b"/") if path else ():
            if not inode.is_dir:
                return None
            reference = self._find_in(inode, name)
            if reference is None:
                return None
            inode = self.inode(reference)
        return inode

    def lookup(self, path: bytes) -> Entry | None:
        """The entry at `path`, without its digest and hard-link group; None when it is not there."""
        inode = self.find(path)
        return None if inode is None else self._entry(path, inode)

    def children(self, path: bytes) -> tuple[bytes, ...]:
        """The names in the directory at `path`, sorted; empty when it is not there or no directory."""
        inode = self.find(path)
        if inode is None or not inode.is_dir:
            return ()
        return tuple(sorted(name for name, _, _ in read_listing(self._directories, inode.listing, inode.size)))

    def read_file(self, path: bytes, limit: int = 16 << 20) -> bytes:
        """The content of the regular file at `path`; ImageError when it is none, not there, or larger than `limit`."""
        inode = self.find(path)
        if inode is None or not stat.S_ISREG(inode.mode):
            raise ImageError(f"the image has no file `{show_path(path)}`")
        if inode.size > limit:
            raise ImageError(f"`{show_path(path)}` has {inode.size} bytes; at most {limit} are expected here")
        return b"".join(
            self.data(
                size=inode.size,
                start=inode.start,
                words=inode.words,
                fragment=inode.fragment,
                offset=inode.offset,
            )
        )

    # ── bytes ───────────────────────────────────────────────────────────────────────────────────────────────────────

    def row_data(self, tree: Tree, placement: Placement, row: int) -> Iterator[bytes]:
        """The bytes of the regular file in `row` of what `tree` gave."""
        first = placement.firsts[row]
        size, fragment = tree.sizes[row], placement.fragments[row]
        count = block_count(size, fragment, self.superblock.block_size)
        return self.data(
            size=size,
            start=placement.starts[row],
            words=placement.blocks[first : first + count],
            fragment=fragment,
            offset=placement.offsets[row],
        )

    def data(self, *, size: int, start: int, words: Sequence[int], fragment: int, offset: int) -> Iterator[bytes]:
        """A file's bytes, piece by piece: a piece a block, the tail out of its fragment last."""
        block_size = self.superblock.block_size
        left = size
        for word in words:
            expected = min(left, block_size)
            if word == 0:
                yield bytes(expected)
            else:
                block = self.block(start, word)
                if len(block) != expected:
                    raise ImageError("the squashfs is damaged: a block of a file has a wrong size", hints=_AGAIN)
                yield block
                start += word & ~STORED
            left -= expected
        if left > 0 and fragment != NO_FRAGMENT:
            tail = self.fragment(fragment)[offset : offset + left]
            left -= len(tail)
            yield tail
        if left > 0:
            raise ImageError("the squashfs is damaged: a file is shorter than its size", hints=_AGAIN)

    def block(self, start: int, word: int) -> bytes:
        """The data or fragment block at `start` with this size word, decompressed."""
        size = word & ~STORED
        if not 0 < size <= self.superblock.block_size or start + size > self.superblock.bytes_used:
            raise ImageError("the squashfs is damaged: a data block lies outside the image", hints=_AGAIN)
        raw = self._pread(size, start)
        if len(raw) < size:
            raise ImageError("the squashfs is cut off", hints=_AGAIN)
        return raw if word & STORED else decompress(self.superblock.compressor, raw, self.superblock.block_size)

    def fragment(self, number: int) -> bytes:
        """A fragment block, decompressed; the last one asked for is kept."""
        kept, plain = self._last_fragment
        if kept != number:
            if number >= len(self.fragments.starts):
                raise ImageError(f"the squashfs is damaged: it has no fragment {number}", hints=_AGAIN)
            plain = self.block(self.fragments.starts[number], self.fragments.sizes[number])
            self._last_fragment = (number, plain)
        return plain

    # ── records ─────────────────────────────────────────────────────────────────────────────────────────────────────

    def inode(self, reference: int) -> Inode:
        return read_inode(self._inodes, reference, block_size=self.superblock.block_size, words_limit=self._words_limit)

    def listing(self, inode: Inode) -> Iterator[tuple[bytes, int, int]]:
        """Name, inode reference and basic type of each entry of a directory, in the image's order."""
        return read_listing(self._directories, inode.listing, inode.size)

    def id(self, index: int) -> int:
        if index >= len(self._ids):
            raise ImageError("the squashfs is damaged: an inode names an owner that is not there", hints=_AGAIN)
        return self._ids[index]

    def xattrs(self, number: int) -> Xattrs:
        return self._xattrs.read(number) if number != NO_XATTR and self._xattrs is not None else ()

    def _find_in(self, directory: Inode, name: bytes) -> int | None:
        for found, reference, _ in self.listing(directory):
            if found == name:
                return reference
        return None

    def _entry(self, path: bytes, inode: Inode) -> Entry:
        return Entry(
            path=path,
            mode=inode.mode,
            uid=self.id(inode.uid),
            gid=self.id(inode.gid),
            mtime=inode.mtime,
            rdev=inode.rdev,
            size=inode.size if stat.S_ISREG(inode.mode) else 0,
            link=inode.link,
            xattrs=self.xattrs(inode.xattr),
        )

    def _metadata(self, name: str, start: int, end: int) -> MetadataReader:
        return MetadataReader(self._pread, compressor=self.superblock.compressor, start=start, end=end, name=name)

    def _table(self, name: str, index: int, size: int) -> bytes:
        sb = self.superblock
        return read_table(
            self._pread, compressor=sb.compressor, index=index, size=size, limit=sb.bytes_used, name=name
        )[0]

    def _read_fragments(self) -> Fragments:
        starts, sizes = array("Q"), array("I")
        if self.superblock.fragments:
            raw = self._table("fragment", self.superblock.fragment_table, 16 * self.superblock.fragments)
            for start, size, _unused in struct.iter_unpack("<QII", raw):
                starts.append(start)
                sizes.append(size)
        return Fragments(starts=starts, sizes=sizes)


def _opened(file: int | BinaryIO, offset: int) -> tuple[Pread, int]:
    """How to read from `offset` on, and the file's length."""
    if isinstance(file, int):
        descriptor = file
    else:
        try:
            descriptor = file.fileno()
        except (AttributeError, io.UnsupportedOperation):
            return _seeking(file, offset)

    def pread(size: int, position: int, _kept: int | BinaryIO = file) -> bytes:
        # Whoever hands in a file need not keep it: it must not be closed by falling out of use.
        return os.pread(descriptor, size, offset + position)

    return pread, os.fstat(descriptor).st_size


def _seeking(file: BinaryIO, offset: int) -> tuple[Pread, int]:
    lock = threading.Lock()
    length = file.seek(0, io.SEEK_END)

    def pread(size: int, position: int) -> bytes:
        with lock:
            file.seek(offset + position)
            return file.read(size)

    return pread, length
