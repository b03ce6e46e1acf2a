from __future__ import annotations

import copy
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sealift.core.tree import Entry, sort_key
from sealift.packs.merge import merge
from tests.packs.layers import (
    Part,
    contents,
    entries,
    file,
    folder,
    hard_link,
    opaque,
    pack,
    symlink,
    tar,
    whiteout,
)
from tests.packs.model import Root
from tests.packs.traps import LOOKING_DOWN, TRAPS, Stack


def make(tmp_path: Path, stack: Stack) -> tuple[dict[bytes, Entry], dict[bytes, bytes]]:
    packs = [pack(tmp_path, tar(layer)) for layer in stack]
    merged = merge(packs, base_count=1)
    found = entries(merged.tree), contents(merged)
    assert list(merged.tree.paths) == sorted(merged.tree.paths, key=sort_key)
    for one in packs:
        one.close()
    return found


def make_by_model(stack: Stack) -> tuple[dict[bytes, Entry], dict[bytes, bytes]]:
    root = Root()
    for layer in stack:
        root.apply(layer)
    return root.entries(), root.contents()


ODD = {
    "extended attributes and capabilities",
    "devices and pipes",
    "names that are not UTF-8",
    "absolute and dotted names",
}
"""Traps of reading tar streams rather than of merging; the engines judge them."""


@pytest.mark.parametrize("name", [name for name in TRAPS | LOOKING_DOWN if name not in ODD])
def test_traps(tmp_path: Path, name: str) -> None:
    stack = (TRAPS | LOOKING_DOWN)[name]
    assert make(tmp_path, stack) == make_by_model(stack)


# -- random layers ------------------------------------------------------------------------------------------------

PATHS = [p for a in "abc" for p in (a, *(q for b in "abc" for q in (f"{a}/{b}", *(f"{a}/{b}/{c}" for c in "ab"))))]
TARGETS = ["a", "b", "c", "a/b", "../b", "/c", "b/c", "zz"]

paths = st.sampled_from(PATHS)
parts = st.one_of(
    st.builds(file, paths, st.sampled_from([b"", b"1", b"22" * 3000]), mode=st.sampled_from([0o644, 0o755])),
    st.builds(folder, paths, mode=st.sampled_from([0o700, 0o1777]), mtime=st.sampled_from([5, 6])),
    st.builds(symlink, paths, st.sampled_from(TARGETS)),
    st.builds(hard_link, paths, paths, mode=st.sampled_from([0o644, 0o755])),
    st.builds(whiteout, paths),
    st.builds(opaque, paths),
)


def _above(path: str) -> list[str]:
    """The directories above a path by its name."""
    names = path.split("/")
    return ["/".join(names[:depth]) for depth in range(1, len(names))]


def _lies_where_it_says(root: Root, path: str) -> bool:
    parent = path.rpartition("/")[0].encode()
    try:
        return root.real(parent, make=False) == parent
    except ValueError:
        return False


@st.composite
def stacks(draw: st.DrawFn) -> Stack:
    """Layers as tools write them: parents before children, each path once, nothing below what is no directory,
    whiteouts anywhere; and none that cannot be unpacked.
    """
    stack: Stack = []
    root = Root()
    for _number in range(draw(st.integers(1, 4))):
        chosen = {part[0].name: part for part in draw(st.lists(parts, max_size=9))}
        marks = [part for name, part in chosen.items() if ".wh." in name]
        layer = [part for _name, part in sorted(chosen.items(), key=lambda item: sort_key(item[0].encode()))]
        nodes = {part[0].name for part in layer if part not in marks and not part[0].isdir()}
        layer = [part for part in layer if part not in marks and not nodes.intersection(_above(part[0].name))]
        for mark in marks:
            if not nodes.intersection(_above(mark[0].name)):
                layer.insert(draw(st.integers(0, len(layer))), mark)
        if any(part[0].issym() for part in layer):
            # What goes through links of below while the layer makes links of its own depends on the order of entries.
            layer = [part for part in layer if _lies_where_it_says(root, part[0].name)]
        kept: list[Part] = []
        for part in layer:
            trial = copy.deepcopy(root)
            try:
                trial.apply([*kept, part])
            except ValueError:
                continue
            kept.append(part)
        root.apply(kept)
        stack.append(kept)
    return stack


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(stack=stacks())
def test_random_layers_merge_as_they_unpack(tmp_path_factory: pytest.TempPathFactory, stack: Stack) -> None:
    assert make(tmp_path_factory.mktemp("packs"), stack) == make_by_model(stack)
