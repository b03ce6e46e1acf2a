"""Listings, forth and back, and the rules that Linux holds them to."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealift.errors import ImageError
from sealift.squashfs.directories import Child, Listing, read_listing, write_listing
from sealift.squashfs.metadata import MetadataReader, MetadataWriter
from tests.squashfs.laying import ZSTD

CHILDREN = st.lists(
    st.tuples(
        st.binary(min_size=1, max_size=256).filter(
            lambda name: name not in (b".", b"..") and b"/" not in name and b"\0" not in name
        ),
        st.tuples(st.integers(0, 5), st.integers(0, 8191)).map(lambda pair: pair[0] * 1000 << 16 | pair[1]),
        st.integers(1, 2**32 - 1) | st.integers(1, 300),
        st.integers(1, 7),
    ),
    unique_by=lambda child: child[0],
).map(sorted)


def written(children: list[Child], *, before: int = 0, indexed: bool = False) -> tuple[Listing, MetadataReader]:
    table = MetadataWriter(ZSTD)
    table.append(b"b" * before)
    listing = write_listing(table, children, indexed=indexed)
    data = table.finish()

    def pread(length: int, offset: int) -> bytes:
        return data[offset : offset + length]

    return listing, MetadataReader(pread, compressor=6, start=0, end=len(data), name="directory")


def raw_runs(listing: Listing, table: MetadataReader) -> list[tuple[int, int, int, int]]:
    """Place, entries, block and base number of each run."""
    data = table.read(listing.reference, listing.size)[0] if listing.size else b""
    found = []
    position = 0
    while position < len(data):
        count, block, base = struct.unpack_from("<III", data, position)
        found.append((position, count + 1, block, base))
        position += 12
        for _ in range(count + 1):
            (length,) = struct.unpack_from("<6xH", data, position)
            position += 9 + length
    return found


@settings(deadline=None)
@given(children=CHILDREN, before=st.integers(0, 20_000), indexed=st.booleans())
def test_what_is_written_is_read(children: list[Child], before: int, indexed: bool) -> None:
    listing, table = written(children, before=before, indexed=indexed)
    assert list(read_listing(table, listing.reference, listing.size)) == [
        (name, reference, kind) for name, reference, _, kind in children
    ]


@settings(deadline=None)
@given(children=CHILDREN, indexed=st.booleans())
def test_runs_keep_to_the_rules(children: list[Child], indexed: bool) -> None:
    """At most 256 entries of one block, their numbers within 16 bits of the first one's."""
    listing, table = written(children, indexed=indexed)
    left = list(children)
    for _, count, block, base in raw_runs(listing, table):
        assert 1 <= count <= 256
        run, left = left[:count], left[count:]
        assert {reference >> 16 for _, reference, _, _ in run} == {block}
        assert base == run[0][2]
        assert all(-0x8000 <= number - base <= 0x7FFF for _, _, number, _ in run)
    assert left == []


@pytest.mark.parametrize("before", [0, 8000, 8191])
def test_each_further_block_begins_with_an_index(before: int) -> None:
    children = [(b"name-%05d" % number, 0, number, 2) for number in range(1, 5001)]
    listing, table = written(children, before=before, indexed=True)
    places = {place for place, _, _, _ in raw_runs(listing, table)}
    indexes = []
    raw = listing.indexes
    while raw:
        place, block, length = struct.unpack_from("<III", raw)
        indexes.append((place, block, raw[12 : 13 + length]))
        raw = raw[13 + length :]
    assert len(indexes) == listing.index_count
    assert {place for place, _, _ in indexes} <= places
    # What Linux does with an index: it reads on at that block, at the place in it that the whole offset gives.
    offset = listing.reference & 0xFFFF
    for place, block, name in indexes:
        header, reference = table.read(block << 16 | (offset + place) % 8192, 12)
        entry, reference = table.read(reference, 8)
        length = int.from_bytes(entry[6:], "little") + 1
        assert table.read(reference, length)[0] == name
        assert header[4:8] == bytes(4)
    first_block = listing.reference >> 16
    blocks = [first_block, *(block for _, block, _ in indexes)]
    assert blocks == sorted(set(blocks))
    assert len(blocks) == (before % 8192 + listing.size - 1) // 8192 + 1


def test_an_empty_listing_has_no_bytes() -> None:
    listing, table = written([])
    assert listing == Listing(reference=0, size=0, indexes=b"", index_count=0)
    assert list(read_listing(table, 0, 0)) == []


def entry(name: bytes, *, offset: int = 0, kind: int = 2, length: int | None = None) -> bytes:
    return struct.pack("<HhHH", offset, 0, kind, len(name) - 1 if length is None else length) + name


@pytest.mark.parametrize(
    ("listing", "message"),
    [
        (bytes(11), "a listing ends in the middle of an entry"),
        (struct.pack("<III", 256, 0, 1) + entry(b"a"), "a run has too many entries"),
        (struct.pack("<III", 1, 0, 1) + entry(b"a"), "a listing ends in the middle of an entry"),
        (struct.pack("<III", 0, 0, 1) + entry(b"abc")[:-1], "a listing ends in the middle of an entry"),
        (struct.pack("<III", 0, 0, 1) + entry(b"a", length=256), "an entry is wrong"),
        (struct.pack("<III", 0, 0, 1) + entry(b"a", kind=0), "an entry is wrong"),
        (struct.pack("<III", 0, 0, 1) + entry(b"a", kind=8), "an entry is wrong"),
        (struct.pack("<III", 0, 0, 1) + entry(b"a", offset=8193), "an entry is wrong"),
        (struct.pack("<III", 0, 0, 1) + entry(b".."), "an entry has the name b'..'"),
        (struct.pack("<III", 0, 0, 1) + entry(b"a/b"), "an entry has the name b'a/b'"),
    ],
)
def test_a_broken_listing_is_an_error(listing: bytes, message: str) -> None:
    table = MetadataWriter(ZSTD)
    table.append(listing)
    data = table.finish()

    def pread(length: int, offset: int) -> bytes:
        return data[offset : offset + length]

    with pytest.raises(ImageError, match=message):
        list(
            read_listing(MetadataReader(pread, compressor=6, start=0, end=len(data), name="directory"), 0, len(listing))
        )


def test_a_listing_that_claims_to_be_huge_is_an_error() -> None:
    listing, table = written([(b"a", 0, 1, 2)])
    with pytest.raises(ImageError, match="lies outside the table"):
        list(read_listing(table, listing.reference, 2**32 - 1))
