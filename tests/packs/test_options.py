from __future__ import annotations

import pytest

from sealift.errors import UsageError
from sealift.packs.options import PACKER_VERSION, PackOptions
from sealift.squashfs.compression import parse_compression


def test_the_identity_names_all_that_decides_bytes() -> None:
    options = PackOptions(compression=parse_compression("zstd:5"), block_size=65536)
    assert options.identity == f"pack:{PACKER_VERSION} {options.compression.identity} block:65536"
    others = [
        PackOptions(compression=parse_compression("zstd:6"), block_size=65536),
        PackOptions(compression=parse_compression("zstd:5"), block_size=131072),
        PackOptions(compression=parse_compression("gzip:5"), block_size=65536),
    ]
    assert len({one.identity for one in (options, *others)}) == 4


@pytest.mark.parametrize("size", [0, 1, 2048, 5000, 100_000, 2 << 20, -4096])
def test_blocks_that_squashfs_does_not_have(size: int) -> None:
    with pytest.raises(UsageError, match=f"`{size}` bytes"):
        PackOptions(block_size=size)


@pytest.mark.parametrize("size", [4096, 131072, 1 << 20])
def test_blocks_that_squashfs_has(size: int) -> None:
    assert PackOptions(block_size=size).block_size == size
