"""What `%pre` and `%setup` wrote to the host's /tmp and /var/tmp, for `%post`, whose own are private.

before = look()
sandbox.run(setup_script, inside=False)
sandbox.call("sealift.sandbox.hosttmp:copy_in", paths=written_since(before))
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sealift.sandbox.inside import Inside

FOLDERS = ("/tmp", "/var/tmp")  # noqa: S108 -- they are what this is about


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What was there: path → inode and time of the last change, of this user's entries."""

    folders: tuple[str, ...]
    seen: dict[str, tuple[int, int]]


def look(folders: Sequence[str] = FOLDERS) -> Look:
    return Look(folders=tuple(folders), seen=dict(_entries(folders)))


def written_since(before: Look) -> tuple[str, ...]:
    """The paths of this user's entries that are new or changed, folders before what is in them.

    Another program of the same user that writes there at the same time is not told apart. The folders of sandboxes
    are left out, and so are sockets.
    """
    return tuple(path for path, key in _entries(before.folders) if before.seen.get(path) != key)


def _entries(folders: Sequence[str]) -> Iterator[tuple[str, tuple[int, int]]]:
    uid = os.getuid()
    prefix = f"sealift-{uid}-"
    todo = list(reversed([*folders]))
    while todo:
        folder = todo.pop()
        try:
            with os.scandir(folder) as found:
                names = sorted(found, key=lambda each: each.name)
        except OSError:
            continue
        below: list[str] = []
        for entry in names:
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if status.st_uid != uid or stat.S_ISSOCK(status.st_mode):
                continue
            if folder in folders and entry.name.startswith(prefix):
                continue
            if stat.S_ISDIR(status.st_mode):
                below.append(entry.path)
            yield entry.path, (status.st_ino, status.st_ctime_ns)
        todo.extend(reversed(below))


def copy_in(inside: Inside, *, paths: Sequence[str]) -> int:
    """Called inside: copy host paths to the same places of the private /tmp and /var/tmp; how many there were.

    What vanished meanwhile is passed over.
    """
    places = {"/tmp/": "tmp", "/var/tmp/": "vartmp"}  # noqa: S108
    count = 0
    for path in paths:
        for prefix, name in places.items():
            if path.startswith(prefix):
                with contextlib.suppress(FileNotFoundError):
                    _copy(path, os.path.join(inside.work, name, path[len(prefix) :]))
                    count += 1
                break
    return count


def _copy(source: str, target: str) -> None:
    found = os.lstat(source)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if stat.S_ISDIR(found.st_mode):
        os.makedirs(target, exist_ok=True)
    elif stat.S_ISLNK(found.st_mode):
        _make_room(target)
        os.symlink(os.readlink(source), target)
    elif stat.S_ISREG(found.st_mode):
        _make_room(target)
        shutil.copyfile(source, target)
    elif stat.S_ISFIFO(found.st_mode):
        _make_room(target)
        os.mkfifo(target)
    else:
        return
    shutil.copystat(source, target, follow_symlinks=False)


def _make_room(target: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(target)
