"""The writing side of an arriving blob: appended to a part, hashed on the way, named once it is verified."""

from __future__ import annotations

import os

from sealift.errors import MismatchError
from sealift.store.arrival import Arrival
from sealift.store.hashing import Digester
from sealift.store.parts import Part

_REHASH = 1 << 20
"""Bytes that are read at once of what an earlier attempt left."""


class Blob:
    """Bytes go in from the front, `finish` verifies them.

    `arrived` bytes are there already, from an earlier attempt, when the block of `Store.receive` begins.
    """

    def __init__(self, arrival: Arrival, part: Part, target: str) -> None:
        self.digest = arrival.digest
        self.size = arrival.size
        self.finished = False
        self._arrival = arrival
        self._part = part
        self._target = target
        self._digester = Digester(self.digest.partition(":")[0])

    @property
    def arrived(self) -> int:
        return self._arrival.arrived

    def write(self, data: bytes) -> None:
        """Append; MismatchError when the blob gets longer than it may be."""
        if self.arrived + len(data) > self.size:
            raise MismatchError(f"blob `{self.digest}` is longer than the {self.size} bytes that its manifest says")
        self._digester.update(data)
        view = memoryview(data)
        while view:
            view = view[self._part.file.write(view) or 0 :]
        self._arrival.advance(len(data))

    def restart(self) -> None:
        """Throw away what arrived."""
        self._digester.close()
        self._digester = Digester(self.digest.partition(":")[0])
        self._arrival.restart()
        self._part.file.seek(0)
        self._part.file.truncate()

    def finish(self) -> None:
        """Verify and put into the store; MismatchError, and the bytes are gone, when they are not the digest's."""
        if self.arrived != self.size:
            raise MismatchError(f"blob `{self.digest}` has {self.arrived} bytes, where its manifest says {self.size}")
        found = self._digester.digest()
        if found != self.digest:
            self.restart()
            raise MismatchError(
                f"blob `{self.digest}` arrived as other bytes, whose digest is `{found}`",
                hints=("a proxy or a damaged registry may be in between; try again, or another network",),
            )
        # Readers may go on while the disk catches up.
        self._arrival.complete()
        self._part.finish(self._target)
        self.finished = True

    def suspend(self) -> None:
        """Leave what arrived for a later attempt, of this process or another."""
        self._digester.close()
        if self.arrived:
            self._part.close()
        else:
            self._part.discard()

    def take_over(self) -> None:
        """Hash what an earlier attempt left, and let readers have it."""
        file = self._part.file
        there = os.fstat(file.fileno()).st_size
        if there > self.size:
            file.truncate(0)
            there = 0
        file.seek(0)
        while data := file.read(_REHASH):
            self._digester.update(data)
        self._arrival.attach(file.fileno(), there)
