"""A stream compressed in parallel into bytes that depend on it alone, not on how many processors there were.

The stream is cut into parts of one size, and each is a gzip member or a zstd frame of its own: RFC 1952 (2.2) and
RFC 8878 (3) say that members and frames behind each other are one stream, and engines that read layers do so.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import BinaryIO

from sealift.core.digest import Digest, from_raw
from sealift.squashfs.compression import Compression

FORMAT = 1
"""Raised with every change that gives other bytes for the same stream."""
PART = {"gzip": 1 << 20, "zstd": 4 << 20}
"""Bytes of the stream in one member or frame: enough that cutting costs less than a thousandth of the size."""
_AHEAD = 12
"""Parts that are being compressed or wait to be written at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Squeezed:
    """`digest` and `size` are those of the compressed bytes, `plain_digest` (a layer's diff ID) that of the stream."""

    digest: Digest
    size: int
    plain_digest: Digest


def squeeze(pieces: Iterable[bytes], target: BinaryIO, *, compression: Compression, pool: Executor) -> Squeezed:
    """Write `pieces` compressed to `target`. Compresses in `pool`, where it must not itself run."""
    plain, packed = hashlib.sha256(), hashlib.sha256()
    size = 0
    pending: deque[Future[bytes]] = deque()

    def write_oldest() -> None:
        nonlocal size
        data = pending.popleft().result()
        packed.update(data)
        target.write(data)
        size += len(data)

    try:
        for part in _parts(pieces, PART[compression.name]):
            pending.append(pool.submit(_compress, part, compression))
            plain.update(part)
            while len(pending) > _AHEAD:
                write_oldest()
        while pending:
            write_oldest()
    finally:
        for job in pending:
            job.cancel()
    return Squeezed(digest=from_raw(packed.digest()), size=size, plain_digest=from_raw(plain.digest()))


def _parts(pieces: Iterable[bytes], length: int) -> Iterator[bytes]:
    """Never none: nothing at all is no gzip stream."""
    part = bytearray()
    count = 0
    for piece in pieces:
        at = 0
        while at < len(piece):
            taken = piece[at : at + length - len(part)]
            part += taken
            at += len(taken)
            if len(part) == length:
                yield bytes(part)
                part.clear()
                count += 1
    if part or not count:
        yield bytes(part)


def _compress(part: bytes, compression: Compression) -> bytes:
    if compression.name == "zstd":
        return compression.compress(part)
    import deflate

    # The header that this writes has no time and no name.
    return bytes(deflate.gzip_compress(part, compression.level))
