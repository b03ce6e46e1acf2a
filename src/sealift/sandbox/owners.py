"""Owners and devices that were asked for in a sandbox but that its user namespace cannot hold: recorded, read back.

A record names a file of the upper layer by its inode number and its time of birth, so renames and hard links need no
care and a number that is used again is not mistaken. Records are appended as JSON lines; the last one of a file wins.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sealift.system import kernel


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """What an entry of the upper layer truly is; `mode` has the type that a recorded device should have."""

    uid: int
    gid: int
    mode: int
    rdev: int = 0


BaseOwner = Callable[[bytes], "tuple[int, int, int] | None"]
"""Mode with type, uid and gid of the entry that the base has at a path (no leading slash); None where it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One line. `uid` and `gid` are None where nobody asked for one; `kind` is a device's type, else 0; `at` is when,
    in nanoseconds. `soft` marks root's ids that a program may only have repeated from what it saw, and `like` is the
    file on which it may have seen them: see `read_owners`.
    """

    inode: int
    birth: int
    uid: int | None = None
    gid: int | None = None
    kind: int = 0
    rdev: int = 0
    at: int = 0
    soft: bool = False
    like: str = ""

    def line(self) -> bytes:
        values = (
            self.inode, self.birth, self.uid, self.gid, self.kind, self.rdev, self.at, int(self.soft), self.like,
        )  # fmt: skip
        return json.dumps(values, separators=(",", ":")).encode() + b"\n"


def read_records(path: str) -> dict[tuple[int, int], Record]:
    """The records of a journal, by inode and birth; a last line that a killed process left unfinished is no record."""
    found: dict[tuple[int, int], Record] = {}
    try:
        with open(path, "rb") as file:
            lines = file.read().splitlines(keepends=True)
    except FileNotFoundError:
        return found
    for line in lines:
        if not line.endswith(b"\n"):
            break
        inode, birth, uid, gid, kind, rdev, at, soft, like = json.loads(line)
        old = found.get((inode, birth), Record(inode=inode, birth=birth))
        found[inode, birth] = Record(
            inode=inode,
            birth=birth,
            uid=uid if uid is not None else old.uid,
            gid=gid if gid is not None else old.gid,
            kind=kind or old.kind,
            rdev=rdev or old.rdev,
            at=at,
            soft=bool(soft),
            like=like,
        )
    return found


_ORIGINS = ("user.overlay.origin", "trusted.overlay.origin", "user.fuseoverlayfs.origin")
_NO_RECORD = Record(inode=0, birth=0)


def read_owners(
    journal: str,
    upper: str,
    base: BaseOwner | None = None,
    *,
    kept: frozenset[int] = frozenset(),
    marked_folders: bool = True,
) -> Mapping[int, Owner]:
    """The true owners of the entries of `upper` whose own say something else, by inode number.

    `base` is given where one id owns everything (mode `single`), and then three more things are mended: a file that
    was copied up and whose owner nobody changed is its base entry's owner's; a new entry in a directory with the setgid
    bit has the directory's group; and a program that rewrites or copies a file (`useradd`, `sed -i`) gives the new one
    the owner that it saw on the old one, which here was root whoever it really was. So a change to root by descriptor,
    not by path, gives the file the owner that the base has at that path, or had at the path it was copied from.
    `kept` are inode numbers that are the base's own where no overlay marks them; `marked_folders` is false for
    fuse-overlayfs, which marks folders the other way round.
    """
    records = read_records(journal)
    if not records and base is None:
        return {}
    numbers = {inode for inode, _ in records}
    owners: dict[int, Owner] = {}
    groups: dict[bytes, tuple[int, int]] = {}  # of directories with the setgid bit: which, and since when
    top = os.fsencode(upper)

    def judge(path: bytes, parent: bytes) -> None:
        found = os.lstat(path)
        if stat.S_ISCHR(found.st_mode) and found.st_rdev == 0:
            return  # a whiteout
        record = records.get(kernel.birth(path), _NO_RECORD) if found.st_ino in numbers else _NO_RECORD
        uid = found.st_uid if record.uid is None else record.uid
        gid = found.st_gid if record.gid is None else record.gid
        if base is not None:
            copied = path == top or found.st_ino in kept or _is_copied_up(path, found, marked_folders=marked_folders)
            below = base(path[len(top) + 1 :])
            if below is not None and stat.S_IFMT(below[0]) != stat.S_IFMT(found.st_mode):
                below = None
            if record.soft and record.like and below is None:
                below = base(os.fsencode(record.like))
            if below is not None:
                uid = below[1] if (copied and record.uid is None) or (record.soft and record.uid == 0) else uid
                gid = below[2] if (copied and record.gid is None) or (record.soft and record.gid == 0) else gid
            if not copied and record.gid is None and parent in groups:
                group, since = groups[parent]
                gid = group if kernel.birth(path)[1] >= since else gid
            if stat.S_ISDIR(found.st_mode) and found.st_mode & stat.S_ISGID and gid != 0:
                groups[path] = (gid, record.at if record.gid is not None else 0)
        true = Owner(
            uid=uid,
            gid=gid,
            mode=(record.kind or stat.S_IFMT(found.st_mode)) | stat.S_IMODE(found.st_mode),
            rdev=record.rdev if record.kind else found.st_rdev,
        )
        if true != Owner(uid=found.st_uid, gid=found.st_gid, mode=found.st_mode, rdev=found.st_rdev):
            owners.setdefault(found.st_ino, true)

    judge(top, b"")
    for folder, folders, files in os.walk(top):
        for name in (*folders, *files):
            judge(os.path.join(folder, name), folder)
    return owners


def _is_copied_up(path: bytes, found: os.stat_result, *, marked_folders: bool) -> bool:
    """Overlay marks what it copied from below, with an empty value where the lower file system has no handles.

    fuse-overlayfs marks files so; of folders it marks those that it did not copy (`marked_folders` is false).
    """
    try:
        names = os.listxattr(path, follow_symlinks=False)
    except OSError:
        return False
    if stat.S_ISDIR(found.st_mode) and not marked_folders:
        return "user.fuseoverlayfs.opaque" not in names
    return any(each in names for each in _ORIGINS)
