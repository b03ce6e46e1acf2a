"""Walks a whole squashfs: gives it as columns, or its names alone."""

from __future__ import annotations

import itertools
import stat
from array import array
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sealift.core.tree import NO_DIGEST, Tree, Xattrs, show_path
from sealift.errors import ImageError
from sealift.squashfs.layout import DIRECTORY, NO_XATTR
from sealift.squashfs.placement import NO_FRAGMENT, STORED, Placement

if TYPE_CHECKING:
    from sealift.squashfs.inodes import Inode
    from sealift.squashfs.reader import SquashfsReader

_PATH_LIMIT = 1 << 16
"""Paths of a hostile chain of directories would take the square of its length."""


def walk(reader: SquashfsReader, *, limit: int) -> tuple[Tree, Placement]:
    """See `SquashfsReader.tree`."""
    columns = _Columns(reader)
    root = reader.root()
    if not root.is_dir:
        raise ImageError("the squashfs is damaged: its root is no directory")
    columns.add(b"", root, reader.superblock.root)
    entered = {reader.superblock.root}
    todo = [(b"", _children(reader, b"", root))]
    while todo:
        prefix, children = todo[-1]
        if not children:
            todo.pop()
            continue
        name, reference = children.pop()
        path = prefix + name
        inode = reader.inode(reference)
        if len(columns.paths) >= limit:
            raise ImageError(f"the squashfs has more than {limit} entries")
        columns.add(path, inode, reference)
        if inode.is_dir:
            _enter(entered, path, reference)
            todo.append((path + b"/", _children(reader, path, inode)))
    return columns.finish()


def walk_names(reader: SquashfsReader, *, limit: int) -> Iterator[tuple[bytes, bytes]]:
    """See `SquashfsReader.names`."""
    entered = {reader.superblock.root}
    todo = [(b"", reader.superblock.root)]
    count = 0
    while todo:
        prefix, reference = todo.pop()
        inode = reader.inode(reference)
        if not inode.is_dir:
            raise ImageError(f"the squashfs is damaged: `{show_path(prefix)}` is no directory")
        for name, below, kind in reader.listing(inode):
            count += 1
            if count > limit:
                raise ImageError(f"the squashfs has more than {limit} entries")
            if kind == DIRECTORY:
                _enter(entered, prefix + name, below)
                todo.append((prefix + name + b"/", below))
            else:
                yield prefix, name


def _enter(entered: set[int], path: bytes, reference: int) -> None:
    if reference in entered:
        raise ImageError(f"the squashfs is damaged: the directory `{show_path(path)}` stands in two places")
    if len(path) > _PATH_LIMIT:
        raise ImageError("the squashfs is damaged: its directories are nested too deeply")
    entered.add(reference)


def _children(reader: SquashfsReader, path: bytes, inode: Inode) -> list[tuple[bytes, int]]:
    """Last name first, so that they can be popped in order."""
    found = [(name, reference) for name, reference, _ in reader.listing(inode)]
    found.sort(reverse=True)
    if any(a[0] == b[0] for a, b in itertools.pairwise(found)):
        raise ImageError(f"the squashfs is damaged: a name stands twice in `{show_path(path)}`")
    return found


class _Columns:
    def __init__(self, reader: SquashfsReader) -> None:
        self._reader = reader
        self._data_end = reader.superblock.inode_table
        self._fragments = len(reader.fragments.starts)
        self.paths: list[bytes] = []
        self._modes, self._uids, self._gids = array("I"), array("I"), array("I")
        self._mtimes, self._rdevs, self._sizes = array("Q"), array("Q"), array("Q")
        self._groups, self._xattrs = array("I"), array("I")
        self._sets: dict[Xattrs, int] = {(): 0}
        self._links: dict[int, bytes] = {}
        self._starts, self._firsts, self._blocks = array("Q"), array("Q"), array("I")
        self._in_fragment, self._offsets = array("I"), array("I")
        self._first_rows: dict[int, int] = {}

    def add(self, path: bytes, inode: Inode, reference: int) -> None:
        row = len(self.paths)
        mode = inode.mode
        self.paths.append(path)
        self._modes.append(mode)
        self._uids.append(self._reader.id(inode.uid))
        self._gids.append(self._reader.id(inode.gid))
        self._mtimes.append(inode.mtime)
        self._rdevs.append(inode.rdev)
        self._xattrs.append(0 if inode.xattr == NO_XATTR else self._set(inode.xattr))
        first = row if inode.nlink == 1 or inode.is_dir else self._first_rows.setdefault(reference, row)
        # For now the first row's number and one; `finish` makes small numbers of it.
        self._groups.append(0)
        if first != row:
            self._groups[first] = self._groups[row] = first + 1
        if stat.S_ISREG(mode):
            self._sizes.append(inode.size)
            self._starts.append(inode.start)
            self._in_fragment.append(inode.fragment)
            self._offsets.append(inode.offset)
            if first != row:
                self._firsts.append(self._firsts[first])
            else:
                self._firsts.append(len(self._blocks))
                self._check(path, inode)
                self._blocks += inode.words
        else:
            self._sizes.append(0)
            self._starts.append(0)
            self._in_fragment.append(NO_FRAGMENT)
            self._offsets.append(0)
            self._firsts.append(len(self._blocks))
            if stat.S_ISLNK(mode):
                self._links[row] = inode.link

    def finish(self) -> tuple[Tree, Placement]:
        numbers: dict[int, int] = {0: 0}
        groups = array("I", (numbers.setdefault(group, len(numbers)) for group in self._groups))
        tree = Tree(
            paths=self.paths,
            modes=self._modes,
            uids=self._uids,
            gids=self._gids,
            mtimes=self._mtimes,
            rdevs=self._rdevs,
            sizes=self._sizes,
            groups=groups,
            xattrs=self._xattrs,
            xattr_sets=tuple(self._sets),
            links=self._links,
            digests=NO_DIGEST * len(self.paths),
        )
        placement = Placement(
            starts=self._starts,
            firsts=self._firsts,
            blocks=self._blocks,
            fragments=self._in_fragment,
            offsets=self._offsets,
        )
        return tree, placement

    def _set(self, number: int) -> int:
        return self._sets.setdefault(self._reader.xattrs(number), len(self._sets))

    def _check(self, path: bytes, inode: Inode) -> None:
        """Whoever copies blocks by this placement must not be led outside the image."""
        if inode.fragment != NO_FRAGMENT and inode.fragment >= self._fragments:
            raise ImageError(f"the squashfs is damaged: `{show_path(path)}` lies in a fragment that is not there")
        if inode.words:
            size_limit = self._reader.superblock.block_size
            sizes = [word & ~STORED for word in inode.words]
            if max(sizes) > size_limit or inode.start + sum(sizes) > self._data_end:
                raise ImageError(f"the squashfs is damaged: `{show_path(path)}` lies outside the image")
