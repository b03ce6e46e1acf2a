"""A layer made of the difference of two trees gives the one on top of the other, and no more than it must."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealift.core.tree import Tree
from sealift.packs.difference import Difference, difference
from sealift.packs.layerstream import layer_stream
from sealift.packs.merge import Merged, merge
from sealift.packs.treedigest import listing
from tests.packs.layers import file, folder, hard_link, pack, symlink, tar, whiteout
from tests.packs.traps import LATER, LOOKING_DOWN, TRAPS, Stack

STACKS = TRAPS | LOOKING_DOWN


def merged(tmp_path: Path, stack: Stack) -> Merged:
    tmp_path.mkdir(parents=True, exist_ok=True)
    packs = [pack(tmp_path, tar(layer), f"{number}.pack") for number, layer in enumerate(stack)]
    return merge(packs, base_count=len(packs))


def layer(older: Tree | None, newer: Merged) -> bytes:
    return b"".join(layer_stream(newer, difference(older, newer.tree), mtime=LATER))


def lines(tree: Tree) -> list[bytes]:
    return list(listing(tree))


def names(stream: bytes) -> list[str]:
    with tarfile.open(fileobj=io.BytesIO(stream)) as archive:
        return [f"{member.name} -> {member.linkname}" if member.islnk() else member.name for member in archive]


@pytest.mark.parametrize("name", STACKS)
def test_a_whole_tree_as_one_layer_is_the_same_tree(tmp_path, name):
    newer = merged(tmp_path / "stack", STACKS[name])
    again = merge([pack(tmp_path, layer(None, newer))], base_count=1)
    assert lines(again.tree) == lines(newer.tree)


@pytest.mark.parametrize("name", STACKS)
def test_the_difference_on_top_of_the_first_layer_gives_the_stack(tmp_path, name):
    newer = merged(tmp_path / "stack", STACKS[name])
    base = merged(tmp_path / "base", STACKS[name][:1])
    ours = pack(tmp_path, layer(base.tree, newer))
    assert lines(merge([*base.packs, ours], base_count=1).tree) == lines(newer.tree)


@pytest.mark.parametrize("name", STACKS)
def test_the_difference_leads_back_from_the_stack_to_its_first_layer(tmp_path, name):
    newer = merged(tmp_path / "base", STACKS[name][:1])
    base = merged(tmp_path / "stack", STACKS[name])
    ours = pack(tmp_path, layer(base.tree, newer))
    assert lines(merge([*base.packs, ours], base_count=1).tree) == lines(newer.tree)


@pytest.mark.parametrize("name", STACKS)
def test_equal_trees_give_an_empty_layer(tmp_path, name):
    newer = merged(tmp_path / "stack", STACKS[name])
    found = difference(newer.tree, newer.tree)
    assert (list(found.rows), found.gone) == ([], ())
    assert layer(newer.tree, newer) == bytes(1024)


BASE: Stack = [
    [
        folder("d"),
        file("d/a", b"one"),
        hard_link("d/b", "d/a"),
        hard_link("d/c", "d/a"),
        folder("e"),
        folder("e/deep"),
        file("e/deep/x", b"x"),
        file("e/y", b"y"),
        file("f", b"f"),
    ]
]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ([file("f", b"f")], []),
        ([folder("e", mtime=LATER)], [".", "e"]),
        ([file("f", b"g")], [".", "f"]),
        ([file("f", b"f", mode=0o600)], [".", "f"]),
        ([whiteout("e")], [".", ".wh.e"]),
        ([whiteout("e/deep")], [".", "e", "e/.wh.deep"]),
        ([whiteout("e/deep"), whiteout("e/y")], [".", "e", "e/.wh.deep", "e/.wh.y"]),
        ([file("e", b"no folder")], [".", "e"]),
        ([whiteout("d/a")], [".", "d", "d/.wh.a"]),
        ([file("d/a", b"one")], [".", "d", "d/a"]),
        ([file("d/b", b"two")], [".", "d", "d/b"]),
        ([hard_link("g", "d/a")], [".", "d", "d/a", "d/b -> d/a", "d/c -> d/a", "g -> d/a"]),
        ([file("d/a", b"one"), hard_link("d/b", "d/a")], [".", "d", "d/c"]),
        ([whiteout("d/b"), file("d/c", b"one")], [".", "d", "d/.wh.b", "d/c"]),
        ([symlink("f", "e")], [".", "f"]),
    ],
)
def test_a_layer_lists_what_changed_its_folders_and_whole_link_groups(tmp_path, change, expected):
    base = merged(tmp_path / "base", BASE)
    newer = merged(tmp_path / "newer", [*BASE, change])
    assert names(layer(base.tree, newer)) == expected


def test_of_a_file_that_became_two_the_first_stays_where_it_is(tmp_path):
    base = merged(tmp_path / "base", [[file("a", b"1"), hard_link("b", "a")]])
    newer = merged(tmp_path / "newer", [[file("a", b"1"), file("b", b"1")]])
    assert difference(base.tree, newer.tree).gone == ()
    assert names(layer(base.tree, newer)) == [".", "b"]


PATHS = ["a", "b", "d", "d/a", "d/b", "d/d", "d/d/a", "é"]


@st.composite
def trees(draw: st.DrawFn) -> Stack:
    """One layer of files, folders, links to either, and further names, over a few paths."""
    parts = []
    kinds: dict[str, str] = {}
    for path in sorted(draw(st.sets(st.sampled_from(PATHS)))):
        parent = path.rpartition("/")[0]
        if parent and kinds.get(parent) != "folder":
            continue
        files = [other for other, kind in kinds.items() if kind == "file"]
        kind = draw(st.sampled_from(["file", "folder", "link", *(["twin"] if files else [])]))
        kinds[path] = "file" if kind == "twin" else kind
        mode = draw(st.sampled_from([0o600, 0o755]))
        match kind:
            case "file":
                parts.append(file(path, draw(st.sampled_from([b"", b"x", bytes(5000)])), mode=mode))
            case "folder":
                parts.append(folder(path, mode=mode))
            case "link":
                parts.append(symlink(path, "a"))
            case _:
                parts.append(hard_link(path, draw(st.sampled_from(files)), mode=0o644))
    return [parts]


@settings(deadline=None, max_examples=150)
@given(older=trees(), newer=trees())
def test_any_tree_becomes_any_other(tmp_path_factory, older, newer):
    tmp_path = tmp_path_factory.mktemp("trees")
    base, wanted = merged(tmp_path / "older", older), merged(tmp_path / "newer", newer)
    ours = pack(tmp_path, layer(base.tree, wanted))
    found = merge([*base.packs, ours], base_count=1)
    try:
        assert lines(found.tree) == lines(wanted.tree)
    finally:
        for one in (*base.packs, *wanted.packs, ours):
            one.close()


def test_without_a_tree_below_all_rows_count(tmp_path):
    newer = merged(tmp_path, BASE)
    found = difference(None, newer.tree)
    assert isinstance(found, Difference)
    assert list(found.rows) == list(range(len(newer.tree)))
