"""Streams as they come from registries and archives, inflated: gzip, zstd, bzip2, xz or plain, told by their magic.

Chunks are large, so that threads of several stages overlap: every decoder here lets other threads run while it works.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol, cast

from sealift.errors import ImageError

READ_SIZE = 128 * 1024
CHUNK_SIZE = 512 * 1024
"""The most that one step inflates: a hostile stream cannot make a step larger."""

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_BZIP2 = b"BZh"
_XZ = b"\xfd7zXZ\x00"


class _Decoder(Protocol):
    """What bz2, lzma and igzip_lib have in common; `decompress` keeps input that it could not use yet."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, max_length: int = ...) -> bytes: ...


def inflate(stream: BinaryIO) -> Iterator[bytes]:
    """Yield the plain bytes of `stream` in chunks of at most CHUNK_SIZE; ImageError when it is damaged or cut off.

    Reads `stream` to its end, so that whoever checks digests below has seen every byte. Several gzip members, zstd
    frames (skippable ones too), bzip2 or xz streams behind each other are one stream.
    """
    head = _read_at_least(stream, 6)
    if head.startswith(_GZIP):
        yield from _members(stream, head, _gzip_decoder, "gzip", padding=b"\0")
    elif head.startswith(_ZSTD) or (len(head) >= 4 and head[1:4] == b"\x2a\x4d\x18" and head[0] & 0xF0 == 0x50):
        yield from _zstd_frames(stream, head)
    elif head.startswith(_BZIP2):
        yield from _members(stream, head, _bzip2_decoder, "bzip2", padding=b"")
    elif head.startswith(_XZ):
        yield from _members(stream, head, _xz_decoder, "xz", padding=b"\0")
    else:
        while head:
            yield head
            head = stream.read(CHUNK_SIZE)


def _read_at_least(stream: BinaryIO, count: int) -> bytes:
    data = stream.read(READ_SIZE)
    while len(data) < count:
        more = stream.read(READ_SIZE)
        if not more:
            break
        data += more
    return data


def _gzip_decoder() -> _Decoder:
    from isal import igzip_lib

    decoder: _Decoder = igzip_lib.IgzipDecompressor(flag=igzip_lib.DECOMP_GZIP)
    return decoder


def _bzip2_decoder() -> _Decoder:
    import bz2

    return bz2.BZ2Decompressor()


def _xz_decoder() -> _Decoder:
    import lzma

    return lzma.LZMADecompressor(memlimit=512 << 20)


def _members(
    stream: BinaryIO, data: bytes, make: Callable[[], _Decoder], name: str, *, padding: bytes
) -> Iterator[bytes]:
    """One decoder a member; bytes of `padding` between and behind members are passed over (RFC 1952 2.2, gzip(1))."""
    try:
        while data:
            decoder = make()
            while not decoder.eof:
                if decoder.needs_input and not data:
                    data = stream.read(READ_SIZE)
                    if not data:
                        raise ImageError(f"the {name} stream is cut off")
                plain = decoder.decompress(data, CHUNK_SIZE)
                data = b""
                if plain:
                    yield plain
            data = decoder.unused_data or stream.read(READ_SIZE)
            while padding and data and not (data := data.lstrip(padding)):
                data = stream.read(READ_SIZE)
    except _decoder_errors() as error:
        raise _damaged(name, error) from error


def _decoder_errors() -> tuple[type[Exception], ...]:
    import lzma

    from isal import igzip_lib

    return (OSError, EOFError, ValueError, lzma.LZMAError, cast("type[Exception]", igzip_lib.error))


def _zstd_frames(stream: BinaryIO, data: bytes) -> Iterator[bytes]:
    """Frames behind each other. The decoder reports no cut-off frame, so a frame of ours is put at the very end:
    its content comes out last if, and only if, everything before it was whole (its checksum keeps the bytes of
    the frame itself, taken for content of a cut raw block, from looking the same).
    """
    import zstandard

    end = zstandard.ZstdCompressor(write_checksum=True).compress(_END)
    # A frame's window costs as much memory as it says: 128 MiB is what `zstd -d` allows too.
    context = zstandard.ZstdDecompressor(max_window_size=1 << 27)
    source = _Rejoined(data, stream, end)
    reader = context.stream_reader(cast("BinaryIO", source), read_size=READ_SIZE, read_across_frames=True)
    held = b""
    try:
        while plain := reader.read(CHUNK_SIZE):
            if held:
                plain = held + plain
            held = plain[-len(_END) :]
            if len(plain) > len(_END):
                yield plain[: -len(_END)]
    except zstandard.ZstdError as error:
        raise _damaged("zstd", error) from error
    if held != _END:
        raise ImageError("the zstd stream is cut off")


_END = b"end of the zstd stream, as it is"


class _Rejoined:
    """A stream with its first bytes put back, and others put behind its end.

    Those come in one piece with the last bytes before them: where a piece ends inside a frame's header, libzstd takes a
    next piece that is a whole frame for what it should read.
    """

    def __init__(self, head: bytes, stream: BinaryIO, end: bytes) -> None:
        self._held = head
        self._stream = stream
        self._end = end

    def read(self, size: int = -1) -> bytes:
        following = self._stream.read(size) if self._end else b""
        data, self._held = self._held, following
        if not following:
            data, self._end = data + self._end, b""
        return data


class Ahead:
    """Runs an iterator of chunks in a thread of its own, a few chunks ahead of whoever reads; close it when done."""

    _DEPTH = 8

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._queue: queue.Queue[bytes | BaseException | None] = queue.Queue(self._DEPTH)
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="inflate", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            for chunk in self._chunks:
                self._put(chunk)
                if self._stopped.is_set():
                    return
            self._put(None)
        except BaseException as error:  # noqa: BLE001 -- carried over to the thread that reads
            self._put(error)

    def _put(self, item: bytes | BaseException | None) -> None:
        while not self._stopped.is_set():
            try:
                self._queue.put(item, timeout=0.2)
            except queue.Full:
                continue
            return

    def __iter__(self) -> Iterator[bytes]:
        while True:
            item = self._queue.get()
            if item is None:
                return
            if isinstance(item, BaseException):
                raise item
            yield item

    def close(self) -> None:
        """Stop the thread; a read of the stream that hangs is left behind (the thread is a daemon)."""
        self._stopped.set()
        self._thread.join(timeout=5)


def _damaged(name: str, error: BaseException) -> ImageError:
    return ImageError(f"the {name} stream is damaged: {error}")
