from __future__ import annotations

import hashlib
import stat
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealift.core.tree import Entry, tree_of
from sealift.packs.treedigest import listing, tree_digest

X = hashlib.sha256(b"x").digest()

ENTRIES = [
    Entry(path=b"", mode=stat.S_IFDIR | 0o755),
    Entry(path=b"a", mode=stat.S_IFREG | 0o4755, uid=1, gid=2, mtime=3, size=1, digest=X, group=7),
    Entry(path=b"b", mode=stat.S_IFREG | 0o4755, uid=1, gid=2, mtime=3, size=1, digest=X, group=7),
    Entry(path=b"c", mode=stat.S_IFCHR | 0o600, rdev=(259 << 8) | 1 | (1 << 20)),
    Entry(path=b"d", mode=stat.S_IFDIR | 0o1777, xattrs=((b"trusted.overlay.opaque", b"y"), (b"user.n", b"v w"))),
    Entry(path=b"d/alone", mode=stat.S_IFREG | 0o644, group=9),
    Entry(path=b"l", mode=stat.S_IFLNK | 0o777, link=b"to\n"),
    Entry(path=b"n\xff", mode=stat.S_IFIFO | 0o600),
]


def test_the_listing_byte_for_byte() -> None:
    assert list(listing(tree_of(ENTRIES))) == [
        b"\0d 755 0 0 0\n",
        b"a\0f 4755 1 2 3 1 " + X.hex().encode() + b" =1:a\n",
        b"b\0f 4755 1 2 3 1 " + X.hex().encode() + b" =1:a\n",
        b"c\0c 600 0 0 0 259 257\n",
        b"d\0d 1777 0 0 0 @6:user.n 3:v w\n",
        b"d/alone\0f 644 0 0 0 0 " + hashlib.sha256(b"").hexdigest().encode() + b"\n",
        b"l\0l 777 0 0 0 3:to\n\n",
        b"n\xff\0p 600 0 0 0\n",
    ]


def test_the_digest_is_that_of_the_listing() -> None:
    whole = b"".join(listing(tree_of(ENTRIES)))
    assert tree_digest(tree_of(ENTRIES)) == "sha256:" + hashlib.sha256(whole).hexdigest()


CHANGES = [
    (1, {"mode": stat.S_IFREG | 0o755}), (1, {"uid": 9}), (1, {"gid": 9}), (1, {"mtime": 9}), (1, {"size": 2}),
    (1, {"digest": hashlib.sha256(b"y").digest()}), (2, {"group": 0}), (3, {"rdev": 5}), (4, {"xattrs": ()}),
    (4, {"xattrs": ((b"user.n", b"other"),)}), (6, {"link": b"else"}), (7, {"path": b"nn"}),
    (7, {"mode": stat.S_IFDIR | 0o600}),
]  # fmt: skip


@pytest.mark.parametrize(("row", "change"), CHANGES)
def test_every_field_counts(row: int, change: dict[str, object]) -> None:
    changed = list(ENTRIES)
    changed[row] = replace(changed[row], **change)  # type: ignore[arg-type]
    assert tree_digest(tree_of(changed)) != tree_digest(tree_of(ENTRIES))


def test_what_does_not_count() -> None:
    """Sizes of directories, numbers of groups, a group of one name, overlay's own attributes, an unknown empty file."""
    other = list(ENTRIES)
    other[0] = replace(other[0], size=4096)
    other[1], other[2] = replace(other[1], group=1), replace(other[2], group=1)
    other[4] = replace(other[4], xattrs=((b"user.n", b"v w"), (b"user.overlay.origin", b"x")))
    other[5] = replace(other[5], group=0, digest=hashlib.sha256(b"").digest())
    assert tree_digest(tree_of(other)) == tree_digest(tree_of(ENTRIES))


def test_an_unknown_content_has_no_digest() -> None:
    tree = tree_of([ENTRIES[0], Entry(path=b"a", mode=stat.S_IFREG, size=1)])
    with pytest.raises(ValueError, match="/a is not known"):
        tree_digest(tree)


attributes = st.dictionaries(st.binary(max_size=6), st.binary(max_size=6), max_size=2)
pairs = attributes.map(lambda found: tuple(sorted(found.items())))


@given(pairs, pairs, st.binary(min_size=1, max_size=6), st.binary(min_size=1, max_size=6))
def test_unequal_trees_have_unequal_listings(one: tuple, other: tuple, link: bytes, target: bytes) -> None:  # type: ignore[type-arg]
    trees = [
        [ENTRIES[0], Entry(path=b"l", mode=stat.S_IFLNK, link=text, xattrs=own)]
        for text, own in ((link, one), (target, other))
    ]
    same = list(listing(tree_of(trees[0]))) == list(listing(tree_of(trees[1])))
    assert same == ((link, one) == (target, other))
