"""A sandbox without an overlay, or without a way to mount a squashfs: the base is unpacked.

Without an overlay, WORK/root is a plain folder. What the sections changed is found by comparing it with a listing taken
before they ran, and laid out in WORK/upper as an overlay would have it: files as hard links of WORK/root's, deleted
entries as empty files named `.wh.NAME`. `upper` is made anew each time it is asked for.

    WORK/listing    JSON: path → what `_signature` says
    WORK/kept       JSON: inode numbers in WORK/upper of entries that the base had already
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import shutil
import stat
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from sealift.core.tree import Entry
from sealift.errors import HostError
from sealift.sandbox.assemble import Assembly
from sealift.sandbox.owners import read_records
from sealift.sandbox.spec import Lower
from sealift.sandbox.workfolder import empty
from sealift.squashfs.reader import SquashfsReader
from sealift.system import kernel
from sealift.system.files import explain_oserror

WHITEOUT = ".wh."
"""The prefix that fuse-overlayfs and OCI layers give the name of a deleted entry."""


def unpack_squashfs(lower: Lower, target: str, *, single: bool) -> None:
    """Unpack a squashfs to `target`, whiteouts and all. Devices are left out; with `single` all is the one id's.

    HostError when the disk is full; ImageError when the image is damaged.
    """
    with open(lower.path, "rb") as file:
        reader = SquashfsReader(file.fileno(), lower.offset)
        tree, placement, _ = reader.tree()
        top = os.fsencode(target)
        firsts: dict[int, bytes] = {}
        folders: list[tuple[bytes, Entry]] = []
        try:
            for row, path in enumerate(tree.paths):
                entry = tree.entry(row)
                place = os.path.join(top, path) if path else top
                if entry.group and entry.group in firsts:
                    os.link(firsts[entry.group], place, follow_symlinks=False)
                    continue
                if not _make(place, entry):
                    continue
                if entry.group:
                    firsts[entry.group] = place
                if entry.is_file:
                    with open(place, "wb") as out:
                        out.writelines(reader.row_data(tree, placement, row))
                if entry.is_dir:
                    folders.append((place, entry))
                else:
                    _dress(place, entry, single=single)
            for place, entry in reversed(folders):
                _dress(place, entry, single=single)
        except OSError as error:
            raise explain_oserror(error, f"unpacking `{lower.path}`") from error


def _make(place: bytes, entry: Entry) -> bool:
    match stat.S_IFMT(entry.mode):
        case stat.S_IFDIR:
            with contextlib.suppress(FileExistsError):
                os.mkdir(place)
        case stat.S_IFLNK:
            os.symlink(entry.link, place)
        case stat.S_IFIFO:
            os.mkfifo(place)
        case stat.S_IFCHR if entry.rdev == 0:
            os.mknod(place, stat.S_IFCHR, 0)
        case stat.S_IFREG:
            pass
        case _:
            return False
    return True


def _dress(place: bytes, entry: Entry, *, single: bool) -> None:
    if not single:
        with contextlib.suppress(PermissionError, OSError):
            os.chown(place, entry.uid, entry.gid, follow_symlinks=False)
    if not entry.is_symlink:
        os.chmod(place, stat.S_IMODE(entry.mode))
    for name, value in entry.xattrs:
        # Some need rights, or a file system that keeps them; a lower layer can do without.
        with contextlib.suppress(OSError):
            os.setxattr(place, name, value, follow_symlinks=False)
    os.utime(place, (entry.mtime, entry.mtime), follow_symlinks=False)


def copy_lowers(made: Assembly) -> None:
    """Make WORK/root what an overlay of the lower layers would show, as a plain folder, and list it."""
    made.copied = True
    root = os.fsencode(made.root)
    try:
        for lower in made.lowers:
            _copy_over(os.fsencode(lower), root)
    except OSError as error:
        raise explain_oserror(error, f"copying the base to `{made.root}`") from error


def take_listing(made: Assembly) -> None:
    """What is there before the sections run, mount points included, counts as the base's."""
    with open(os.path.join(made.work, "listing"), "w", encoding="utf-8") as file:
        json.dump({path: _signature(found) for path, found in _walk(made.root)}, file)


def add_points(made: Assembly, points: Mapping[str, bool]) -> None:
    """Make places to mount on (true: a folder) that count as the base's."""
    path = os.path.join(made.work, "listing")
    with open(path, encoding="utf-8") as file:
        listing: dict[str, list[Any]] = json.load(file)
    for point, folder in points.items():
        above = os.path.dirname(point).strip("/")
        touched = [point.strip("/")]
        while above and not os.path.lexists(f"{made.root}/{above}"):
            touched.append(above)
            above = os.path.dirname(above)
        # The folder that gets a new entry changes by it, and must look as unchanged as it did before.
        parent = os.lstat(f"{made.root}/{above}")
        if listing.get(above) == _signature(parent):
            touched.append(above)
        os.makedirs(made.root + (point if folder else os.path.dirname(point)), mode=0o755, exist_ok=True)
        if not folder:
            with open(made.root + point, "xb"):
                pass
        os.utime(f"{made.root}/{above}", ns=(parent.st_atime_ns, parent.st_mtime_ns))
        for each in touched:
            listing[each] = _signature(os.lstat(f"{made.root}/{each}"))
    with open(path, "w", encoding="utf-8") as file:
        json.dump(listing, file)


