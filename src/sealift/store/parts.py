"""Files in the making: locked while their process lives, whole under their final name at the end, or swept later.

A part is `parts/NAME.HOST.PID-TOKEN.part`. Whether its writer still runs is told by the lock on it. Parts of other
hosts count as in use while they change: a lock of another host may be invisible here (Lustre's `localflock`).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from sealift.store.locks import Flock, host_name, is_alive, try_flock
from sealift.system.files import copy_range, sync_folder

QUIET = 3600.0
"""Seconds without a write after which another host's part is taken for dead."""
SETTLED = 60.0
"""The same for a part of this host whose file system has no locks and whose process is not seen any more."""


@dataclass(slots=True, kw_only=True)
class Part:
    """A file in the making, open for reading and writing; `finish` gives it its name, `close` leaves it for later."""

    path: str
    file: BinaryIO

    def finish(self, target: str) -> None:
        """Make the part `target`: synced, renamed. A part that was purged meanwhile is written again from memory."""
        self.file.flush()
        os.fsync(self.file.fileno())
        for _ in range(3):
            with contextlib.suppress(FileNotFoundError):
                os.replace(self.path, target)
                break
            self._restore(target)
        else:
            os.replace(self.path, target)
        sync_folder(os.path.dirname(target))
        self.close()

    def discard(self) -> None:
        with contextlib.suppress(OSError):
            os.unlink(self.path)
        self.close()

    def close(self) -> None:
        if not self.file.closed:
            # Readers hold duplicates of the descriptor, which would keep the lock.
            with contextlib.suppress(OSError):
                fcntl.flock(self.file.fileno(), fcntl.LOCK_UN)
        self.file.close()

    def _restore(self, target: str) -> None:
        """Write folders and part anew, which a purge or `rm -r` removed: our descriptor still reaches the data."""
        os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
        os.makedirs(os.path.dirname(self.path), mode=0o700, exist_ok=True)
        if os.path.lexists(self.path):
            return
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            copy_range(self.file.fileno(), 0, descriptor, os.fstat(self.file.fileno()).st_size)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


class Parts:
    """The folder of parts."""

    def __init__(
        self, folder: str, *, flock: Flock = fcntl.flock, clock: Callable[[], float] = time.time, host: str = ""
    ) -> None:
        self.folder = folder
        self._flock = flock
        self._clock = clock
        self._host = host or host_name()

    def new(self, name: str, *, buffered: bool = False) -> Part:
        path = self._fresh(name)
        for _ in range(3):
            with contextlib.suppress(FileNotFoundError):
                return self._open(path, os.O_CREAT | os.O_EXCL, buffered=buffered)
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
        return self._open(path, os.O_CREAT | os.O_EXCL, buffered=buffered)

    def resume(self, name: str) -> Part:
        """The longest part of that name whose writer is gone, taken over; else a new one."""
        dead = [path for path in self._listed(name) if self._is_dead(path)]
        for path in sorted(dead, key=_size, reverse=True):
            own = self._fresh(name)
            try:
                # The rename decides: of several takers one wins, the others find nothing.
                os.rename(path, own)
                part = self._open(own, 0)
            except FileNotFoundError:
                continue
            return part
        return self.new(name)

    def all(self) -> Iterator[str]:
        """The paths of the parts, running ones included."""
        yield from self._listed("")

    def dead(self) -> Iterator[str]:
        """The paths of the parts whose writer is gone."""
        yield from (path for path in self._listed("") if self._is_dead(path))

    def _fresh(self, name: str) -> str:
        return os.path.join(self.folder, f"{name}.{self._host}.{os.getpid()}-{secrets.token_hex(6)}.part")

    def _listed(self, name: str) -> list[str]:
        try:
            found = sorted(os.listdir(self.folder))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return [
            os.path.join(self.folder, entry)
            for entry in found
            if entry.endswith(".part") and (not name or part_name(entry) == name)
        ]

    def _open(self, path: str, flags: int, *, buffered: bool = False) -> Part:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | flags, 0o600)
        try_flock(descriptor, flock=self._flock)
        file = os.fdopen(descriptor, "r+b", buffering=-1 if buffered else 0)
        return Part(path=path, file=file)

    def _is_dead(self, path: str) -> bool:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return False
        try:
            got = try_flock(descriptor, flock=self._flock)
            if got is False:
                return False
            age = self._clock() - os.fstat(descriptor).st_mtime
            _, host, writer, _ = os.path.basename(path).rsplit(".", 3)
            if host != self._host:
                return age > QUIET
            return got is True or (age > SETTLED and not is_alive(int(writer.partition("-")[0])))
        except ValueError:
            return True  # not a name of ours
        finally:
            os.close(descriptor)


def part_name(path: str) -> str:
    """What the part becomes, as it was given to `new`."""
    return os.path.basename(path).rsplit(".", 3)[0]


def _size(path: str) -> int:
    try:
        return os.stat(path).st_size
    except OSError:
        return -1
