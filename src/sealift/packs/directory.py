"""A directory → pack: a plain tree, or the upper directory that a step left behind in overlay's form.

Overlay's form (Linux Documentation/filesystems/overlayfs.rst, "whiteouts and opaque directories"): a character device
0:0, or an empty file with the attribute `overlay.whiteout`, hides what is below; the attribute `overlay.opaque` = `y`
hides what a directory has below. fuse-overlayfs has its own attribute, and `.wh.` names where it cannot make devices.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from typing import BinaryIO, Protocol

from sealift.core.epoch import clamp
from sealift.core.tree import Xattrs
from sealift.errors import ImageError, SealiftError
from sealift.packs.builder import WHOLE_FILE, PackBuilder
from sealift.packs.layer import overlay_free
from sealift.packs.options import PackOptions
from sealift.packs.tarlayer import OPAQUE_MARK, RUN, WHITEOUT_PREFIX
from sealift.system.files import explain_oserror

_PREFIXES = (b"trusted.overlay.", b"user.overlay.", b"user.fuseoverlayfs.")
READ_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | getattr(os, "O_NOATIME", 0)


DEEPEST = 300
"""Each folder on the way down keeps a descriptor open, and a process has some 1000 of them."""


class Owned(Protocol):
    """What an entry truly is, where the file system could not hold it; `mode` includes the type."""

    @property
    def uid(self) -> int: ...
    @property
    def gid(self) -> int: ...
    @property
    def mode(self) -> int: ...
    @property
    def rdev(self) -> int: ...


def pack_directory(
    root: str | bytes,
    target: BinaryIO,
    *,
    options: PackOptions,
    pool: Executor,
    owners: Mapping[int, Owned] | None = None,
    overlay: bool = False,
    list_root: bool = True,
) -> None:
    """Write the pack of everything below `root` to `target`, a new, empty file that can be sought and read.

    `owners` says by inode number what entries are whose owner, mode or device the file system could not hold.
    `overlay` reads overlay's form; otherwise a device 0:0 is a device. `list_root` tells whether the pack lists the
    root directory's own owner, mode and time. Sockets are left out. The same tree gives the same bytes, whatever the
    order on disk. ImageError when files change or vanish meanwhile; HostError when one cannot be read.
    """
    builder = PackBuilder(target, options=options, pool=pool)
    walk = _Walk(builder, owners or {}, options.block_size, overlay=overlay)
    walk.run(os.fsencode(root), list_root=list_root)
    builder.finish()


class _Walk:
    """Depth first, names sorted as bytes: the canonical order of a tree."""

    def __init__(self, builder: PackBuilder, owners: Mapping[int, Owned], block_size: int, *, overlay: bool) -> None:
        self._builder = builder
        self._layer = builder.layer
        self._owners = owners
        self._block_size = block_size
        self._overlay = overlay
        self._inodes: dict[tuple[int, int], int] = {}

    def run(self, root: bytes, *, list_root: bool) -> None:
        try:
            folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                if list_root:
                    self._layer.put(b"", self._inode(os.fstat(folder), read_xattrs(folder)))
                self._folder(folder, b"", os.fstat(folder))
            finally:
                os.close(folder)
        except FileNotFoundError as error:
            raise changed_meanwhile(error.filename or root) from error
        except OSError as error:
            raise explain_oserror(error, f"packing `{os.fsdecode(root)}`") from error

    def _folder(self, folder: int, path: bytes, before: os.stat_result) -> None:
        if path.count(b"/") > DEEPEST:
            raise ImageError(f"`{_show(path[:200])}…` lies more than {DEEPEST} folders deep")
        for name in sorted(map(os.fsencode, os.listdir(folder))):
            here = path + b"/" + name if path else name
            found = os.stat(name, dir_fd=folder, follow_symlinks=False)
            if self._overlay and self._is_mark(name, path):
                continue
            match stat.S_IFMT(found.st_mode):
                case stat.S_IFDIR:
                    self._directory(folder, name, here, found)
                case stat.S_IFREG:
                    self._file(folder, name, here, found)
                case stat.S_IFSOCK:
                    continue
                case stat.S_IFCHR if self._overlay and found.st_rdev == 0 and found.st_ino not in self._owners:
                    self._layer.hide(here)
                case _:
                    self._other(folder, name, here, found)
        if os.fstat(folder).st_mtime_ns != before.st_mtime_ns:
            raise changed_meanwhile(path)

    def _is_mark(self, name: bytes, path: bytes) -> bool:
        """fuse-overlayfs's `.wh.` names."""
        if not name.startswith(WHITEOUT_PREFIX):
            return False
        if name == OPAQUE_MARK:
            self._layer.hide_below(path)
        else:
            hidden = name[len(WHITEOUT_PREFIX) :]
            self._layer.hide(path + b"/" + hidden if path else hidden)
        return True

    def _directory(self, parent: int, name: bytes, path: bytes, found: os.stat_result) -> None:
        folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
        try:
            xattrs = read_xattrs(folder)
            self._layer.put(path, self._inode(found, xattrs))
            if self._overlay and xattrs:
                marks = _marks(xattrs)
                if b"redirect" in marks:
                    raise ImageError(
                        f"`{_show(path)}` was renamed by an overlay with redirects, which a pack cannot hold",
                        hints=("mount the overlay with redirect_dir=off",),
                    )
                if marks.get(b"opaque") == b"y":
                    self._layer.hide_below(path)
            self._folder(folder, path, found)
        finally:
            os.close(folder)

    def _file(self, folder: int, name: bytes, path: bytes, found: os.stat_result) -> None:
        if self._linked(path, found):
            return
        owner = self._owners.get(found.st_ino)
        if owner is not None and not stat.S_ISREG(owner.mode):
            # A file that stands for a device which the namespace could not make.
            self._layer.put(path, self._remember(found, self._inode(found, ())))
            return
        try:
            descriptor = os.open(name, READ_FLAGS, dir_fd=folder)
        except PermissionError:
            # O_NOATIME is for owners only.
            descriptor = os.open(name, READ_FLAGS & ~getattr(os, "O_NOATIME", 0), dir_fd=folder)
        try:
            xattrs = read_xattrs(descriptor)
            if self._overlay and xattrs:
                marks = _marks(xattrs)
                if b"whiteout" in marks and not found.st_size:
                    self._layer.hide(path)
                    return
                if b"metacopy" in marks:
                    raise ImageError(
                        f"`{_show(path)}` has its data in a layer below, which a pack cannot hold",
                        hints=("mount the overlay with metacopy=off",),
                    )
            inode = self._remember(found, self._inode(found, xattrs))
            self._layer.put(path, inode)
            size = found.st_size
            if size <= WHOLE_FILE:
                self._builder.add_whole(inode, read_whole(descriptor, size, path))
            else:
                self._builder.add_pieces(inode, size, file_pieces(descriptor, size, self._block_size, path))
            now = os.fstat(descriptor)
            if (now.st_size, now.st_mtime_ns, now.st_ino) != (size, found.st_mtime_ns, found.st_ino):
                raise changed_meanwhile(path)
        finally:
            os.close(descriptor)

    def _other(self, folder: int, name: bytes, path: bytes, found: os.stat_result) -> None:
        if self._linked(path, found):
            return
        link = os.readlink(name, dir_fd=folder) if stat.S_ISLNK(found.st_mode) else b""
        xattrs = read_xattrs(b"/proc/self/fd/%d/%s" % (folder, name))
        self._layer.put(path, self._remember(found, self._inode(found, xattrs, link=link)))

    def _linked(self, path: bytes, found: os.stat_result) -> bool:
        if found.st_nlink < 2:
            return False
        inode = self._inodes.get((found.st_dev, found.st_ino))
        if inode is None:
            return False
        self._layer.put(path, inode)
        return True

    def _remember(self, found: os.stat_result, inode: int) -> int:
        if found.st_nlink > 1:
            self._inodes[found.st_dev, found.st_ino] = inode
        return inode

    def _inode(self, found: os.stat_result, xattrs: Xattrs, *, link: bytes = b"") -> int:
        mode, uid, gid, rdev = found.st_mode, found.st_uid, found.st_gid, found.st_rdev
        owner = self._owners.get(found.st_ino)
        if owner is not None:
            mode, uid, gid, rdev = owner.mode, owner.uid, owner.gid, owner.rdev
        regular = stat.S_ISREG(mode)
        return self._layer.add_inode(
            mode=mode,
            uid=uid,
            gid=gid,
            mtime=clamp(found.st_mtime_ns // 1_000_000_000),
            rdev=rdev if stat.S_ISCHR(mode) or stat.S_ISBLK(mode) else 0,
            size=found.st_size if regular else 0,
            link=link,
            xattrs=overlay_free(xattrs),
        )


def read_whole(descriptor: int, size: int, path: bytes) -> bytes:
    data = os.read(descriptor, size + 1)
    while 0 < len(data) < size:
        more = os.read(descriptor, size + 1 - len(data))
        if not more:
            break
        data += more
    if len(data) != size:
        raise changed_meanwhile(path)
    return data


def file_pieces(descriptor: int, size: int, block_size: int, path: bytes) -> Iterator[bytes]:
    """Whole blocks; where the file system says that there is a hole, zeros without reading."""
    run = max(RUN, block_size)
    zeros = b""
    at = 0
    data_from, data_to = _next_data(descriptor, 0, size)
    while at < size:
        if at >= data_to:
            data_from, data_to = _next_data(descriptor, at, size)
        if at + block_size <= data_from:
            zeros = zeros or bytes(block_size)
            yield zeros
            at += block_size
            continue
        length = min(run, size - at)
        data = os.pread(descriptor, length, at)
        while len(data) < length:
            more = os.pread(descriptor, length - len(data), at + len(data))
            if not more:
                raise changed_meanwhile(path)
            data += more
        yield data
        at += length


def _next_data(descriptor: int, at: int, size: int) -> tuple[int, int]:
    """Where the next data begins and ends at or behind `at`; a file system that does not know says: all of it."""
    if not hasattr(os, "SEEK_DATA"):
        return at, size
    try:
        start = os.lseek(descriptor, at, os.SEEK_DATA)
        return start, os.lseek(descriptor, start, os.SEEK_HOLE)
    except OSError as error:
        return (size, size) if error.errno == errno.ENXIO else (at, size)


def read_xattrs(place: int | bytes) -> Xattrs:
    """All extended attributes, sorted; none where the file system, or the system, has no such thing."""
    if not hasattr(os, "listxattr"):
        return ()
    follow = isinstance(place, int)
    try:
        names = os.listxattr(place, follow_symlinks=follow)
        if not names:
            return ()
        return tuple(
            (name, os.getxattr(place, name, follow_symlinks=follow)) for name in sorted(map(os.fsencode, names))
        )
    except OSError as error:
        if error.errno in (errno.ENOTSUP, errno.EPERM, errno.ENODATA, errno.ENOENT):
            return ()
        raise


def _marks(xattrs: Xattrs) -> dict[bytes, bytes]:
    """Overlay's private attributes by their bare names."""
    return {name[len(prefix) :]: value for name, value in xattrs for prefix in _PREFIXES if name.startswith(prefix)}


def _show(path: str | bytes) -> str:
    return os.fsdecode(path)


def changed_meanwhile(path: str | bytes) -> SealiftError:
    return ImageError(
        f"`{_show(path) or '.'}` changed while it was packed", hints=("stop what writes to it, then try again",)
    )
