"""The xattr table, forth and back; what else reads it is tested with the writer and the reader."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealift.core.tree import Xattrs
from sealift.errors import ImageError
from sealift.squashfs.layout import NO_TABLE, Superblock
from sealift.squashfs.xattrs import XattrReader, XattrWriter, can_hold
from tests.squashfs.laying import ZSTD

SETS = st.lists(
    st.dictionaries(
        st.tuples(st.sampled_from([b"user.", b"trusted.", b"security."]), st.binary(min_size=1, max_size=200)).map(
            b"".join
        ),
        st.binary(max_size=40) | st.sampled_from([b"v" * 9, b"w" * 9000]),
        min_size=1,
        max_size=5,
    ).map(lambda found: tuple(sorted(found.items()))),
    max_size=8,
)


def superblock(*, xattr_table: int, end: int) -> Superblock:
    return Superblock(
        inodes=1,
        mtime=0,
        block_size=4096,
        fragments=0,
        compressor=6,
        flags=0,
        ids=1,
        root=0,
        bytes_used=end,
        id_table=0,
        xattr_table=xattr_table,
        inode_table=0,
        directory_table=0,
        fragment_table=0,
        export_table=0,
    )


def table_reader(table: bytes, header: int) -> XattrReader:
    def pread(length: int, offset: int) -> bytes:
        return table[offset : offset + length]

    return XattrReader(pread, superblock(xattr_table=header, end=len(table)))


@settings(deadline=None)
@given(sets=SETS, start=st.integers(0, 1000))
def test_what_is_written_is_read(sets: list[Xattrs], start: int) -> None:
    writer = XattrWriter(((), *sets))
    numbers = [writer.number(row + 1) for row in range(len(sets))]
    assert numbers == list(range(len(sets)))
    table, header = writer.table(start, ZSTD)
    if not sets:
        assert (table, header) == (b"", NO_TABLE)
        return
    reader = table_reader(bytes(start) + table, header)
    assert [reader.read(number) for number in numbers] == sets
    with pytest.raises(ImageError, match="names a set that does not exist"):
        reader.read(len(sets))


def test_a_set_used_twice_is_written_once() -> None:
    sets = ((), ((b"user.a", b"1"),), ((b"user.b", b"2"),))
    writer = XattrWriter(sets)
    assert [writer.number(chosen) for chosen in (2, 1, 2, 1)] == [0, 1, 0, 1]
    table, header = writer.table(0, ZSTD)
    assert [table_reader(table, header).read(number) for number in (0, 1)] == [sets[2], sets[1]]


def test_a_long_value_used_twice_is_written_once() -> None:
    import random

    value = random.Random(1).randbytes(60_000)
    writer = XattrWriter([((b"user.a", value),), ((b"trusted.b", value),)])
    numbers = [writer.number(0), writer.number(1)]
    table, header = writer.table(0, ZSTD)
    assert len(table) < 61_000
    reader = table_reader(table, header)
    assert [reader.read(number) for number in numbers] == [((b"user.a", value),), ((b"trusted.b", value),)]


@pytest.mark.parametrize(
    ("name", "held"),
    [
        (b"user.x", True),
        (b"trusted.overlay.opaque", True),
        (b"security.capability", True),
        (b"system.posix_acl_access", False),
        (b"system.posix_acl_default", False),
        (b"com.apple.quarantine", False),
        (b"user." + b"x" * 250, True),
        (b"user." + b"x" * 251, False),
    ],
)
def test_names_that_can_be_held(name: bytes, held: bool) -> None:
    assert can_hold(name) is held
