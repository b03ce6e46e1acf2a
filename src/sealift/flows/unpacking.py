"""An image as a folder of the cache, for hosts that can mount nothing: unpacked once, used by every later run.

ROOT/unpacked/KEY/          the image's files, owned by the caller
ROOT/unpacked/.KEY.RANDOM/    one that is being unpacked, or that a killed process left
"""

from __future__ import annotations

import contextlib
import os
import stat
import tempfile
import time
from collections.abc import Mapping

from sealift.core.event import Events, Said, ignore
from sealift.core.tree import Tree
from sealift.flows.workshop import digest_of
from sealift.squashfs.placement import Placement
from sealift.squashfs.reader import SquashfsReader
from sealift.store.place import open_store
from sealift.system.files import explain_oserror
from sealift.system.folders import remove_folder

FOLDER = "unpacked"
UNFINISHED = 86400.0
"""Seconds after which a folder that is not finished will not be."""


def unpacked(path: str, offset: int, environment: Mapping[str, str], *, events: Events = ignore) -> str:
    """The folder that holds the files of the squashfs at `offset` of `path`; unpacked now if it was not before.

    It is known by the file's identity, size and times. Owners and devices are left out, and the caller can read all.
    HostError when the cache's disk is full.
    """
    with open_store(environment, events=events) as store:
        found = os.stat(path)
        key = digest_of("unpacked", found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, offset)
        home = os.path.join(store.root, FOLDER)
        target = os.path.join(home, key)
        if os.path.isdir(target):
            os.utime(target)
            return target
        events(Said(text=f"this host can mount no image: unpacking {path} into {home}, once"))
        os.makedirs(home, mode=0o700, exist_ok=True)
        folder = tempfile.mkdtemp(prefix=f".{key[:16]}.", dir=home)
        try:
            _unpack(path, offset, folder)
            # Another process may have been quicker; its folder is as good as ours.
            with contextlib.suppress(OSError):
                os.rename(folder, target)
        except OSError as error:
            raise explain_oserror(error, f"unpacking {path} into {home}") from error
        finally:
            remove_folder(folder)
        return target


def forget_unpacked(root: str, *, unused_for: float) -> int:
    """Remove the folders that nobody used for this many seconds, and what killed processes left; how many went."""
    home = os.path.join(root, FOLDER)
    gone = 0
    with contextlib.suppress(FileNotFoundError):
        for name in os.listdir(home):
            place = os.path.join(home, name)
            age = time.time() - os.lstat(place).st_mtime
            if age >= (max(unused_for, UNFINISHED) if name.startswith(".") else unused_for):
                remove_folder(place)
                gone += 1
    return gone


def _unpack(path: str, offset: int, folder: str) -> None:
    root = os.fsencode(folder)
    with open(path, "rb") as file:
        reader = SquashfsReader(file.fileno(), offset)
        tree, placement, _ = reader.tree()
        firsts: dict[int, bytes] = {}
        for row, name in enumerate(tree.paths):
            if name:
                _unpack_row(reader, tree, placement, row, os.path.join(root, name), firsts)
        for row in range(len(tree) - 1, -1, -1):
            if stat.S_ISDIR(tree.modes[row]):
                place = os.path.join(root, tree.paths[row]) if tree.paths[row] else root
                os.chmod(place, stat.S_IMODE(tree.modes[row]) & 0o1777 | 0o700)
                os.utime(place, (tree.mtimes[row], tree.mtimes[row]))


def _unpack_row(
    reader: SquashfsReader, tree: Tree, placement: Placement, row: int, place: bytes, firsts: dict[int, bytes]
) -> None:
    mode = tree.modes[row]
    group = tree.groups[row]
    if group and group in firsts:
        os.link(firsts[group], place, follow_symlinks=False)
        return
    if stat.S_ISDIR(mode):
        os.mkdir(place, 0o700)
        return
    if stat.S_ISLNK(mode):
        os.symlink(tree.links[row], place)
    elif stat.S_ISREG(mode):
        with open(place, "xb") as out:
            out.writelines(reader.row_data(tree, placement, row))
            # Set-id bits mean nothing for files that are the caller's own.
            os.fchmod(out.fileno(), stat.S_IMODE(mode) & 0o777 | 0o400)
    elif stat.S_ISFIFO(mode):
        os.mkfifo(place, stat.S_IMODE(mode) & 0o777)
    else:
        return  # a device or a socket: nothing an ordinary user could make
    os.utime(place, (tree.mtimes[row], tree.mtimes[row]), follow_symlinks=False)
    if group:
        firsts[group] = place
