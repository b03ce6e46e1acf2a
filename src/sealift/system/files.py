"""Files that appear whole or not at all, and locks between processes."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
from collections.abc import Iterator
from typing import BinaryIO

from sealift.errors import HostError, SealiftError


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike[str], *, mode: int = 0o666, replace: bool = True) -> Iterator[BinaryIO]:
    """Give a file to read and write that becomes `path` when the block ends well: nameless, fsync, rename.

    When the block raises, or the process dies before the rename, `path` is as it was. Where the file system knows
    nameless files, a dead process leaves nothing; elsewhere (NFS, Lustre) a hidden `.NAME.RANDOM.part` that the next
    `atomic_file` for the same path removes once nobody holds its lock. The mode is `mode` less the umask. With
    `replace=False` an existing `path` raises FileExistsError at the end and stays.
    """
    target = os.path.abspath(os.fspath(path))
    folder, name = os.path.split(target)
    _sweep_parts(folder, name)
    part = os.path.join(folder, f".{name[:200]}.{secrets.token_hex(4)}.part")
    descriptor, nameless = _open_part(folder, part, mode)
    linked = not nameless
    try:
        with os.fdopen(descriptor, "w+b") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if not linked:
                # A folder descriptor makes Python call linkat, which alone can follow the link in /proc.
                os.link(f"/proc/self/fd/{file.fileno()}", part, src_dir_fd=file.fileno(), follow_symlinks=True)
                linked = True
            if replace:
                os.replace(part, target)
            else:
                os.link(part, target)
                os.unlink(part)
    except BaseException:
        if linked:
            with contextlib.suppress(OSError):
                os.unlink(part)
        raise
    sync_folder(folder)


def _open_part(folder: str, part: str, mode: int) -> tuple[int, bool]:
    """A new file in `folder`, which we hold the lock of, and whether it is nameless."""
    descriptor, nameless = _open_new(folder, part, mode)
    import fcntl  # Windows has none, and reads recipes all the same

    # A nameless one gets a name for a moment, too, before it is renamed.
    with contextlib.suppress(OSError):
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    return descriptor, nameless


def _open_new(folder: str, part: str, mode: int) -> tuple[int, bool]:
    if hasattr(os, "O_TMPFILE") and os.path.exists("/proc/self/fd"):
        try:
            return os.open(folder, os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC, mode), True
        except OSError as error:
            # What a file system without nameless files answers differs: EOPNOTSUPP, EISDIR, EINVAL or ENOENT.
            if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT):
                raise
    return os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode), False


def _sweep_parts(folder: str, name: str) -> None:
    """Remove what dead processes left of earlier attempts at the same file."""
    import fcntl

    shape = re.compile(re.escape(f".{name[:200]}.") + r"[0-9a-f]{8}\.part")
    with contextlib.suppress(OSError):
        for entry in os.listdir(folder):
            if not shape.fullmatch(entry):
                continue
            path = os.path.join(folder, entry)
            with contextlib.suppress(OSError):
                descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    os.unlink(path)
                finally:
                    os.close(descriptor)


@contextlib.contextmanager
def locked_folder(folder: str) -> Iterator[None]:
    """Keep other processes that ask for the same out until the block ends. Leaves no file; nothing where locks fail."""
    import fcntl

    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


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
            folder = os.path.dirname(os.fsdecode(error.filename)) if error.filename else ""
            return HostError(f"not found while {doing}:{where}", hints=(f"see what is there: ls {folder or '.'}",))
        case _:
            return HostError(f"{doing} failed:{where} {error.strerror or error}")
