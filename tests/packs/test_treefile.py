from __future__ import annotations

import io
from dataclasses import astuple
from pathlib import Path

import pytest

from sealift.errors import ImageError
from sealift.packs.treefile import TREE_FILE, TreeFile, read_tree_file, write_tree_file
from tests.packs.directories import kept, merged, write
from tests.packs.layers import entries


def encoded(value: TreeFile) -> bytes:
    out = io.BytesIO()
    write_tree_file(out, value)
    return out.getvalue()


@pytest.fixture
def value(tmp_path: Path) -> TreeFile:
    write(merged(tmp_path), tmp_path / "root", as_root=False)
    return kept(tmp_path / "root")


def test_what_is_written_is_read(value: TreeFile) -> None:
    notes = {"tree_digest": "sha256:0", "layers": [{"name": "ä", "size": 2**40}], "epoch": 0}
    data = encoded(TreeFile(tree=value.tree, disk=value.disk, notes=notes))
    read = read_tree_file(io.BytesIO(data))
    assert entries(read.tree) == entries(value.tree)
    assert astuple(read.disk) == astuple(value.disk)
    assert read.notes == notes
    assert encoded(read) == data


@pytest.mark.parametrize("at", [0, 7, 12, 16, 30, 100, -1])
def test_a_changed_byte_is_noticed(value: TreeFile, at: int) -> None:
    data = bytearray(encoded(value))
    data[at] ^= 0x40
    with pytest.raises(ImageError):
        read_tree_file(io.BytesIO(data))


@pytest.mark.parametrize("length", [0, 8, 16, 17, 100])
def test_a_cut_one_is_damaged(value: TreeFile, length: int) -> None:
    with pytest.raises(ImageError, match="damaged"):
        read_tree_file(io.BytesIO(encoded(value)[:length]))


def test_another_version(value: TreeFile) -> None:
    data = bytearray(encoded(value))
    data[8] = 9
    with pytest.raises(ImageError, match="has version 9, and this Sealift reads 1"):
        read_tree_file(io.BytesIO(data))


def test_where_it_lies(tmp_path: Path) -> None:
    write(merged(tmp_path), tmp_path / "root", as_root=False)
    place = tmp_path / "root" / TREE_FILE.decode()
    assert place.stat().st_mode & 0o777 == 0o644