def _copy_over(source: bytes, target: bytes) -> None:
    if _is_opaque(source):
        empty(os.fsdecode(target))
    for name in os.listdir(source):
        here, there = os.path.join(source, name), os.path.join(target, name)
        found = os.lstat(here)
        old = None
        with contextlib.suppress(FileNotFoundError):
            old = os.lstat(there)
        is_dir = stat.S_ISDIR(found.st_mode)
        if old is not None and not (is_dir and stat.S_ISDIR(old.st_mode)):
            _remove(there, old)
            old = None
        if stat.S_ISCHR(found.st_mode) and found.st_rdev == 0:
            continue
        if is_dir:
            if old is None:
                os.mkdir(there)
            _copy_over(here, there)
        elif stat.S_ISLNK(found.st_mode):
            os.symlink(os.readlink(here), there)
        elif stat.S_ISREG(found.st_mode):
            shutil.copyfile(here, there)
        elif stat.S_ISFIFO(found.st_mode):
            os.mkfifo(there)
        else:
            continue
        _copy_attributes(here, there, found)
    _copy_attributes(source, target, os.lstat(source))


def _copy_attributes(source: bytes, target: bytes, found: os.stat_result) -> None:
    with contextlib.suppress(OSError):
        os.chown(target, found.st_uid, found.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(found.st_mode):
        os.chmod(target, stat.S_IMODE(found.st_mode))
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = os.listxattr(source, follow_symlinks=False)
    for name in names:
        if not name.startswith(("user.overlay.", "trusted.")):
            with contextlib.suppress(OSError):
                os.setxattr(target, name, os.getxattr(source, name, follow_symlinks=False), follow_symlinks=False)
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns), follow_symlinks=False)


def _is_opaque(folder: bytes) -> bool:
    for name in ("user.overlay.opaque", "trusted.overlay.opaque"):
        with contextlib.suppress(OSError):
            if os.getxattr(folder, name) == b"y":
                return True
    return False


def _remove(path: bytes, found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        empty(os.fsdecode(path))
        os.rmdir(path)
    else:
        os.unlink(path)


def changes_as_upper(made: Assembly) -> str:
    """Lay out in WORK/upper what differs from the listing; its path."""
    with open(os.path.join(made.work, "listing"), encoding="utf-8") as file:
        before: dict[str, list[Any]] = json.load(file)
    empty(made.upper)
    records = read_records(os.path.join(made.work, "owners"))
    added: list[bytes] = []
    kept: list[int] = []
    shown: list[str] = []
    now: set[str] = set()

    def show_folder(path: str) -> None:
        if path in shown:
            return
        place, origin = made.upper, made.root
        if path:
            show_folder(os.path.dirname(path))
            place, origin = os.path.join(made.upper, path), os.path.join(made.root, path)
            os.mkdir(place)
        shown.append(path)
        inode, birth = kernel.birth(place)
        if not path or (path in before and before[path][1] == os.lstat(origin).st_ino):
            kept.append(inode)
        record = records.get(kernel.birth(origin))
        if record is not None:
            added.append(replace(record, inode=inode, birth=birth).line())

    try:
        for path, found in _walk(made.root):
            now.add(path)
            if before.get(path) == _signature(found):
                continue
            if stat.S_ISDIR(found.st_mode):
                show_folder(path)
                continue
            show_folder(os.path.dirname(path))
            os.link(os.path.join(made.root, path), os.path.join(made.upper, path), follow_symlinks=False)
            if path in before and before[path][1] == found.st_ino:
                kept.append(found.st_ino)
        for path in before:
            parent = os.path.dirname(path)
            if path not in now and (parent in now or not parent) and _is_folder(made.root, parent):
                show_folder(parent)
                os.close(
                    os.open(os.path.join(made.upper, parent, WHITEOUT + os.path.basename(path)), os.O_CREAT, 0o644)
                )
        for path in reversed(shown):
            origin = os.path.join(made.root, path) if path else made.root
            _copy_attributes(os.fsencode(origin), os.fsencode(os.path.join(made.upper, path)), os.lstat(origin))
    except OSError as error:
        if error.errno == errno.EXDEV:
            raise HostError("a section mounted something in the image and left it there") from error
        raise
    if added:
        with open(os.path.join(made.work, "owners"), "ab") as journal:
            journal.write(b"".join(added))
    with open(os.path.join(made.work, "kept"), "w", encoding="ascii") as out:
        json.dump(kept, out)
    return made.upper


def kept_inodes(work: str) -> frozenset[int]:
    """The inode numbers in WORK/upper of what the base had already; empty where an overlay marks them itself."""
    try:
        with open(os.path.join(work, "kept"), encoding="ascii") as file:
            return frozenset(json.load(file))
    except FileNotFoundError:
        return frozenset()


def _is_folder(root: str, path: str) -> bool:
    return stat.S_ISDIR(os.lstat(os.path.join(root, path) if path else root).st_mode)


def _walk(root: str) -> list[tuple[str, os.stat_result]]:
    found: list[tuple[str, os.stat_result]] = []
    for folder, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            found.append((path[len(root) + 1 :], os.lstat(path)))
    return found


def _signature(found: os.stat_result) -> list[Any]:
    """Equal as long as nothing was done to the entry: every change, of attributes too, renews the change time."""
    return [stat.S_IFMT(found.st_mode), found.st_ino, found.st_ctime_ns]
