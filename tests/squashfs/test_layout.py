"""The superblock, forth and back; wrong ones are tested with the reader."""

from __future__ import annotations

import pytest

from sealift.squashfs.layout import Superblock, check_block_size, parse_superblock

SUPERBLOCK = Superblock(
    inodes=3,
    mtime=2**32 - 1,
    block_size=1 << 20,
    fragments=1,
    compressor=6,
    flags=0x02C0,
    ids=2,
    root=0x1234,
    bytes_used=2000,
    id_table=1000,
    xattr_table=2**64 - 1,
    inode_table=100,
    directory_table=200,
    fragment_table=300,
    export_table=400,
)


def test_a_superblock_comes_back() -> None:
    raw = SUPERBLOCK.pack()
    assert raw[:4] == b"hsqs"
    assert len(raw) == 96
    assert parse_superblock(raw, available=2000) == SUPERBLOCK


@pytest.mark.parametrize("size", [1 << log for log in range(12, 21)])
def test_block_sizes_that_the_format_has(size: int) -> None:
    check_block_size(size)


@pytest.mark.parametrize("size", [0, 1, 2048, 4095, 4097, 100_000, 1 << 21, -4096])
def test_block_sizes_that_it_has_not(size: int) -> None:
    with pytest.raises(ValueError, match=f"squashfs has no block size of {size} bytes"):
        check_block_size(size)
