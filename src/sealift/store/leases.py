"""What running processes use: one locked file a process, one line an entry."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import threading
import time

from sealift.store.locks import Flock, host_name, try_flock

FORGET = 2 * 86400.0
"""Seconds after which a lease of another host counts no more where locks do not reach across: longer than a build."""


class Leases:
    """The leases of this process (and the eye on those of others)."""

    def __init__(self, folder: str, *, flock: Flock = fcntl.flock) -> None:
        self.folder = folder
        self._flock = flock
        self._names: set[str] = set()
        self._path = ""
        self._descriptor = -1
        self._guard = threading.Lock()

    def add(self, name: str) -> None:
        """Claim an entry until `close`. Raises OSError."""
        with self._guard:
            if name in self._names and self._still_there():
                return
            self._names.add(name)
            if self._descriptor < 0 or not self._still_there():
                self._create()
                lines = "".join(f"{each}\n" for each in sorted(self._names))
            else:
                lines = f"{name}\n"
            os.write(self._descriptor, lines.encode())

    def close(self) -> None:
        with self._guard:
            if self._descriptor >= 0:
                with contextlib.suppress(OSError):
                    os.unlink(self._path)
                os.close(self._descriptor)
            self._descriptor = -1
            self._names.clear()

    def in_use(self) -> frozenset[str]:
        """What any running process claims; leases of dead ones are removed."""
        names: set[str] = set(self._names)
        try:
            found = os.listdir(self.folder)
        except FileNotFoundError:
            return frozenset(names)
        for entry in found:
            path = os.path.join(self.folder, entry)
            if path != self._path:
                names.update(self._read_living(path))
        return frozenset(names)

    def _still_there(self) -> bool:
        """False after a purge of the cache, or when the process was forked."""
        return (
            self._descriptor >= 0
            and f".{os.getpid()}-" in os.path.basename(self._path)
            and os.fstat(self._descriptor).st_nlink > 0
        )

    def _create(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        self._path = os.path.join(self.folder, f"{host_name()}.{os.getpid()}-{secrets.token_hex(6)}")
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        for _ in range(3):
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            with contextlib.suppress(FileNotFoundError):
                self._descriptor = os.open(self._path, flags, 0o600)
                break
        else:
            self._descriptor = os.open(self._path, flags, 0o600)
        try_flock(self._descriptor, flock=self._flock)

    def _read_living(self, path: str) -> tuple[str, ...]:
        try:
            with open(path, "r+b", buffering=0) as file:
                got = try_flock(file.fileno(), flock=self._flock)
                old = time.time() - os.fstat(file.fileno()).st_mtime > FORGET
                local = os.path.basename(path).startswith(f"{host_name()}.")
                if (got is True and local) or (got is not False and old):
                    os.unlink(path)
                    return ()
                return tuple(file.read().decode().splitlines())
        except (OSError, ValueError):
            return ()
