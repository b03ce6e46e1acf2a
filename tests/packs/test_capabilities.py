"""File capabilities of a tree, found and left out."""

from __future__ import annotations

import stat

from sealift.core.tree import Entry, tree_of
from sealift.packs.capabilities import CAPABILITY, capabilities_of, without_capabilities

VALUE = b"\x01\0\0\x02" + bytes(16)


def file(path: bytes, *xattrs: tuple[bytes, bytes]) -> Entry:
    return Entry(path=path, mode=stat.S_IFREG | 0o755, xattrs=xattrs)


TREE = tree_of(
    [
        Entry(path=b"", mode=stat.S_IFDIR | 0o755),
        file(b"a", (CAPABILITY, VALUE), (b"user.note", b"1")),
        file(b"b", (b"user.note", b"1")),
        file(b"c"),
        file(b"d", (CAPABILITY, VALUE)),
    ]
)


def test_they_are_found_by_row() -> None:
    assert capabilities_of(TREE) == {1: VALUE, 4: VALUE}
    assert capabilities_of(tree_of([file(b"c")])) == {}


def test_they_are_left_out_and_all_else_stays() -> None:
    left = without_capabilities(TREE)
    assert capabilities_of(left) == {}
    assert [left.entry(row).xattrs for row in range(len(left))] == [
        (),
        ((b"user.note", b"1"),),
        ((b"user.note", b"1"),),
        (),
        (),
    ]
