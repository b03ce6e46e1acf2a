"""A digest computed beside the thread that moves the bytes."""

from __future__ import annotations

import hashlib
import queue
import threading
from typing import IO

from sealift.core.digest import Digest, parse_digest

_AHEAD = 4
"""Batches that may wait to be hashed: they are held in memory."""
_BATCH = 1 << 20
"""Bytes that are handed over at once: waking the other thread costs as much as hashing some ten KiB."""


class Digester:
    """Hashes pieces in their order in a thread of its own: hashing a piece costs as much as receiving it.

    Not for several threads at once. The pieces must not change after `update`.
    """

    def __init__(self, algorithm: str = "sha256") -> None:
        self._algorithm = algorithm
        self._hash = hashlib.new(algorithm)
        self._batch: list[bytes | memoryview] = []
        self._size = 0
        self._batches: queue.Queue[list[bytes | memoryview]] = queue.Queue(maxsize=_AHEAD)
        self._thread: threading.Thread | None = None

    def update(self, piece: bytes | memoryview) -> None:
        self._batch.append(piece)
        self._size += len(piece)
        if self._size < _BATCH:
            return
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="sealift-hash", daemon=True)
            self._thread.start()
        self._batches.put(self._batch)
        self._batch, self._size = [], 0

    def digest(self) -> Digest:
        """The digest of everything so far; further pieces are not possible."""
        self.close()
        for piece in self._batch:
            self._hash.update(piece)
        self._batch.clear()
        return parse_digest(f"{self._algorithm}:{self._hash.hexdigest()}")

    def close(self) -> None:
        """End the thread; what it has not hashed yet is hashed first."""
        if self._thread is not None:
            self._batches.put([])
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        while batch := self._batches.get():
            for piece in batch:
                self._hash.update(piece)


def digest_file(path: str, algorithm: str = "sha256") -> Digest:
    """The digest of a whole file. Raises OSError."""
    with open(path, "rb", buffering=0) as file:
        return digest_open(file, algorithm)


def digest_open(file: IO[bytes], algorithm: str = "sha256") -> Digest:
    """The digest of all that an open file holds, from its start; what was written to it must be flushed."""
    found = hashlib.new(algorithm)
    file.seek(0)
    while piece := file.read(_BATCH):
        found.update(piece)
    return parse_digest(f"{algorithm}:{found.hexdigest()}")
