"""Writes the tables and the superblock of a squashfs behind data that is there already."""

from __future__ import annotations

from array import array
from typing import BinaryIO

from sealift.core.epoch import LATEST
from sealift.core.tree import Tree, show_path
from sealift.errors import ImageError
from sealift.squashfs.compression import COMPRESSOR_IDS, Compression
from sealift.squashfs.directories import Child, write_listing
from sealift.squashfs.inodes import TYPES, Head, pack_device, pack_directory, pack_file, pack_pipe, pack_symlink
from sealift.squashfs.layout import (
    BLOCK,
    CHARACTER,
    DIRECTORY,
    DUPLICATES_FLAG,
    EXPORT_FLAG,
    FILE,
    ID_LIMIT,
    LINK_LIMIT,
    METADATA_SIZE,
    NAME_LIMIT,
    NO_XATTR,
    NO_XATTRS_FLAG,
    PADDING,
    SUPERBLOCK_SIZE,
    SYMLINK,
    Superblock,
    check_block_size,
    to_little_endian,
)
from sealift.squashfs.metadata import MetadataWriter, pack_table
from sealift.squashfs.placement import NO_FRAGMENT, Fragments, Placement, block_count
from sealift.squashfs.xattrs import XattrWriter

_NO_WORDS = array("I")


def write_tables(
    out: BinaryIO,
    *,
    base: int,
    data_end: int,
    tree: Tree,
    placement: Placement,
    fragments: Fragments,
    compression: Compression,
    block_size: int,
    mtime: int,
) -> int:
    """Make a squashfs of the blocks that lie in [base + 96, base + data_end) of `out`; return its `bytes_used`.

    Writes the tables behind the data, zeros up to a multiple of 4096 counted from `base`, then the superblock at
    `base`; `out` is left at the end of the zeros. Equal arguments give equal bytes: inodes are numbered from 1 in the
    tree's order, ids and xattr sets in the order of their first use.

    Rows with the same group > 0 become one inode, with the attributes, the placement and the content of the first. The
    tree must be complete: ValueError where the root or a parent directory is missing, or a value is one that no tree
    may hold. ImageError for what squashfs cannot hold: see `layout` for the limits, `xattrs.can_hold` for names of
    extended attributes.
    """
    check_block_size(block_size)
    if data_end < SUPERBLOCK_SIZE or not 0 <= mtime <= LATEST:
        raise ValueError("the data must end behind the superblock, and the time be one that squashfs can hold")
    tables = _Inodes(tree, placement, len(fragments.starts), compression, block_size)
    tables.write()

    out.seek(base + data_end)
    inode_table = data_end
    inode_bytes = tables.inodes.finish()
    out.write(inode_bytes)
    directory_table = inode_table + len(inode_bytes)
    del inode_bytes
    directory_bytes = tables.directories.finish()
    out.write(directory_bytes)
    position = directory_table + len(directory_bytes)
    del directory_bytes

    def write_indexed(records: bytes) -> int:
        """Write a table and its index at `position`; return where the index lies, which is what names the table."""
        nonlocal position
        blocks, index = pack_table(records, position, compression)
        out.write(blocks + index)
        position += len(blocks) + len(index)
        return position - len(index)

    fragment_table = write_indexed(_fragment_records(fragments))
    export_table = write_indexed(to_little_endian(tables.references))
    id_table = write_indexed(to_little_endian(array("I", tables.ids)))
    xattr_bytes, xattr_table = tables.xattrs.table(position, compression)
    out.write(xattr_bytes)
    bytes_used = position + len(xattr_bytes)
    out.write(bytes(-bytes_used % PADDING))
    end = out.tell()

    superblock = Superblock(
        inodes=len(tables.references),
        mtime=mtime,
        block_size=block_size,
        fragments=len(fragments.starts),
        compressor=COMPRESSOR_IDS[compression.name],
        flags=EXPORT_FLAG | DUPLICATES_FLAG | (0 if xattr_bytes else NO_XATTRS_FLAG),
        ids=len(tables.ids),
        root=tables.references[0],
        bytes_used=bytes_used,
        id_table=id_table,
        xattr_table=xattr_table,
        inode_table=inode_table,
        directory_table=directory_table,
        fragment_table=fragment_table,
        export_table=export_table,
    )
    out.seek(base)
    out.write(superblock.pack())
    out.seek(end)
    return bytes_used


