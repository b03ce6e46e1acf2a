"""Streams over parts of local files, whose end is given only when the bytes were those of their digest."""

from __future__ import annotations

import hashlib
import io
import os
from typing import TYPE_CHECKING, BinaryIO, cast

from sealift.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]

    from sealift.core.digest import Digest


def open_range(path: str, offset: int, size: int, digest: Digest, *, what: str) -> BinaryIO:
    """`size` bytes of a file from `offset`, verified. Reading raises ImageError when they are not the digest's.

    `what` is how messages call them. Raises OSError when the file cannot be opened.
    """
    return cast("BinaryIO", _Verified(os.open(path, os.O_RDONLY | os.O_CLOEXEC), offset, size, digest, what))


class _Verified(io.RawIOBase):
    def __init__(self, descriptor: int, offset: int, size: int, digest: Digest, what: str) -> None:
        self._descriptor = descriptor
        self._position = offset
        self._left = size
        self._wanted = digest
        self._hash = hashlib.new(digest.partition(":")[0])
        self._what = what

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        if not view:
            return 0
        if not self._left:
            self._verify()
            return 0
        count = os.preadv(self._descriptor, [view[: self._left]], self._position)
        if not count:
            raise ImageError(f"{self._what} is cut off: {self._left} bytes are missing")
        self._hash.update(view[:count])
        self._position += count
        self._left -= count
        return count

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()

    def _verify(self) -> None:
        algorithm = self._wanted.partition(":")[0]
        found = f"{algorithm}:{self._hash.hexdigest()}"
        if found != self._wanted:
            raise ImageError(f"{self._what} is damaged: its digest is `{found}`, not `{self._wanted}`")
