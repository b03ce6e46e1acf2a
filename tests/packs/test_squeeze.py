"""Compressed streams: the same bytes whatever the pieces and workers, and readable by programs that are not ours."""

from __future__ import annotations

import gzip
import io
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from sealift.core.digest import sha256
from sealift.packs.squeeze import PART, Squeezed, squeeze
from sealift.squashfs.compression import Compression

GZIP, ZSTD = Compression(name="gzip", level=6), Compression(name="zstd", level=3)
STREAM = b"".join(b"%d\n" % number for number in range(1_500_000))


def squeezed(stream: bytes, compression: Compression, *, piece: int, workers: int) -> tuple[bytes, Squeezed]:
    target = io.BytesIO()
    with ThreadPoolExecutor(workers) as pool:
        pieces = (stream[at : at + piece] for at in range(0, len(stream), piece))
        result = squeeze(pieces, target, compression=compression, pool=pool)
    return target.getvalue(), result


@pytest.mark.parametrize("compression", [GZIP, ZSTD], ids=str)
@pytest.mark.parametrize("length", [0, 1, PART["gzip"], PART["gzip"] + 1, len(STREAM)])
def test_pieces_and_workers_do_not_show(compression, length):
    stream = STREAM[:length]
    data, result = squeezed(stream, compression, piece=700_001, workers=1)
    assert squeezed(stream, compression, piece=5_000_000, workers=3) == (data, result)
    assert result == Squeezed(
        digest=sha256(data),
        size=len(data),
        plain_digest=sha256(stream),
    )


def test_the_bytes_are_these():
    """They are what caches and registries know a layer by; another number here wants a new `FORMAT`."""
    assert [squeezed(STREAM, one, piece=1 << 20, workers=2)[1].digest[7:23] for one in (GZIP, ZSTD)] == [
        "f7a24a0b58842fb1",
        "2d297edf05eac7f4",
    ]


def test_gzip_in_members_without_a_time_or_a_name():
    data, _ = squeezed(STREAM, GZIP, piece=1 << 20, workers=2)
    assert gzip.decompress(data) == STREAM
    assert subprocess.run(["gzip", "-dc"], input=data, capture_output=True, check=True).stdout == STREAM
    assert data[:10] == b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


def test_zstd_in_frames():
    import zstandard

    data, _ = squeezed(STREAM, ZSTD, piece=1 << 20, workers=2)
    reader = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data), read_across_frames=True)
    assert reader.read() == STREAM


def test_what_the_stream_raises_is_passed_on_and_no_job_is_left():
    def pieces() -> Iterator[bytes]:
        yield STREAM
        raise RuntimeError("the stream broke")

    with ThreadPoolExecutor(1) as pool, pytest.raises(RuntimeError, match="the stream broke"):
        squeeze(pieces(), io.BytesIO(), compression=GZIP, pool=pool)
