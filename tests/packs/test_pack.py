from __future__ import annotations

import gzip
import io
import os
import tarfile
from array import array
from pathlib import Path

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from sealift.core.tree import Entry, TreeBuilder
from sealift.errors import ImageError, StoreError
from sealift.packs.index import (
    FOOTER_SIZE,
    Footer,
    Index,
    LowerLink,
    decode_footer,
    decode_index,
    encode_footer,
    encode_index,
)
from sealift.packs.options import PackOptions
from sealift.packs.pack import open_pack
from sealift.packs.tarlayer import pack_tar
from sealift.squashfs.compression import parse_compression
from sealift.squashfs.placement import Fragments, Placement
from tests.packs.layers import OPTIONS, POOL, entries, file, folder, hard_link, pack, tar, whiteout
from tests.packs.test_image import MIXED


def test_a_pack_reads_back_what_the_layer_had(tmp_path: Path) -> None:
    found = pack(tmp_path, tar(MIXED))
    wanted = {info.name.encode(): data for info, data in MIXED if info.isreg()}
    for path, data in wanted.items():
        row = found.tree.find(path)
        assert row is not None
        assert b"".join(found.read(row)) == data
    found.verify()


@pytest.mark.parametrize("options", [OPTIONS, PackOptions(), PackOptions(compression=parse_compression("gzip:1"))])
def test_the_same_layer_gives_the_same_pack_however_it_came(tmp_path: Path, options: PackOptions) -> None:
    plain = tar([*MIXED, *(file(f"n/{n}", b"%d" % n * n) for n in range(500))])
    forms = {
        "plain": plain,
        "gzip": gzip.compress(plain),
        "members": gzip.compress(plain[:5000]) + gzip.compress(plain[5000:]),
        "zstd": zstandard.compress(plain),
        "gnu": tar([*MIXED, *(file(f"n/{n}", b"%d" % n * n) for n in range(500))], tarfile.GNU_FORMAT),
    }
    packs = set()
    for name, stream in forms.items():
        pack(tmp_path, stream, name, options).close()
        packs.add((tmp_path / name).read_bytes())
    assert len(packs) == 1


def test_the_stream_is_read_to_its_end(tmp_path: Path) -> None:
    """Whoever checks digests below must have seen every byte, padding included."""
    stream = io.BytesIO(gzip.compress(tar([file("a", b"a")]) + bytes(100_000)))
    with (tmp_path / "pack").open("w+b") as target:
        pack_tar(stream, target, options=OPTIONS, pool=POOL)
    assert stream.read() == b""


def test_aufs_files_are_no_part_of_a_layer(tmp_path: Path) -> None:
    stream = tar(
        [
            folder(".wh..wh.plnk"),
            file(".wh..wh.plnk/1.2", b"shared"),
            file(".wh..wh.aufs", b""),
            hard_link("a", ".wh..wh.plnk/1.2"),
            hard_link("b", ".wh..wh.plnk/1.2"),
        ]
    )
    found = entries(pack(tmp_path, stream).tree)
    assert list(found) == [b"", b"a", b"b"]
    assert found[b"a"].group == found[b"b"].group == 1
    assert found[b"a"].size == 6


def test_overlay_attributes_of_a_layer_are_dropped(tmp_path: Path) -> None:
    attributes = {"trusted.overlay.opaque": b"y", "user.overlay.origin": b"x", "user.mine": b"1", "system.other": b"2"}
    found = entries(pack(tmp_path, tar([folder("d", xattrs=attributes)])).tree)
    assert found[b"d"].xattrs == ((b"user.mine", b"1"),)


@pytest.mark.parametrize("part", [whiteout(""), whiteout("d/"), file(".wh..", b""), file("d/.wh...", b"")])
def test_whiteouts_that_name_nothing(tmp_path: Path, part: tuple[tarfile.TarInfo, bytes]) -> None:
    with pytest.raises(ImageError, match="names no file"):
        pack(tmp_path, tar([part]))


def test_a_hard_link_to_a_directory(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="points to the directory"):
        pack(tmp_path, tar([folder("d"), hard_link("h", "d")]))