class _OpenDirectory:
    """A directory whose rows are being read; its listing can be written when they are all there."""

    __slots__ = ("children", "head", "listing_size", "prefix", "row", "subdirectories", "xattr")

    def __init__(self, row: int, prefix: bytes, head: Head, xattr: int) -> None:
        self.row = row
        self.prefix = prefix
        self.head = head
        self.xattr = xattr
        self.children = array("I")
        self.listing_size = 0
        self.subdirectories = 0


class _Inodes:
    """One pass over the rows: an inode goes out when its row comes, a directory's when its last row has come."""

    def __init__(
        self, tree: Tree, placement: Placement, fragment_count: int, compression: Compression, block_size: int
    ) -> None:
        self._tree = tree
        self._placement = placement
        self._fragment_count = fragment_count
        self._block_size = block_size
        self.inodes = MetadataWriter(compression)
        self.directories = MetadataWriter(compression)
        self.xattrs = XattrWriter(tree.xattr_sets)
        self.ids: dict[int, int] = {}
        self.references = array("Q")  # by inode number - 1
        self._numbers = array("I")  # by row
        self._total = 0
        self._groups: dict[int, list[int]] = {}  # group: how many rows, inode number
        self._open: list[_OpenDirectory] = []

    def write(self) -> None:
        tree = self._tree
        _check(tree)
        for group in tree.groups:
            if group:
                self._groups.setdefault(group, [0, 0])[0] += 1
        # Known before the first directory is written: the root's parent is, by custom, one behind the last inode.
        self._total = len(tree) - sum(count - 1 for count, _ in self._groups.values())
        modes, opened = tree.modes, self._open
        for row, path in enumerate(tree.paths):
            while opened and not path.startswith(opened[-1].prefix):
                self._close(opened.pop())
            name = self._add_to_parent(row, path)
            kind = TYPES.get(modes[row] & 0o170000)
            if kind is None:
                raise ValueError(f"`{show_path(path)}` has a mode of no known type: {modes[row]:o}")
            nlink = 1
            group = tree.groups[row]
            if group:
                if kind == DIRECTORY:
                    raise ValueError(f"`{show_path(path)}` is a directory and cannot have hard links")
                nlink, number = self._groups[group]
                if number:
                    self._numbers.append(number)
                    continue
                self._groups[group][1] = len(self.references) + 1
            number = len(self.references) + 1
            self._numbers.append(number)
            head = (
                modes[row] & 0o7777,
                self._id(tree.uids[row]),
                self._id(tree.gids[row]),
                tree.mtimes[row],
                number,
            )
            xattr = self.xattrs.number(tree.xattrs[row]) if tree.xattr_sets[tree.xattrs[row]] else NO_XATTR
            if kind == DIRECTORY:
                self.references.append(0)  # known when the directory is closed
                opened.append(_OpenDirectory(row, path + b"/" if name else b"", head, xattr))
            else:
                self.references.append(self.inodes.reference)
                self.inodes.append(self._record(row, kind, head, nlink, xattr))
        while opened:
            self._close(opened.pop())

    def _add_to_parent(self, row: int, path: bytes) -> bytes:
        if not self._open:
            if row:
                raise ValueError(f"`{show_path(path)}` lies in no directory")
            return b""
        parent = self._open[-1]
        name = path[len(parent.prefix) :]
        if not name or b"/" in name or b"\0" in name or name in (b".", b".."):
            raise ValueError(f"`{show_path(path)}` is no path of a complete tree: its directory is not there")
        if len(name) > NAME_LIMIT:
            raise ImageError(f"the name of `{show_path(path)}` is longer than {NAME_LIMIT} bytes")
        parent.children.append(row)
        parent.listing_size += len(name) + 8
        return name

    def _id(self, value: int) -> int:
        index = self.ids.setdefault(value, len(self.ids))
        if index >= ID_LIMIT:
            raise ImageError(f"squashfs can hold {ID_LIMIT} different user and group ids, and the tree has more")
        return index

    def _record(self, row: int, kind: int, head: Head, nlink: int, xattr: int) -> bytes:
        tree = self._tree
        if kind == FILE:
            return self._file(row, head, nlink, xattr)
        if kind == SYMLINK:
            target = tree.links.get(row, b"")
            if not 0 < len(target) <= LINK_LIMIT:
                raise ImageError(
                    f"the symbolic link `{show_path(tree.paths[row])}` has a target of {len(target)} bytes;"
                    f" Linux reads 1 to {LINK_LIMIT}"
                )
            return pack_symlink(head, target=target, nlink=nlink, xattr=xattr)
        if kind in (BLOCK, CHARACTER):
            # Linux's 12-bit majors and 20-bit minors lie in `makedev`'s number as squashfs has them.
            if tree.rdevs[row] >= 1 << 32:
                raise ImageError(f"squashfs cannot hold the device number of `{show_path(tree.paths[row])}`")
            return pack_device(head, kind=kind, rdev=tree.rdevs[row], nlink=nlink, xattr=xattr)
        return pack_pipe(head, kind=kind, nlink=nlink, xattr=xattr)

    def _file(self, row: int, head: Head, nlink: int, xattr: int) -> bytes:
        placement = self._placement
        size = self._tree.sizes[row]
        fragment = placement.fragments[row]
        if fragment >= self._fragment_count and fragment != NO_FRAGMENT:
            raise ValueError(f"`{show_path(self._tree.paths[row])}` lies in fragment {fragment}, which is not there")
        count = block_count(size, fragment, self._block_size)
        words = _NO_WORDS
        if count:
            first = placement.firsts[row]
            words = placement.blocks[first : first + count]
        if len(words) != count:
            raise ValueError(f"`{show_path(self._tree.paths[row])}` has {len(words)} blocks and needs {count}")
        return pack_file(
            head,
            start=placement.starts[row] if count else 0,
            size=size,
            words=words,
            fragment=fragment,
            offset=placement.offsets[row] if fragment != NO_FRAGMENT else 0,
            nlink=nlink,
            xattr=xattr,
            block_size=self._block_size,
        )

    def _close(self, directory: _OpenDirectory) -> None:
        listing = write_listing(
            self.directories, self._children(directory), indexed=directory.listing_size > METADATA_SIZE
        )
        number = directory.head[4]
        if self._open:
            parent = self._open[-1]
            parent.subdirectories += 1
            parent_number = parent.head[4]
        else:
            parent_number = self._total + 1
        self.references[number - 1] = self.inodes.reference
        self.inodes.append(
            pack_directory(
                directory.head,
                listing=listing.reference,
                size=listing.size,
                nlink=2 + directory.subdirectories,
                parent=parent_number,
                xattr=directory.xattr,
                indexes=listing.indexes,
                index_count=listing.index_count,
            )
        )

    def _children(self, directory: _OpenDirectory) -> list[Child] | map[Child]:
        paths, modes, numbers, references = self._tree.paths, self._tree.modes, self._numbers, self.references
        skip = len(directory.prefix)

        def child(row: int) -> Child:
            number = numbers[row]
            return paths[row][skip:], references[number - 1], number, TYPES[modes[row] & 0o170000]

        return map(child, directory.children)


def _check(tree: Tree) -> None:
    if not len(tree) or tree.paths[0] != b"" or tree.modes[0] & 0o170000 != 0o040000:
        raise ValueError("the tree has no root directory")
    if max(tree.mtimes) > LATEST:
        raise ValueError(f"a time of the tree lies behind {LATEST}, the last second that squashfs can hold")


def _fragment_records(fragments: Fragments) -> bytes:
    """u64 start · u32 size word · u32 0"""
    records = array("Q", bytes(16 * len(fragments.starts)))
    records[0::2] = fragments.starts
    records[1::2] = array("Q", fragments.sizes)
    return to_little_endian(records)
