"""Folders that appear whole or not at all, also in the place of one that is there.

.NAME.RANDOM.part    one that is being written, or that a killed process left; its writer holds a lock on it
.NAME.RANDOM.old     one whose place was taken, where the file system cannot exchange two in one step
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
import time
from collections.abc import Callable, Iterator

from sealift.system import kernel
from sealift.system.files import sync_folder

UNFINISHED = 86400.0
"""Seconds after which a folder that is not finished will not be."""


def remove_folder(folder: str) -> None:
    """Remove a folder of ours with all that is in it, whatever the modes say; what cannot be removed stays."""
    for here, folders, _ in os.walk(folder):
        for name in folders:
            place = os.path.join(here, name)
            if not os.path.islink(place):
                with contextlib.suppress(OSError):
                    os.chmod(place, 0o700)
    shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def atomic_folder(path: str, *, replace: bool = True, remove: Callable[[str], None] = remove_folder) -> Iterator[str]:
    """Give a new, empty folder beside `path` that takes its place when the block ends well.

    When the block raises, or the process dies, `path` is as it was. What a dead process left, the next call for the
    same `path` removes. `remove` removes folders, the one whose place was taken included. With `replace=False`,
    FileExistsError at the end where `path` is there and not empty.
    """
    parent, name = os.path.split(os.path.abspath(path))
    _sweep(parent, name, path, remove)
    part = os.path.join(parent, f".{name[:200]}.{secrets.token_hex(4)}.part")
    os.mkdir(part, 0o700)
    lock = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield part
        old = _put(part, path, replace=replace)
    except BaseException:
        remove(part)
        raise
    finally:
        os.close(lock)
    sync_folder(parent)
    if old is not None:
        remove(old)


def _put(part: str, path: str, *, replace: bool) -> str | None:
    """Move `part` to `path`; where the folder lies now that was there before."""
    while not _moved(part, path):
        if not replace:
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), path)
        with contextlib.suppress(FileNotFoundError):  # somebody removed it meanwhile
            return _exchange(part, path)
    return None


def _moved(part: str, path: str) -> bool:
    """Whether nothing, or an empty folder, was in the way."""
    try:
        os.rename(part, path)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    return True


def _exchange(part: str, path: str) -> str:
    try:
        kernel.exchange(part, path)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
            raise
    else:
        return part
    old = part.removesuffix(".part") + ".old"
    os.rename(path, old)
    try:
        os.rename(part, path)
    except BaseException:
        os.rename(old, path)
        raise
    return old


def _sweep(parent: str, name: str, path: str, remove: Callable[[str], None]) -> None:
    shape = re.compile(re.escape(f".{name[:200]}.") + r"[0-9a-f]{8}\.(part|old)")
    with contextlib.suppress(OSError):
        for entry in os.listdir(parent):
            match = shape.fullmatch(entry)
            if match is None:
                continue
            left = os.path.join(parent, entry)
            with contextlib.suppress(OSError):
                descriptor = os.open(left, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
                try:
                    if not _is_dead(descriptor):
                        continue
                    if match[1] == "old" and not os.path.lexists(path):
                        os.rename(left, path)  # it died between the two steps
                    else:
                        remove(left)
                finally:
                    os.close(descriptor)


def _is_dead(descriptor: int) -> bool:
    """Whether nobody writes the folder any more: it has no lock, or, where there are none, has long been the same."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return time.time() - os.fstat(descriptor).st_ctime > UNFINISHED
    return True
