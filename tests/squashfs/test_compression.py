"""Compressors and their inverses, judged by other implementations of the same formats."""

from __future__ import annotations

import lzma
import random
import threading
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealift.errors import ImageError, UsageError
from sealift.squashfs.compression import COMPRESSOR_IDS, Compression, decompress, parse_compression

PLAIN = b"some text, " * 500 + random.Random(1).randbytes(500)
ALL = [Compression(name="zstd", level=level) for level in (1, 3, 19, 22)] + [
    Compression(name="gzip", level=level) for level in (1, 6, 9, 12)
]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("zstd", Compression(name="zstd", level=3)),
        ("zstd:1", Compression(name="zstd", level=1)),
        ("zstd:22", Compression(name="zstd", level=22)),
        ("gzip", Compression(name="gzip", level=6)),
        ("gzip:12", Compression(name="gzip", level=12)),
    ],
)
def test_compressions_are_read_and_shown(text: str, found: Compression) -> None:
    assert parse_compression(text) == found
    assert parse_compression(str(found)) == found


@pytest.mark.parametrize("text", ["", "xz", "zstd:0", "zstd:23", "gzip:13", "gzip:", "zstd:-1", "ZSTD", "zstd:3 "])
def test_what_is_no_compression_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=f"`{text}` is not a compression") as caught:
        parse_compression(text)
    assert caught.value.hints == ("use zstd:1 … zstd:22 or gzip:1 … gzip:12, for instance zstd:3",)


@pytest.mark.parametrize("compression", ALL, ids=str)
@settings(max_examples=20, deadline=None)
@given(plain=st.binary(min_size=1, max_size=10_000) | st.integers(1, 20_000).map(bytes))
def test_what_is_compressed_is_decompressed(compression: Compression, plain: bytes) -> None:
    number = COMPRESSOR_IDS[compression.name]
    packed = compression.compress(plain)
    assert decompress(number, packed, len(plain)) == plain
    assert compression.compress(memoryview(plain)) == packed
    if compression.name == "gzip":
        assert zlib.decompress(packed) == plain


def test_blocks_of_others_are_decompressed() -> None:
    assert decompress(COMPRESSOR_IDS["gzip"], zlib.compress(PLAIN), len(PLAIN)) == PLAIN
    packed = lzma.compress(PLAIN, check=lzma.CHECK_CRC32)
    assert decompress(COMPRESSOR_IDS["xz"], packed, len(PLAIN)) == PLAIN


PACKED = {
    "zstd": Compression(name="zstd", level=3).compress(PLAIN),
    "gzip": Compression(name="gzip", level=6).compress(PLAIN),
    "xz": lzma.compress(PLAIN, check=lzma.CHECK_CRC32),
}


@pytest.mark.parametrize("name", PACKED)
@pytest.mark.parametrize("harm", ["too large", "cut off", "empty", "noise"])
def test_damaged_blocks_are_image_errors(name: str, harm: str) -> None:
    data, limit = PACKED[name], len(PLAIN)
    match harm:
        case "too large":
            limit -= 1
        case "cut off":
            data = data[: len(data) // 2]
        case "empty":
            data = b""
        case "noise":
            data = random.Random(2).randbytes(300)
    with pytest.raises(ImageError, match="a compressed block is damaged"):
        decompress(COMPRESSOR_IDS[name], data, limit)


@pytest.mark.parametrize(("number", "name"), [(2, "lzma"), (3, "lzo"), (5, "lz4"), (99, "99")])
def test_other_compressors_are_named(number: int, name: str) -> None:
    with pytest.raises(ImageError, match=f"the image is compressed with {name}, which Sealift does not read"):
        decompress(number, b"x", 100)


@pytest.mark.parametrize("compression", ALL, ids=str)
def test_threads_give_the_same_bytes(compression: Compression) -> None:
    found: list[bytes] = []
    threads = [threading.Thread(target=lambda: found.append(compression.compress(PLAIN))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [compression.compress(PLAIN)] * 4


def test_an_identity_names_the_encoder_exactly() -> None:
    assert Compression(name="zstd", level=3).identity == "zstd:3 libzstd-1.5.7 zstandard-0.25.0"
    assert Compression(name="gzip", level=6).identity == "gzip:6 deflate-0.9.0"
