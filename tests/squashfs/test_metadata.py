"""Metadata blocks, forth and back."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealift.errors import ImageError
from sealift.squashfs.compression import COMPRESSOR_IDS
from sealift.squashfs.metadata import MetadataReader, MetadataWriter, pack_table, read_table
from tests.squashfs.laying import GZIP, ZSTD

NOISE = random.Random(1).randbytes


def reader(table: bytes, *, before: int = 0, compressor: str = "zstd") -> MetadataReader:
    data = bytes(before) + table

    def pread(length: int, offset: int) -> bytes:
        return data[offset : offset + length]

    return MetadataReader(pread, compressor=COMPRESSOR_IDS[compressor], start=before, end=len(data), name="directory")


@given(pieces=st.lists(st.integers(0, 20_000).map(lambda size: NOISE(size // 2) + bytes(size - size // 2)), max_size=6))
@settings(deadline=None)
@pytest.mark.parametrize("compression", [ZSTD, GZIP], ids=str)
def test_what_is_appended_is_read_at_its_reference(compression: object, pieces: list[bytes]) -> None:
    writer = MetadataWriter(compression)  # type: ignore[arg-type]
    references = []
    for piece in pieces:
        references.append(writer.reference)
        assert writer.reference & 0xFFFF < 8192
        writer.append(piece)
    table = reader(writer.finish(), before=100, compressor=compression.name)  # type: ignore[attr-defined]
    assert [table.read(*asked)[0] for asked in zip(references, map(len, pieces), strict=True) if asked[1]] == [
        piece for piece in pieces if piece
    ]


def test_reading_goes_on_where_it_ended() -> None:
    plain = NOISE(50_000)
    writer = MetadataWriter(ZSTD)
    writer.append(plain)
    table = reader(writer.finish())
    found, reference = b"", 0
    for length in [1, 8191, 8192, 1, 0, 16384, 17231]:
        piece, reference = table.read(reference, length)
        found += piece
    assert found == plain


def test_noise_is_stored_and_text_is_compressed() -> None:
    writer = MetadataWriter(ZSTD)
    writer.append(NOISE(8192) + b"x" * 8192)
    table = writer.finish()
    assert table[:2] == (8192 | 0x8000).to_bytes(2, "little")
    assert int.from_bytes(table[8194:8196], "little") == len(table) - 8196 < 100


@pytest.mark.parametrize("size", [0, 1, 8192, 8193, 100_000])
def test_a_table_is_read_by_its_index(size: int) -> None:
    plain = NOISE(size)
    blocks, index = pack_table(plain, 50, ZSTD)
    image = bytes(50) + blocks + index

    def pread(length: int, offset: int) -> bytes:
        return image[offset : offset + length]

    found, start = read_table(pread, compressor=6, index=50 + len(blocks), size=size, limit=len(image), name="id")
    assert (found, start) == (plain, 50)
    assert len(index) == 8 * -(-size // 8192)


@pytest.mark.parametrize(
    ("table", "reference", "message"),
    [
        (b"", 0, "a block at 0 lies outside the table"),
        (b"\1", 0, "a block at 0 lies outside the table"),
        (b"\x00\x80x", 0, "the block at 0 has a wrong size"),
        (b"\x01\xa0" + bytes(8193), 0, "the block at 0 has a wrong size"),
        (b"\x05\x80abcd", 0, "the block at 0 has a wrong size"),
        (b"\x04\x00abcd", 0, "the block at 0: a compressed block is damaged"),
        (b"\x04\x80abcd", 1 << 16, "the block at 1 has a wrong size"),
        (b"\x04\x80abcd", 9 << 16, "a block at 9 lies outside the table"),
        (b"\x04\x80abcd", 5, "a reference points behind its block at 0"),
        (b"\x04\x80abcd", 3, "a block at 6 lies outside the table"),
    ],
)
def test_damage_is_named(table: bytes, reference: int, message: str) -> None:
    with pytest.raises(ImageError) as caught:
        reader(table).read(reference, 2)
    assert caught.value.message.startswith(f"the squashfs is damaged in its directory table: {message}")
    assert caught.value.hints == ("fetch or build the image again",)


def test_many_blocks_are_not_all_kept() -> None:
    writer = MetadataWriter(ZSTD)
    writer.append(bytes(8192 * 3000))
    table = reader(writer.finish())
    reference = 0
    for _ in range(3000):
        piece, reference = table.read(reference, 8192)
        assert piece == bytes(8192)
    assert len(table._blocks) == 1024
