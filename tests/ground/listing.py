"""Everything that a tree on disk holds, as values that can be compared whole."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections import Counter
from pathlib import Path

from sealift.core.tree import NO_DIGEST, Entry, sort_key


def full_listing(root: str | Path) -> dict[bytes, Entry]:
    """Every path below `root` (the root itself is `b""`) with all that its inode says, in canonical order.

    Sizes are those of regular files and 0 for all else; times are whole seconds; hard-link groups count from 1 in the
    order of their first path, and 0 means a single name. File systems of their own below `root` are not entered.
    """
    top = os.fsencode(os.fspath(root))
    device = os.lstat(top).st_dev
    found: dict[bytes, os.stat_result] = {}

    def visit(path: bytes) -> None:
        status = os.lstat(os.path.join(top, path) if path else top)
        found[path] = status
        if stat.S_ISDIR(status.st_mode) and status.st_dev == device:
            for name in os.listdir(os.path.join(top, path) if path else top):
                visit(os.path.join(path, name))

    visit(b"")
    names = Counter((one.st_dev, one.st_ino) for one in found.values() if not stat.S_ISDIR(one.st_mode))
    groups: dict[tuple[int, int], int] = {}
    entries: dict[bytes, Entry] = {}
    for path in sorted(found, key=sort_key):
        status = found[path]
        key = (status.st_dev, status.st_ino)
        group = groups.setdefault(key, len(groups) + 1) if names[key] > 1 else 0
        entries[path] = _entry(path, os.path.join(top, path) if path else top, status, group=group)
    return entries


def _entry(path: bytes, full: bytes, status: os.stat_result, *, group: int) -> Entry:
    mode = status.st_mode
    regular = stat.S_ISREG(mode)
    device = stat.S_ISCHR(mode) or stat.S_ISBLK(mode)
    names = _xattr_names(full)
    digest = NO_DIGEST
    if regular:
        with open(full, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").digest()
    return Entry(
        path=path,
        mode=mode,
        uid=status.st_uid,
        gid=status.st_gid,
        mtime=status.st_mtime_ns // 1_000_000_000,
        rdev=status.st_rdev if device else 0,
        size=status.st_size if regular else 0,
        link=os.readlink(full) if stat.S_ISLNK(mode) else b"",
        group=group,
        xattrs=tuple((os.fsencode(name), os.getxattr(full, name, follow_symlinks=False)) for name in names),
        digest=digest,
    )


def _xattr_names(full: bytes) -> list[str]:
    """A file system without attributes at all, such as a squashfs that has no table of them, has none here either."""
    try:
        return sorted(os.listxattr(full, follow_symlinks=False), key=os.fsencode)
    except OSError as error:
        if error.errno == errno.EOPNOTSUPP:
            return []
        raise
