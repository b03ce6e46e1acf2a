"""A blob that is on its way: one thread writes it to a file, others read what is there and wait for more."""

from __future__ import annotations

import io
import os
import threading
from typing import TYPE_CHECKING, BinaryIO, cast

from sealift.errors import MismatchError, SealiftError

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]

    from sealift.core.digest import Digest


_STRIDE = 256 << 10
"""Bytes after which waiting readers are woken: on a fast line each piece would cost two changes of threads."""
_LOOK = 0.02
"""Seconds after which waiting readers look by themselves, so that a slow line's bytes reach them, too."""


class Arrival:
    """What is known about a blob that may still be arriving.

    Readers made by `reader` see the end of the blob only after its digest was verified; before that, and when the
    download failed, reading raises. When wrong bytes had to be thrown away and fetched again, readers that took some of
    them get a MismatchError; a new reader gives the new bytes.
    """

    def __init__(self, digest: Digest, size: int) -> None:
        self.digest = digest
        self.size = size
        self._changed = threading.Condition()
        self._descriptor = -1
        self._arrived = 0
        self._announced = 0
        self._round = 0
        self._whole = False
        self._error: BaseException | None = None

    @property
    def arrived(self) -> int:
        return self._arrived

    @property
    def whole(self) -> bool:
        """Whether every byte is there and verified."""
        return self._whole

    @property
    def failed(self) -> bool:
        return self._error is not None

    def reader(self) -> BinaryIO:
        """A stream from the blob's first byte on; may be opened before the first byte arrives."""
        return cast("BinaryIO", _Reader(self))

    def wait(self) -> None:
        """Return when the blob is whole; raises what ended the download."""
        with self._changed:
            self._changed.wait_for(lambda: self._whole or self._error is not None)
            self._raise_error()

    # What follows is for the writing side.

    def attach(self, descriptor: int, arrived: int) -> None:
        """Let readers read from (a duplicate of) `descriptor`, which holds the first `arrived` bytes."""
        with self._changed:
            if self._descriptor >= 0:
                os.close(self._descriptor)
            self._descriptor = os.dup(descriptor)
            self._arrived = arrived
            self._changed.notify_all()

    def advance(self, count: int) -> None:
        with self._changed:
            self._arrived += count
            if self._arrived - self._announced >= _STRIDE:
                self._announced = self._arrived
                self._changed.notify_all()

    def restart(self) -> None:
        """The bytes so far were wrong."""
        with self._changed:
            self._arrived = self._announced = 0
            self._round += 1
            self._changed.notify_all()

    def complete(self) -> None:
        with self._changed:
            self._whole = True
            self._changed.notify_all()

    def fail(self, error: BaseException) -> None:
        with self._changed:
            if not self._whole:
                self._error = error
            self._changed.notify_all()

    def close(self) -> None:
        """Give the descriptor back; readers that still wait get an error."""
        with self._changed:
            if self._error is None:
                self._error = SealiftError(f"the download of `{self.digest}` was given up")
            if self._descriptor >= 0:
                os.close(self._descriptor)
                self._descriptor = -1
            self._changed.notify_all()

    def read_into(self, view: memoryview, position: int, round_: int) -> tuple[int, int]:
        """Wait for bytes at `position`; return how many were read (0: the verified end) and the round they are of."""
        with self._changed:
            while not (
                self._arrived > position
                or self._whole
                or self._error is not None
                or (position > 0 and self._round != round_)
            ):
                self._changed.wait(_LOOK)
            if position > 0 and self._round != round_:
                raise MismatchError(f"blob `{self.digest}` arrived damaged and is fetched anew")
            if self._descriptor < 0 or (self._arrived <= position and not self._whole):
                self._raise_error()
            if self._arrived <= position:
                return 0, self._round
            count = min(len(view), self._arrived - position)
            # Held: `restart` must not truncate the file between the check and the read.
            return os.preadv(self._descriptor, [view[:count]], position), self._round

    def _raise_error(self) -> None:
        if self._error is not None:
            if isinstance(self._error, SealiftError):
                # A copy: one exception object raised in several threads mixes up their tracebacks.
                raise type(self._error)(self._error.message, hints=self._error.hints) from self._error
            raise SealiftError(f"the download of `{self.digest}` was interrupted") from self._error


class _Reader(io.RawIOBase):
    def __init__(self, arrival: Arrival) -> None:
        self._arrival = arrival
        self._position = 0
        self._round = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        if not view:
            return 0
        count, self._round = self._arrival.read_into(view, self._position, self._round)
        self._position += count
        return count
