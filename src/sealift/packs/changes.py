"""A directory that we wrote, read again: what is as it was left, and what somebody changed since.

An entry that is on disk as it was left (type, mode, owner, size or target, time, attributes) is what the tree file
says. Of one that was changed, each field that is on disk as it was left is the tree file's, every other the disk's.
"""

from __future__ import annotations

import os
import stat
from array import array
from collections.abc import Callable, Iterator
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from itertools import compress
from typing import BinaryIO

from sealift.core.epoch import clamp
from sealift.core.tree import Entry, Tree, Xattrs, sort_key, tree_of
from sealift.errors import ImageError
from sealift.packs.builder import WHOLE_FILE, PackBuilder
from sealift.packs.directory import DEEPEST, READ_FLAGS, changed_meanwhile, file_pieces, read_whole, read_xattrs
from sealift.packs.layer import number_groups, overlay_free
from sealift.packs.options import PackOptions
from sealift.packs.treefile import TREE_FILE, TreeFile
from sealift.system.files import explain_oserror

_SET_ID = stat.S_ISUID | stat.S_ISGID
IdOf = Callable[[int], int | None]


def _same(number: int) -> int | None:
    return number


@dataclass(frozen=True, slots=True, kw_only=True)
class Ids:
    """What owners mean that are seen from where the directory is read: whose files they are on the host, and in the
    image. None where nothing can be said: such a file is taken as unchanged, or as root's.
    """

    host_uid: IdOf = _same
    host_gid: IdOf = _same
    image_uid: IdOf = _same
    image_gid: IdOf = _same


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Compared:
    """A directory as it is now. `tree` has no digests of what was changed; `mtimes` are the disk's, in nanoseconds;
    `gone` counts entries of the image that are no longer there. `uncertain` says that something was changed by owners
    of whom `Ids` knows nothing.
    """

    tree: Tree
    changed: bytearray
    mtimes: array[int]
    gone: int
    uncertain: bool


def compare(root: bytes, kept: TreeFile, ids: Ids) -> Compared:
    """Look at every entry below `root`, reading no content. Sockets and the tree file itself are left out.

    HostError where something cannot be read.
    """
    try:
        return _Comparison(root, kept, ids).run()
    except FileNotFoundError as error:
        raise changed_meanwhile(error.filename or root) from error
    except OSError as error:
        raise explain_oserror(error, f"reading `{os.fsdecode(root)}`") from error


