from __future__ import annotations

import pytest

from sealift.squashfs.placement import NO_FRAGMENT, block_count


@pytest.mark.parametrize(
    ("size", "fragment", "count"),
    [
        (0, NO_FRAGMENT, 0),
        (1, NO_FRAGMENT, 1),
        (4096, NO_FRAGMENT, 1),
        (4097, NO_FRAGMENT, 2),
        (1, 0, 0),
        (4097, 7, 1),
        (1 << 40, NO_FRAGMENT, 1 << 28),
    ],
)
def test_blocks_are_counted(size: int, fragment: int, count: int) -> None:
    assert block_count(size, fragment, 4096) == count