def test_every_cut_and_every_flipped_end_is_noticed(tmp_path: Path) -> None:
    pack(tmp_path, tar(MIXED), "whole").close()
    whole = (tmp_path / "whole").read_bytes()
    damaged = tmp_path / "damaged"
    index_start = decode_footer(whole[-FOOTER_SIZE:]).index_offset
    for length in [0, 1, 79, 80, 96, 5000, index_start, len(whole) - 81, len(whole) - 1]:
        damaged.write_bytes(whole[:length])
        with pytest.raises(StoreError):
            open_pack(damaged)
    for at in range(index_start, len(whole), 7):
        damaged.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(StoreError):
            open_pack(damaged)
    damaged.write_bytes(whole[:200] + b"?" + whole[201:])
    with open_pack(damaged) as opened, pytest.raises(StoreError, match="is damaged"):
        opened.verify()
    with pytest.raises(StoreError):
        open_pack(tmp_path / "not there")


def test_opening_leaves_no_descriptor_behind(tmp_path: Path) -> None:
    pack(tmp_path, tar(MIXED), "whole").close()
    (tmp_path / "damaged").write_bytes((tmp_path / "whole").read_bytes()[:-1])
    before = len(os.listdir("/proc/self/fd"))
    with open_pack(tmp_path / "whole"):
        pass
    with pytest.raises(StoreError):
        open_pack(tmp_path / "damaged")
    assert len(os.listdir("/proc/self/fd")) == before


names = st.lists(st.binary(min_size=1, max_size=5).map(lambda name: name.translate(None, b"/\0") or b"x"), max_size=3)
numbers = st.integers(0, 2**32 - 1)
rows = st.builds(
    Entry,
    path=names.map(b"/".join),
    mode=numbers,
    uid=numbers,
    gid=numbers,
    mtime=numbers,
    rdev=st.integers(0, 2**64 - 1),
    size=st.integers(0, 2**64 - 1),
    link=st.binary(max_size=5),
    group=numbers,
    xattrs=st.lists(st.tuples(st.binary(max_size=4), st.binary(max_size=4)), max_size=2).map(tuple),
    digest=st.binary(min_size=32, max_size=32),
)


@given(st.lists(rows, max_size=8), st.data())
def test_index_round_trip(some: list[Entry], data: st.DataObject) -> None:
    builder = TreeBuilder()
    for row in some:
        builder.add(row)
    tree = builder.finish()

    def column(code: str, count: int) -> array[int]:
        limit = 2 ** (8 * array(code).itemsize) - 1
        return array(code, data.draw(st.lists(st.integers(0, limit), min_size=count, max_size=count)))

    count = len(tree)
    index = Index(
        tree=tree,
        placement=Placement(
            starts=column("Q", count),
            firsts=column("Q", count),
            blocks=column("I", 3),
            fragments=column("I", count),
            offsets=column("I", count),
        ),
        fragments=Fragments(starts=column("Q", 2), sizes=column("I", 2)),
        fragment_plain=column("I", 2),
        torn=(1, 0),
        flags=column("B", count),
        lower_links=tuple(LowerLink(path=row.path, target=row.link) for row in some[:2]),
    )
    encoded = b"".join(encode_index(index))
    assert decode_index(io.BytesIO(encoded).read) == index
    for broken in (*(encoded[:cut] for cut in (0, 10, len(encoded) // 2, len(encoded) - 1)), encoded + b" "):
        with pytest.raises(StoreError):
            decode_index(io.BytesIO(broken).read)


@given(st.integers(0, 2**64 - 1), numbers)
def test_footer_round_trip(large: int, small: int) -> None:
    footer = Footer(
        index_offset=large,
        index_length=large,
        index_crc=small,
        data_end=large,
        data_crc=small,
        block_size=small,
        compressor=small,
    )
    encoded = encode_footer(footer)
    assert decode_footer(encoded) == footer
    with pytest.raises(StoreError):
        decode_footer(encoded[:-1] + bytes([encoded[-1] ^ 1]))