class _Comparison:
    def __init__(self, root: bytes, kept: TreeFile, ids: Ids) -> None:
        self._root = root
        self._kept = kept
        self._ids = ids
        self._next = 0
        """The first row of the image that was not met yet: both sides come in canonical order."""
        self._gone = 0
        self._uncertain = False
        self._was: Entry | None = None
        self._changed = bytearray()
        self._mtimes = array("q")
        self._inodes: dict[tuple[int, int], int] = {}
        self._groups: dict[int, int] = {}

    def run(self) -> Compared:
        tree = tree_of(self._entries(b"", os.lstat(self._root)))
        self._gone += len(self._kept.tree) - self._next
        tree = replace(tree, groups=number_groups(array("Q", tree.groups)))
        self._spread_changes(tree)
        return Compared(
            tree=tree, changed=self._changed, mtimes=self._mtimes, gone=self._gone, uncertain=self._uncertain
        )

    def _entries(self, path: bytes, found: os.stat_result) -> Iterator[Entry]:
        place = self._root + b"/" + path if path else self._root
        yield self._entry(path, place, found)
        if stat.S_ISDIR(found.st_mode):
            if path.count(b"/") > DEEPEST:
                raise ImageError(f"`{os.fsdecode(path[:200])}…` lies more than {DEEPEST} folders deep")
            for name in sorted(os.listdir(place)):
                below = path + b"/" + name if path else name
                if below == TREE_FILE:
                    continue
                status = os.lstat(place + b"/" + name)
                if not stat.S_ISSOCK(status.st_mode):
                    yield from self._entries(below, status)

    def _row(self, path: bytes) -> int | None:
        """The image's row of `path`, which lies behind all that were asked for before."""
        paths, key = self._kept.tree.paths, sort_key(path)
        while self._next < len(paths):
            there = sort_key(paths[self._next])
            if there > key:
                return None
            self._next += 1
            if there == key:
                return self._next - 1
            self._gone += 1
        return None

    def _entry(self, path: bytes, place: bytes, found: os.stat_result) -> Entry:
        row = self._row(path)
        link = os.readlink(place) if stat.S_ISLNK(found.st_mode) else b""
        xattrs = overlay_free(read_xattrs(place))
        self._mtimes.append(found.st_mtime_ns)
        if row is None:
            entry, kept = self._new(path, found, link, xattrs), 0
        else:
            entry, same_content = self._known(row, found, link, xattrs)
            kept = self._kept.tree.groups[row] if same_content else 0
        group = self._group(kept, found)
        self._changed.append(row is None or entry is not self._was)
        return replace(entry, group=group) if entry.group != group else entry

    def _known(self, row: int, found: os.stat_result, link: bytes, xattrs: Xattrs) -> tuple[Entry, bool]:
        """What an entry of the image is now, and whether its content is what it was."""
        disk = self._kept.disk
        was = self._was = self._kept.tree.entry(row)
        left = disk.modes[row]
        if stat.S_IFMT(left) != stat.S_IFMT(found.st_mode):
            return self._new(was.path, found, link, xattrs), False
        same_time = found.st_mtime_ns == disk.mtimes[row]
        same_content = link == was.link
        if stat.S_ISREG(left):  # an empty one may stand for a device
            same_content = same_time and found.st_size == was.size
        elif stat.S_ISCHR(left) or stat.S_ISBLK(left):
            same_content = found.st_rdev == was.rdev
        same_mode = found.st_mode == left
        same_uid = self._ids.host_uid(found.st_uid) in (None, disk.uids[row])
        same_gid = self._ids.host_gid(found.st_gid) in (None, disk.gids[row])
        same_xattrs = xattrs == disk.xattr_sets[disk.xattrs[row]]
        if same_content and same_time and same_mode and same_uid and same_gid and same_xattrs:
            return was, True
        now = self._new(was.path, found, link, xattrs)
        attributes = was.xattrs if same_xattrs else xattrs
        mode = now.mode
        if same_content:
            mode = was.mode if same_mode else stat.S_IFMT(was.mode) | stat.S_IMODE(now.mode)
        elif same_mode and stat.S_ISREG(was.mode):
            # Writing to a file takes set-id bits and capabilities from it, as the kernel has it, unless they are there.
            mode = was.mode & ~_SET_ID | left & _SET_ID
            attributes = tuple(pair for pair in attributes if pair in xattrs or pair[0] != b"security.capability")
        return replace(
            was if same_content else now,
            mode=mode,
            uid=was.uid if same_uid else now.uid,
            gid=was.gid if same_gid else now.gid,
            mtime=was.mtime if same_time else now.mtime,
            xattrs=attributes,
        ), same_content

    def _new(self, path: bytes, found: os.stat_result, link: bytes, xattrs: Xattrs) -> Entry:
        mode = found.st_mode
        uid, gid = self._ids.image_uid(found.st_uid), self._ids.image_gid(found.st_gid)
        self._uncertain = self._uncertain or uid is None
        return Entry(
            path=path,
            mode=mode,
            uid=uid or 0,
            gid=gid or 0,
            mtime=clamp(found.st_mtime_ns // 1_000_000_000),
            rdev=found.st_rdev if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else 0,
            size=found.st_size if stat.S_ISREG(mode) else 0,
            link=link,
            xattrs=xattrs,
        )

    def _group(self, kept: int, found: os.stat_result) -> int:
        """Hard links are those of the image, which a copy of the directory may have lost, and those on disk."""
        inode = (found.st_dev, found.st_ino)
        linked = found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode)
        known = self._inodes.get(inode) if linked else None
        if kept:
            known = self._groups.setdefault(kept, known or len(self._mtimes) + 1)
        elif linked and known is None:
            known = len(self._mtimes) + 1
        if linked and known is not None:
            self._inodes[inode] = known
        return known or 0

    def _spread_changes(self, tree: Tree) -> None:
        """One inode lies in one pack: where one of its names is new, all count as changed."""
        touched = {group for group, changed in zip(tree.groups, self._changed, strict=True) if changed and group}
        if touched:
            for row, group in enumerate(tree.groups):
                if group in touched:
                    self._changed[row] = 1


def pack_compared(
    root: bytes, compared: Compared, target: BinaryIO, *, changed: bool, options: PackOptions, pool: Executor
) -> None:
    """Write the pack of what was changed, or of what was not, to `target`, a new, empty file.

    ImageError when a file changes or vanishes meanwhile; HostError when one cannot be read.
    """
    tree = compared.tree
    builder = PackBuilder(target, options=options, pool=pool)
    groups: dict[int, int] = {}
    for row in compress(range(len(tree)), (flag == changed for flag in compared.changed)):
        entry = tree.entry(row)
        if entry.group in groups:
            builder.layer.put(entry.path, groups[entry.group])
            continue
        inode = builder.layer.add_inode(
            mode=entry.mode,
            uid=entry.uid,
            gid=entry.gid,
            mtime=entry.mtime,
            rdev=entry.rdev,
            size=entry.size,
            link=entry.link,
            xattrs=entry.xattrs,
        )
        if entry.group:
            groups[entry.group] = inode
        builder.layer.put(entry.path, inode)
        if entry.is_file:
            try:
                _add_content(builder, inode, root + b"/" + entry.path, entry.size, compared.mtimes[row], options)
            except FileNotFoundError as error:
                raise changed_meanwhile(entry.path) from error
            except OSError as error:
                raise explain_oserror(error, f"packing `{os.fsdecode(root)}`") from error
    builder.finish()


def _add_content(builder: PackBuilder, inode: int, place: bytes, size: int, mtime: int, options: PackOptions) -> None:
    try:
        descriptor = os.open(place, READ_FLAGS)
    except PermissionError:
        # O_NOATIME is for owners only.
        descriptor = os.open(place, READ_FLAGS & ~getattr(os, "O_NOATIME", 0))
    try:
        if size <= WHOLE_FILE:
            builder.add_whole(inode, read_whole(descriptor, size, place))
        else:
            builder.add_pieces(inode, size, file_pieces(descriptor, size, options.block_size, place))
        now = os.fstat(descriptor)
        if not stat.S_ISREG(now.st_mode) or (now.st_size, now.st_mtime_ns) != (size, mtime):
            raise changed_meanwhile(place)
    finally:
        os.close(descriptor)
