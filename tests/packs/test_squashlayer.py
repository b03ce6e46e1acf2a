from __future__ import annotations

import io
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from sealift.errors import ImageError
from sealift.packs.merge import merge
from sealift.packs.options import PackOptions
from sealift.packs.pack import open_pack
from sealift.packs.squashlayer import pack_squashfs
from sealift.squashfs.compression import parse_compression
from sealift.squashfs.reader import SquashfsReader
from tests.ground.listing import full_listing
from tests.packs.layers import OPTIONS, POOL, contents, entries, file, folder, pack, symlink, tar
from tests.packs.test_image import MIXED, image, noise, written


def test_an_image_packed_again_gives_the_same_image(tmp_path: Path) -> None:
    first = pack(tmp_path, tar([*MIXED, file("large", noise(1, 9 << 20), xattrs={"user.a": b"b"})]))
    data = image([first], 0)
    with (tmp_path / "again").open("w+b") as target:
        pack_squashfs(SquashfsReader(io.BytesIO(data)), target, options=OPTIONS, pool=POOL)
    again = merge([open_pack(tmp_path / "again")], base_count=0)
    assert entries(again.tree) == entries(first.tree)
    assert written(again) == data


@pytest.mark.slow
@pytest.mark.needs("root", "mksquashfs")
@pytest.mark.parametrize("how", ["gzip", "xz", "zstd"])
def test_images_that_mksquashfs_made(tmp_path: Path, how: str) -> None:
    root = tmp_path / "root"
    (root / "d").mkdir(parents=True)
    (root / "d" / "f").write_bytes(noise(1, 300_000) + bytes(400_000) + b"tail")
    (root / "g").write_bytes(b"small")
    (root / "h").hardlink_to(root / "g")
    (root / "s").symlink_to("g")
    subprocess.run(
        ["mksquashfs", root, tmp_path / "image", "-comp", how, "-b", "64K", "-noappend", "-quiet", "-no-progress"],
        check=True,
    )
    options = PackOptions(compression=parse_compression("zstd:1"), block_size=1 << 20)
    with (tmp_path / "image").open("rb") as file, (tmp_path / "pack").open("w+b") as target:
        pack_squashfs(SquashfsReader(file), target, options=options, pool=POOL)
    merged = merge([open_pack(tmp_path / "pack")], base_count=1)
    assert entries(merged.tree) == full_listing(root)
    assert contents(merged)[b"d/f"] == (root / "d" / "f").read_bytes()


def test_a_cut_image_is_an_error(tmp_path: Path) -> None:
    data = bytearray(image([pack(tmp_path, tar([folder("d"), file("d/x", noise(1, 50_000)), symlink("s", "d")]))], 0))
    data[5000:5100] = bytes(100)
    reader = SquashfsReader(io.BytesIO(bytes(data)))
    tree, placement, _fragments = reader.tree()
    row = tree.find(b"d/x")
    assert row is not None
    damaged = b"".join(reader.row_data(tree, placement, row))
    assert damaged != noise(1, 50_000)  # stored blocks carry no checksum: squashfs cannot tell
    zstd = bytearray(image([pack(tmp_path, tar([file("t", b"some text, again and again. " * 3000)]))], 0))
    zstd[96:140] = b"\xff" * 44
    with (tmp_path / "x").open("w+b") as target, pytest.raises(ImageError):
        pack_squashfs(SquashfsReader(io.BytesIO(bytes(zstd))), target, options=OPTIONS, pool=POOL)


def test_hard_link_groups_survive(tmp_path: Path) -> None:
    first = pack(tmp_path, tar(MIXED))
    with (tmp_path / "again").open("w+b") as target:
        pack_squashfs(SquashfsReader(io.BytesIO(image([first], 1))), target, options=OPTIONS, pool=POOL)
    again = entries(open_pack(tmp_path / "again").tree)
    assert again[b"f"].group == again[b"d/large"].group == 1
    assert replace(again[b"f"], path=b"") == replace(again[b"d/large"], path=b"")
