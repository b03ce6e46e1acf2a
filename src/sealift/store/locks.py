"""Locks between processes: flock, and where a file system has none, lock files made by link(2).

flock is kept by the kernel, so it ends with its process. On NFS without a lock daemon and on Lustre mounted without
`flock` it fails with ENOLCK or ENOSYS. There a lock is a file that only one process can link into place; its holder
renews its mtime. A waiter breaks it when the holder is a dead process of this host, or has not renewed it for a while.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import threading
import time
from collections.abc import Callable, Iterator

Flock = Callable[[int, int], None]

UNSUPPORTED = frozenset({errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EINVAL})
RENEW = 5.0
"""Seconds after which the holder of a link lock shows that it lives."""
PATIENCE = 60.0
"""Seconds without a renewal after which a waiter takes the holder for dead: twelve missed ones."""
POLL = 0.25
"""Seconds between two looks at a link lock, after some quicker ones: most locks are held for moments only."""


def host_name() -> str:
    """This host's name, as part of a file name."""
    name = os.uname().nodename
    return "".join(c if c.isalnum() or c == "-" else "-" for c in name)[:60] or "host"


def try_flock(descriptor: int, *, shared: bool = False, flock: Flock = fcntl.flock) -> bool | None:
    """Whether the lock was taken; None where the file system has no locks. Never waits."""
    try:
        flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EWOULDBLOCK, errno.EACCES):
            return False
        if error.errno in UNSUPPORTED:
            return None
        raise
    return True


@contextlib.contextmanager
def hold(
    path: str,
    *,
    waiting: Callable[[], None] = lambda: None,
    shared: bool = False,
    flock: Flock = fcntl.flock,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[None]:
    """Hold the lock named by `path` within the block; `waiting` is called once if somebody else has it.

    The lock file is removed by its last holder. A shared lock is exclusive where the file system has no flock.
    """
    descriptor = _flocked(path, waiting, shared=shared, flock=flock)
    if descriptor is None:
        with _link_lock(path + ".link", waiting, sleep=sleep, clock=clock):
            yield
        return
    try:
        yield
    finally:
        if not shared:
            # Removed while held: a process that opened the old file sees below that it is not the named one any more.
            with contextlib.suppress(OSError):
                if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                    os.unlink(path)
        os.close(descriptor)


def _flocked(path: str, waiting: Callable[[], None], *, shared: bool, flock: Flock) -> int | None:
    """A descriptor that holds the lock of the file that is at `path` now; None where flock does not work."""
    told = False
    while True:
        descriptor = _open_lock(path)
        try:
            got = try_flock(descriptor, shared=shared, flock=flock)
            if got is None:
                os.close(descriptor)
                with contextlib.suppress(OSError):
                    os.unlink(path)
                return None
            if not got:
                if not told:
                    waiting()
                    told = True
                flock(descriptor, fcntl.LOCK_SH if shared else fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):
                if os.path.samestat(os.fstat(descriptor), os.stat(path)):
                    return descriptor
        except BaseException:
            with contextlib.suppress(OSError):
                os.close(descriptor)
            raise
        os.close(descriptor)


def _open_lock(path: str) -> int:
    for _ in range(10):
        # NFS maps an exclusive flock to a write lock, which wants a file opened for writing.
        with contextlib.suppress(FileNotFoundError):
            return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


@contextlib.contextmanager
def _link_lock(
    path: str, waiting: Callable[[], None], *, sleep: Callable[[float], None], clock: Callable[[], float]
) -> Iterator[None]:
    own = f"{path}.{host_name()}.{os.getpid()}.{secrets.token_hex(4)}"
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    with open(own, "x", encoding="utf-8") as file:
        file.write(f"{host_name()} {os.getpid()}\n")
    try:
        _take_link(own, path, waiting, sleep, clock)
        stop = threading.Event()
        renewer = threading.Thread(target=_renew, args=(own, stop), name="sealift-lock", daemon=True)
        renewer.start()
        try:
            yield
        finally:
            stop.set()
            renewer.join()
            with contextlib.suppress(OSError):
                if os.path.samestat(os.stat(own), os.stat(path)):
                    os.unlink(path)
    finally:
        with contextlib.suppress(OSError):
            os.unlink(own)


def _renew(own: str, stop: threading.Event) -> None:
    while not stop.wait(RENEW):
        with contextlib.suppress(OSError):
            os.utime(own)  # the same inode as the lock's


def _take_link(
    own: str,
    path: str,
    waiting: Callable[[], None],
    sleep: Callable[[float], None],
    clock: Callable[[], float],
) -> None:
    told = False
    delay = POLL / 64
    seen: tuple[int, int] | None = None
    since = clock()
    while True:
        with contextlib.suppress(FileExistsError):
            os.link(own, path)
            return
        # A link whose answer was lost on NFS still counts: the link count of our own file tells.
        if os.stat(own).st_nlink > 1:
            return
        if not told:
            waiting()
            told = True
        try:
            status = os.stat(path)
        except FileNotFoundError:
            continue
        stamp = (status.st_ino, status.st_mtime_ns)
        if stamp != seen:
            seen, since = stamp, clock()
        if _holder_died(path) or clock() - since > PATIENCE:
            _break(path, status.st_ino)
            continue
        sleep(delay)
        delay = min(POLL, delay * 2)


def _holder_died(path: str) -> bool:
    try:
        with open(path, encoding="utf-8") as file:
            host, _, pid = file.read(200).strip().partition(" ")
    except (OSError, ValueError):
        return False
    return host == host_name() and pid.isdigit() and not is_alive(int(pid))


def is_alive(pid: int) -> bool:
    """Whether this host runs a process of that number that we can see."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


def _break(path: str, inode: int) -> None:
    """Remove the lock of a dead holder, by a rename that only one of several waiters wins."""
    aside = f"{path}.{host_name()}.{os.getpid()}.{secrets.token_hex(4)}"
    with contextlib.suppress(FileNotFoundError):
        os.rename(path, aside)
        if os.stat(aside).st_ino != inode:
            # Somebody was faster and made a new lock: give it back.
            with contextlib.suppress(FileExistsError):
                os.link(aside, path)
        os.unlink(aside)
