from __future__ import annotations

import bz2
import gzip
import io
import lzma
from collections.abc import Callable, Iterator

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from sealift.errors import ImageError
from sealift.packs.inflate import CHUNK_SIZE, Ahead, inflate

PLAIN = bytes(range(256)) * 9000 + bytes(3_000_000)


def skippable(data: bytes) -> bytes:
    return b"\x52\x2a\x4d\x18" + len(data).to_bytes(4, "little") + data


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "gzip members": lambda data: gzip.compress(data[:1000]) + gzip.compress(data[1000:]) + gzip.compress(b""),
    "gzip padded": lambda data: gzip.compress(data) + bytes(5000),
    "zstd": zstandard.ZstdCompressor().compress,
    "zstd raw blocks": zstandard.ZstdCompressor(level=-50, write_content_size=False).compress,
    "zstd frames": lambda data: b"".join(
        [skippable(b"xyz"), zstandard.compress(data[:999]), skippable(b""), zstandard.compress(data[999:])]
    ),
    "bzip2": bz2.compress,
    "bzip2 streams": lambda data: bz2.compress(data[:1000]) + bz2.compress(data[1000:]),
    "xz": lambda data: lzma.compress(data, preset=0),
    "plain": bytes,
}


@pytest.mark.parametrize("how", PACKED)
def test_gives_the_plain_bytes_in_bounded_chunks(how: str) -> None:
    chunks = list(inflate(io.BytesIO(PACKED[how](PLAIN))))
    assert b"".join(chunks) == PLAIN
    assert max(map(len, chunks)) <= CHUNK_SIZE + 64


@pytest.mark.parametrize("how", [how for how in PACKED if how != "plain"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9, 0.999])
def test_a_cut_stream_is_an_error(how: str, part: float) -> None:
    whole = PACKED[how](PLAIN)
    whole = whole.rstrip(b"\0") if how == "gzip padded" else whole
    with pytest.raises(ImageError):
        list(inflate(io.BytesIO(whole[: max(7, int(len(whole) * part))])))


@pytest.mark.parametrize("how", ["gzip", "zstd", "bzip2", "xz"])
def test_the_last_byte_matters(how: str) -> None:
    with pytest.raises(ImageError):
        list(inflate(io.BytesIO(PACKED[how](b"hello" * 100)[:-1])))


@pytest.mark.parametrize("how", ["gzip", "zstd", "bzip2", "xz"])
def test_bytes_behind_the_end_that_are_no_stream(how: str) -> None:
    with pytest.raises(ImageError):
        list(inflate(io.BytesIO(PACKED[how](b"hello" * 100) + b"and something else")))


@given(st.binary(max_size=3000), st.integers(0, 3000))
def test_a_zstd_stream_cut_anywhere_is_an_error(data: bytes, at: int) -> None:
    """Raw blocks hold their content as it is, so that a cut one could be taken for the end."""
    whole = zstandard.ZstdCompressor(level=1).compress(data)
    cut = whole[: at % len(whole)]
    if len(cut) < 4:
        return
    with pytest.raises(ImageError):
        list(inflate(io.BytesIO(cut)))


def test_a_stream_that_gives_little_at_once() -> None:
    class Slow(io.BytesIO):
        def read(self, size: int | None = -1, /) -> bytes:
            return super().read(min(size or 0, 3))

    for how in ("gzip", "zstd", "bzip2", "xz", "plain"):
        assert b"".join(inflate(Slow(PACKED[how](PLAIN[:2000])))) == PLAIN[:2000]


def test_an_empty_stream() -> None:
    assert list(inflate(io.BytesIO(b""))) == []


def test_ahead_gives_the_same_and_carries_errors() -> None:
    assert b"".join(Ahead(iter([b"a", b"b", b"c"] * 20))) == b"abc" * 20

    def failing() -> Iterator[bytes]:
        yield b"a"
        raise ImageError("broken")

    ahead = Ahead(failing())
    with pytest.raises(ImageError, match="broken"):
        list(ahead)


def test_ahead_stops_when_closed() -> None:
    taken = []

    def endless() -> Iterator[bytes]:
        while True:
            taken.append(1)
            yield b"x"

    ahead = Ahead(endless())
    assert next(iter(ahead)) == b"x"
    ahead.close()
    count = len(taken)
    assert count < 50
    assert not ahead._thread.is_alive()
