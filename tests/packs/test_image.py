from __future__ import annotations

import io
import itertools
import os
import random
import stat
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sealift.errors import ImageError, StoreError
from sealift.packs.image import write_image
from sealift.packs.merge import Merged, merge
from sealift.packs.options import PackOptions
from sealift.packs.pack import Pack
from sealift.packs.tails import cut_before
from sealift.squashfs.compression import parse_compression
from sealift.squashfs.reader import SquashfsReader
from tests.ground.listing import full_listing
from tests.packs.layers import (
    OPTIONS,
    POOL,
    Part,
    contents,
    entries,
    file,
    folder,
    hard_link,
    pack,
    symlink,
    tar,
    whiteout,
)
from tests.packs.test_merge import stacks
from tests.packs.traps import LOOKING_DOWN, TRAPS, Stack

BLOCK = OPTIONS.block_size


def noise(seed: int, size: int) -> bytes:
    return random.Random(seed).randbytes(size)


def text(seed: int, size: int) -> bytes:
    return (b"line %d of something\n" % seed * (size // 10))[:size]


def image(packs: Sequence[Pack], base_count: int, *, base_offset: int = 0, **more: object) -> bytes:
    """The bytes of the image, written at `base_offset` of a file."""
    return written(merge(packs, base_count=base_count), base_offset=base_offset, **more)


def written(merged: Merged, *, base_offset: int = 0, **more: object) -> bytes:
    path = Path(merged.packs[0].path).with_suffix(f".{base_offset}.image")
    with path.open("w+b") as out:
        used = write_image(
            merged, out, base_offset=base_offset, options=OPTIONS, mtime=7, pool=POOL, **more  # type: ignore[arg-type]
        )  # fmt: skip
    data = path.read_bytes()
    path.unlink()
    assert len(data) == base_offset + used + -used % 4096
    assert data[:base_offset] == bytes(base_offset)
    return data[base_offset:]


def read(data: bytes) -> tuple[dict[bytes, object], dict[bytes, bytes]]:
    """Tree without digests, and contents, by our own reader."""
    reader = SquashfsReader(io.BytesIO(data))
    tree, placement, _fragments = reader.tree()
    files = {
        path: b"".join(reader.row_data(tree, placement, row))
        for row, path in enumerate(tree.paths)
        if stat.S_ISREG(tree.modes[row])
    }
    return {one.path: one for one in tree.entries()}, files


def plain_blocks(data: bytes) -> bytes:
    """Everything that the data area of an image holds, decompressed."""
    reader = SquashfsReader(io.BytesIO(data))
    tree, placement, fragments = reader.tree()
    plain = [reader.fragment(number) for number in range(len(fragments.starts))]
    for row in range(len(tree)):
        if stat.S_ISREG(tree.modes[row]):
            plain += reader.row_data(tree, placement, row)
    return b"".join(plain)


def packs_of(tmp_path: Path, stack: Stack) -> list[Pack]:
    return [pack(tmp_path, tar(layer)) for layer in stack]


MIXED: list[Part] = [
    folder("d"),
    file("d/small", text(1, 100)),
    file("d/block", text(2, BLOCK)),
    file("d/block and more", text(3, BLOCK + 1)),
    file("d/large", text(4, 10 * BLOCK + 17)),
    file("d/noise", noise(5, 3 * BLOCK + 5)),
    file("d/small noise", noise(6, 1000)),
    file("d/zeros", bytes(5 * BLOCK)),
    file("d/holes", text(7, BLOCK) + bytes(2 * BLOCK) + text(8, 50)),
    file("d/empty", b""),
    file("e", text(1, 100)),
    hard_link("f", "d/large"),
    symlink("s", "d/large"),
]


@pytest.mark.parametrize("base_count", [0, 1])
@pytest.mark.parametrize("base_offset", [0, 4096, 12345 * 4096])
def test_an_image_holds_the_merged_tree(tmp_path: Path, base_count: int, base_offset: int) -> None:
    packs = packs_of(tmp_path, [MIXED, [file("d/large", text(9, 3 * BLOCK)), whiteout("d/block"), file("g", b"new")]])
    merged = merge(packs, base_count=base_count)
    found, files = read(image(packs, base_count, base_offset=base_offset))
    assert files == contents(merged)
    expected = {path: replace(one, digest=bytes(32)) for path, one in entries(merged.tree).items()}
    assert found == expected


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(stack=stacks(), base=st.integers(0, 4))
def test_images_of_random_layers(tmp_path_factory: pytest.TempPathFactory, stack: Stack, base: int) -> None:
    packs = packs_of(tmp_path_factory.mktemp("packs"), stack)
    merged = merge(packs, base_count=min(base, len(packs)))
    assert read(written(merged))[1] == contents(merged)
    for one in packs:
        one.close()


def test_twice_is_the_same_whatever_the_threads(tmp_path: Path) -> None:
    stack = [MIXED, [file(f"x/{n}", noise(n, n * 37 % 3000)) for n in range(300)], [whiteout("x/7"), file("x/8", b"")]]
    first = image(packs_of(tmp_path, stack), 1)
    with ThreadPoolExecutor(7) as pool:
        path = tmp_path / "again"
        with path.open("w+b") as out:
            write_image(
                merge(packs_of(tmp_path, stack), base_count=1), out, base_offset=0, options=OPTIONS, mtime=7, pool=pool
            )
        assert path.read_bytes() == first


# -- what is above the base -----------------------------------------------------------------------------------------


def split(files: Mapping[str, bytes], cuts: Sequence[int]) -> Stack:
    """The same files as one layer, or over several, some of them written, changed and deleted on the way."""
    names = sorted(files)
    bounds = [0, *sorted(cut % (len(names) + 1) for cut in cuts), len(names)]
    stack: Stack = []
    for number, (start, end) in enumerate(itertools.pairwise(bounds)):
        layer = [folder("w"), *(file(f"w/{name}", files[name]) for name in names[start:end])]
        layer += [file(f"w/{name}", b"not yet" + name.encode()) for name in names[end : end + 2]]
        layer.append(file(f"w/gone-{number}", noise(number, 5000)))
        if number:
            layer.append(whiteout(f"w/gone-{number - 1}"))
        stack.append(layer)
    stack.append([folder("w"), whiteout(f"w/gone-{len(bounds) - 2}")])
    return stack


FILES = {f"{n:03}": text(n, n * 53 % 6000) if n % 3 else noise(n, n * 31 % 9000) for n in range(150)}
FILES |= {"100 again": FILES["100"], "149 again": FILES["149"], "base": text(2, BLOCK), "small of base": text(1, 100)}


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(cuts=st.lists(st.integers(0, 200), max_size=4))
def test_the_bytes_do_not_depend_on_how_layers_were_split(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    tmp_path = tmp_path_factory.mktemp("packs")
    whole = image(packs_of(tmp_path, [MIXED, [folder("w"), *(file(f"w/{n}", d) for n, d in sorted(FILES.items()))]]), 1)
    packs = packs_of(tmp_path, [MIXED, *split(FILES, cuts)])
    assert image(packs, 1) == whole
    for one in packs:
        one.close()


class Kept(dict[str, bytes]):
    put = dict.__setitem__


def test_kept_fragments_change_nothing_but_the_work(tmp_path: Path) -> None:
    packs = packs_of(tmp_path, [MIXED, *split(FILES, [40, 80])])
    kept = Kept()
    plain = image(packs, 1)
    assert [image(packs, 1, kept=kept), image(packs, 1, kept=kept)] == [plain, plain]
    assert kept
    assert all(len(key) == 64 for key in kept)
    changed = packs_of(tmp_path, [MIXED, *split(FILES | {"000": b"changed", "001": b""}, [40, 80])])
    before = set(kept)
    assert image(changed, 1, kept=kept) == image(changed, 1)
    assert len(set(kept) - before) < len(before) / 3  # the cuts find back to where they were


def test_equal_files_are_stored_once(tmp_path: Path) -> None:
    large, small = noise(1, 20 * BLOCK), noise(2, BLOCK // 2)
    once = image(packs_of(tmp_path, [[file("a", large), file("b", small)]]), 1)
    several = [
        [[file("a", large), file("b", small)], [file("c", large), file("d", small)]],
        [[], [file("a", large), file("b", small), file("c", large), file("d", small)]],
        [[], [file("a", large), file("b", small)], [file("c", large), file("d", small)]],
    ]
    for stack in several:
        assert abs(len(image(packs_of(tmp_path, stack), 1)) - len(once)) <= 4096
    # Between layers of the base the small file is stored twice: its fragment is copied as it is.
    assert len(image(packs_of(tmp_path, several[0]), 2)) - len(once) <= 4096


# -- dead data ------------------------------------------------------------------------------------------------------

SECRET = b"-----BEGIN PRIVATE KEY-----" + bytes(range(48, 122)) * 3


@pytest.mark.parametrize("base_count", [0, 1, 2, 3])
@pytest.mark.parametrize("size", [0, 3 * BLOCK])
@pytest.mark.parametrize("how", ["deleted", "replaced", "hidden with its directory", "replaced in its own layer"])
def test_a_secret_that_a_later_layer_takes_away_is_in_no_block(
    tmp_path: Path, base_count: int, size: int, how: str
) -> None:
    secret = SECRET + noise(3, size)
    layer = [
        *MIXED,
        folder("root"),
        file("root/a", text(11, 50)),
        file("root/key", secret),
        file("root/z", text(12, 50)),
    ]
    take_away = {
        "deleted": [whiteout("root/key")],
        "replaced": [file("root/key", b"x")],
        "hidden with its directory": [whiteout("root")],
        "replaced in its own layer": [],
    }[how]
    own = [file("root/key", b"other")] if how == "replaced in its own layer" else []
    packs = packs_of(tmp_path, [[*layer, *own], take_away, [file("end", b"end")]])
    data = image(packs, base_count)
    assert SECRET not in plain_blocks(data)
    assert secret[-40:] not in data
    assert read(data)[1] == contents(merge(packs, base_count=base_count))
    present = image(packs_of(tmp_path, [layer]), base_count=min(base_count, 1))
    assert SECRET in plain_blocks(present)


def test_an_image_with_some_rows_taken_out(tmp_path: Path) -> None:
    packs = packs_of(tmp_path, [[*MIXED, file("key", SECRET)], [file("log", SECRET + b"2")]])
    merged = merge(packs, base_count=1)
    rows = [row for row, path in enumerate(merged.tree.paths) if path not in {b"key", b"log", b"f"}]
    data = written(merged.select(rows))
    assert SECRET not in plain_blocks(data)
    assert sorted(read(data)[0]) == sorted(merged.tree.paths[row] for row in rows)
    assert read(data)[0][b"d/large"].group == 0  # type: ignore[attr-defined]


# -- judges ---------------------------------------------------------------------------------------------------------


def _unsquashed(data: bytes, tmp_path: Path) -> Path:
    (tmp_path / "judged").write_bytes(data)
    subprocess.run(
        ["unsquashfs", "-quiet", "-no-progress", "-dest", tmp_path / "root", tmp_path / "judged"], check=True
    )
    return tmp_path / "root"


@pytest.mark.slow
@pytest.mark.needs("root", "unsquashfs")
@pytest.mark.parametrize("name", TRAPS | LOOKING_DOWN)
def test_unsquashfs_gives_back_the_tree(
    tmp_path: Path, kernel_mount: Callable[..., AbstractContextManager[Path]], name: str
) -> None:
    packs = packs_of(tmp_path, (TRAPS | LOOKING_DOWN)[name])
    merged = merge(packs, base_count=1)
    expected = entries(merged.tree)
    data = image(packs, 1)
    assert full_listing(_unsquashed(data, tmp_path)) == expected
    with kernel_mount(tmp_path / "judged") as root:
        assert full_listing(root) == expected


@pytest.mark.slow
@pytest.mark.needs("root", "unsquashfs")
def test_the_kernel_reads_contents_of_every_shape(
    tmp_path: Path, kernel_mount: Callable[..., AbstractContextManager[Path]]
) -> None:
    packs = packs_of(tmp_path, [MIXED, *split(FILES, [40, 80])])
    expected = entries(merge(packs, base_count=1).tree)
    data = image(packs, 1)
    assert full_listing(_unsquashed(data, tmp_path)) == expected
    with kernel_mount(tmp_path / "judged") as root:
        assert full_listing(root) == expected
        assert (root / "d" / "zeros").stat().st_blocks == 0


@pytest.mark.needs("root")
def test_a_pack_is_a_lower_layer_of_an_overlay(
    tmp_path: Path, kernel_mount: Callable[..., AbstractContextManager[Path]]
) -> None:
    lower = [folder("d"), file("d/a", b"a"), file("d/b", b"b"), folder("o"), file("o/x", b"x"), file("gone", b"")]
    upper = [folder("d"), whiteout("d/a"), file("d/c", b"c"), folder("o"), file("o/.wh..wh..opq"), whiteout("gone")]
    packs = packs_of(tmp_path, [lower, upper])
    target = tmp_path / "merged"
    target.mkdir()
    with kernel_mount(packs[0].path) as below, kernel_mount(packs[1].path) as above:
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", f"ro,lowerdir={above}:{below}", target], check=True)
        try:
            found = set(full_listing(target))
        finally:
            subprocess.run(["umount", target], check=True)
    assert found == set(merge(packs, base_count=2).tree.paths)


# -- refusals -------------------------------------------------------------------------------------------------------


def test_packs_of_different_making_do_not_merge(tmp_path: Path) -> None:
    other = PackOptions(compression=parse_compression("gzip:1"), block_size=BLOCK)
    packs = [pack(tmp_path, tar(MIXED)), pack(tmp_path, tar([]), options=other)]
    with pytest.raises(ImageError, match="one compressor"):
        merge(packs, base_count=1)


def test_a_hard_link_to_nothing(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="`/a` points to `/b`"):
        merge(packs_of(tmp_path, [[], [hard_link("a", "b")]]), base_count=1)


def test_a_pack_that_lost_its_data_is_an_error(tmp_path: Path) -> None:
    packs = packs_of(tmp_path, [MIXED])
    os.truncate(packs[0].path, 200)
    for base_count in (0, 1):
        with pytest.raises(StoreError):
            image(packs, base_count)


# -- the cuts -------------------------------------------------------------------------------------------------------


def test_cuts() -> None:
    cut, keep = bytes(32), b"\xff" * 32
    assert cut_before(4000, 97, keep, 4096)
    assert not cut_before(4000, 96, keep, 4096)
    assert cut_before(2049, 1, cut, 4096)
    assert not cut_before(2048, 1, cut, 4096)
