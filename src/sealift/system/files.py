"""Files that appear whole or not at all, and locks between processes."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from collections.abc import Iterator
from typing import BinaryIO

from sealift.errors import HostError, SealiftError


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike[str], *, mode: int = 0o666, replace: bool = True) -> Iterator[BinaryIO]:
    """Give a file to write that becomes `path` when the block ends well: temporary, fsync, rename.

    When the block raises, or the process dies before the rename, `path` is as it was; what a dead process left is a
    hidden `.NAME.XXXX.part` beside it. Its mode is `mode` less the umask. With `replace=False` an existing `path`
    raises FileExistsError at the end and stays.
    """
    target = os.fspath(path)
    folder, name = os.path.split(target)
    part = os.path.join(folder, f".{name[:200]}.{secrets.token_hex(4)}.part")
    descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if replace:
            os.replace(part, target)
        else:
            os.link(part, target)
            os.unlink(part)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)
        raise
    sync_folder(folder or ".")


def sync_folder(folder: str) -> None:
    """Make a rename in `folder` survive a crash, where the file system can do that."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def copy_range(source: int, offset: int, target: int, length: int) -> None:
    """Append `length` bytes of `source` from `offset` to `target` at its position, by the kernel where it can.

    Raises EOFError when `source` ends early.
    """
    kernel = hasattr(os, "copy_file_range")
    while length > 0:
        count = 0
        if kernel:
            try:
                count = os.copy_file_range(source, target, length, offset)
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM):
                    raise
                kernel = False
                continue
        else:
            data = os.pread(source, min(length, 1 << 20), offset)
            count = len(data)
            view = memoryview(data)
            while view:
                view = view[os.write(target, view) :]
        if count == 0:
            raise EOFError("the source is shorter than its index says")
        offset += count
        length -= count


def explain_oserror(error: OSError, doing: str) -> SealiftError:
    """Translate a failed file operation into a message with a hint; `doing` reads like `writing hello.sif`."""
    where = f" `{os.fsdecode(error.filename)}`" if error.filename else ""
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            what = "the disk is full" if error.errno == errno.ENOSPC else "your quota is used up"
            return HostError(
                f"{what} while {doing}",
                hints=("free some: sealift cache prune", "or put the cache elsewhere: export SEALIFT_CACHE_DIR=…"),
            )
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return HostError(
                f"no permission while {doing}:{where} {os.strerror(error.errno or 0).lower()}",
                hints=("choose a folder that you can write",),
            )
        case errno.ENOENT | errno.ENOTDIR:
            return HostError(f"not found while {doing}:{where}")
        case _:
            return HostError(f"{doing} failed:{where} {error.strerror or error}")
