from __future__ import annotations

import hashlib

from hypothesis import given
from hypothesis import strategies as st

from sealift.packs.contents import Contents


@given(st.lists(st.integers(0, 3000), max_size=4000))
def test_like_a_dictionary(values: list[int]) -> None:
    digests = [hashlib.sha256(b"%d" % value).digest() for value in values]
    contents, known = Contents(digests.__getitem__), dict[bytes, int]()
    for number, digest in enumerate(digests):
        assert contents.setdefault(digest, number) == known.setdefault(digest, number)


def test_many() -> None:
    digests = [hashlib.sha256(b"%d" % value).digest() for value in range(20_000)]
    contents = Contents(digests.__getitem__)
    assert [contents.setdefault(digest, number) for number, digest in enumerate(digests)] == list(range(20_000))
    assert [contents.setdefault(digest, 0) for digest in digests] == list(range(20_000))
