"""A tar stream out of a part of a file that may be compressed, verified against the digest of what comes out."""

from __future__ import annotations

import hashlib
import io
import os
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from sealift.bases.verified import open_range
from sealift.errors import ImageError

if TYPE_CHECKING:
    from collections.abc import Buffer  # type: ignore[attr-defined]

    from sealift.core.digest import Digest

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_PIECE = 1 << 20


def open_inflated(path: str, offset: int, size: int, digest: Digest, *, what: str) -> BinaryIO:
    """The bytes whose digest is `digest`, inflated where they are gzip or zstd. Reading raises ImageError."""
    with open(path, "rb") as file:
        head = os.pread(file.fileno(), min(4, size), offset)
    if not head.startswith((_GZIP, _ZSTD)):
        return open_range(path, offset, size, digest, what=what)
    return cast("BinaryIO", _Inflated(os.open(path, os.O_RDONLY | os.O_CLOEXEC), offset, size, digest, what, head))


class _Inflated(io.RawIOBase):
    def __init__(self, descriptor: int, offset: int, size: int, digest: Digest, what: str, head: bytes) -> None:
        self._descriptor = descriptor
        self._wanted = digest
        self._what = what
        self._hash = hashlib.new(digest.partition(":")[0])
        raw = io.BufferedReader(cast("io.RawIOBase", _Slice(descriptor, offset, size)), _PIECE)
        self._stream: Any
        if head.startswith(_GZIP):
            from isal import igzip

            self._stream = igzip.open(raw, "rb")  # type: ignore[no-untyped-call]
        else:
            import zstandard

            self._stream = zstandard.ZstdDecompressor().stream_reader(raw, read_across_frames=True)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        try:
            data: bytes = self._stream.read(len(view))
        except Exception as error:  # the decoders raise classes of their own
            raise ImageError(f"{self._what} is damaged: {error}") from error
        if not data and view:
            found = f"{self._hash.name}:{self._hash.hexdigest()}"
            if found != self._wanted:
                raise ImageError(f"{self._what} is damaged: its digest is `{found}`, not `{self._wanted}`")
        self._hash.update(data)
        view[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            os.close(self._descriptor)
        super().close()


class _Slice(io.RawIOBase):
    """A part of a file as a file."""

    def __init__(self, descriptor: int, offset: int, size: int) -> None:
        self._descriptor = descriptor
        self._position = offset
        self._end = offset + size

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Buffer) -> int:
        view = memoryview(buffer).cast("B")
        count = os.preadv(self._descriptor, [view[: self._end - self._position]], self._position)
        self._position += count
        return count
