"""The reader on what mksquashfs, Apptainer's packer, and this package's writer make, and on hostile bytes."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import stat
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sealift.core.tree import NO_DIGEST, Entry
from sealift.errors import ImageError
from sealift.sections.squashfsroot import SquashfsRoot
from sealift.squashfs.layout import SUPERBLOCK, Superblock, parse_superblock
from sealift.squashfs.reader import SquashfsReader
from tests.ground.listing import full_listing
from tests.squashfs.laying import ZSTD, whole_entries, write_image
from tests.squashfs.samples import BLOCK_SIZE, Sample, everything, file, folder, large_directories, samples


def entries_of(reader: SquashfsReader) -> dict[bytes, Entry]:
    """What the reader says of everything, with the digests of what it reads."""
    tree, placement, _ = reader.tree()
    found = {}
    for row, (path, entry) in enumerate(whole_entries(tree).items()):
        if entry.is_file:
            digest = hashlib.sha256()
            for piece in reader.row_data(tree, placement, row):
                digest.update(piece)
            entry = replace(entry, digest=digest.digest())  # noqa: PLW2901
        found[path] = entry
    return found


@pytest.mark.parametrize("sample", [everything, large_directories])
@pytest.mark.parametrize("compression", ["zstd:3", "gzip:9"])
def test_what_was_written_is_read(sample: object, compression: str) -> None:
    from sealift.squashfs.compression import parse_compression

    entries, contents = sample()  # type: ignore[operator]
    out = io.BytesIO()
    tree = write_image(
        out, entries, contents, compression=parse_compression(compression), block_size=BLOCK_SIZE, base=4096
    )
    assert entries_of(SquashfsReader(out, 4096)) == whole_entries(tree)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(sample=samples())
def test_random_trees_come_back(sample: Sample) -> None:
    entries, contents = sample
    out = io.BytesIO()
    tree = write_image(out, entries, contents, block_size=4096)
    reader = SquashfsReader(out)
    assert entries_of(reader) == whole_entries(tree)
    assert [reader.lookup(path) for path in tree.paths] == [
        replace(entry, digest=NO_DIGEST, group=0) for entry in whole_entries(tree).values()
    ]


def test_read_and_written_again_is_the_same_image() -> None:
    """The tree and the placement that the reader gives are those that the writer was given."""
    from sealift.squashfs.writer import write_tables

    entries, contents = everything()
    out = io.BytesIO()
    write_image(out, entries, contents, block_size=BLOCK_SIZE, mtime=5)
    reader = SquashfsReader(out)
    tree, placement, fragments = reader.tree()
    again = io.BytesIO(out.getvalue()[: reader.superblock.inode_table])
    write_tables(
        again,
        base=0,
        data_end=reader.superblock.inode_table,
        tree=tree,
        placement=placement,
        fragments=fragments,
        compression=ZSTD,
        block_size=BLOCK_SIZE,
        mtime=5,
    )
    assert again.getvalue() == out.getvalue()


# ── what others write ───────────────────────────────────────────────────────────────────────────────────────────────

MKSQUASHFS = {
    "gzip": ["-comp", "gzip"],
    "xz": ["-comp", "xz"],
    "xz-filter": ["-comp", "xz", "-Xbcj", "x86"],
    "zstd": ["-comp", "zstd", "-Xcompression-level", "19", "-b", "1M"],
    "small-blocks": ["-comp", "gzip", "-b", "4K"],
    "stored": ["-noI", "-noD", "-noF", "-noX", "-noId"],
    "stored-data": ["-comp", "zstd", "-noD"],
    "no-fragments": ["-comp", "zstd", "-no-fragments"],
    "always-fragments": ["-comp", "zstd", "-always-use-fragments"],
    "no-exports": ["-comp", "zstd", "-no-exports"],
    "no-xattrs": ["-comp", "zstd", "-no-xattrs"],
    "no-duplicates": ["-comp", "zstd", "-no-duplicates", "-nopad"],
}


@pytest.fixture(scope="module")
def unpacked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree of everything as files here; without linked links, which mksquashfs 4.5 now and then parts."""
    folder_ = tmp_path_factory.mktemp("unpacked")
    entries, contents = everything()
    entries = [entry for entry in entries if not entry.path.startswith(b"linked-link")]
    entries += [file(b"same"), file(b"same-too"), *[file(b"deep/many-%04d" % n) for n in range(3000)]]
    contents |= {b"same": b"the same" * 50_000, b"same-too": b"the same" * 50_000}
    with (folder_ / "image").open("w+b") as out:
        write_image(out, entries, contents, block_size=BLOCK_SIZE)
    subprocess.run(["unsquashfs", "-q", "-n", "-d", folder_ / "root", folder_ / "image"], check=True)
    return folder_ / "root"


@pytest.mark.needs("root", "mksquashfs", "unsquashfs")
@pytest.mark.slow
@pytest.mark.parametrize("options", MKSQUASHFS)
def test_what_mksquashfs_writes_is_read(tmp_path: Path, unpacked: Path, options: str) -> None:
    image = tmp_path / "image"
    subprocess.run(
        ["mksquashfs", unpacked, image, "-quiet", "-no-progress", *MKSQUASHFS[options]],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    expected = full_listing(unpacked)
    if options == "no-xattrs":
        expected = {path: replace(entry, xattrs=()) for path, entry in expected.items()}
    with image.open("rb") as opened:
        assert entries_of(SquashfsReader(opened)) == expected


@pytest.mark.needs("root", "mksquashfs", "unsquashfs")
@pytest.mark.slow
@pytest.mark.parametrize("name", ["lzo", "lz4"])
def test_a_compressor_that_is_not_read_is_named(tmp_path: Path, unpacked: Path, name: str) -> None:
    image = tmp_path / "image"
    subprocess.run(
        ["mksquashfs", unpacked, image, "-quiet", "-no-progress", "-comp", name], check=True, stdout=subprocess.DEVNULL
    )
    with image.open("rb") as opened, pytest.raises(ImageError, match=f"compressed with {name}, which") as caught:
        SquashfsReader(opened).tree()
    assert caught.value.hints == ("convert it with squashfs-tools: unsquashfs, then mksquashfs -comp zstd",)


# ── one path ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def reader() -> SquashfsReader:
    entries, contents = everything()
    entries += [
        Entry(path=b"etc", mode=0o120777, link=b"/deep/er"),
        Entry(path=b"deep/up", mode=0o120777, link=b"../small"),
        Entry(path=b"loop", mode=0o120777, link=b"loop"),
        Entry(path=b"out", mode=0o120777, link=b"../../../small"),
        Entry(path=b"dangling", mode=0o120777, link=b"nowhere"),
    ]
    out = io.BytesIO()
    write_image(out, entries, contents, block_size=BLOCK_SIZE)
    return SquashfsReader(out)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        (b"", b""),
        (b"small", b"small"),
        (b"/./deep//er/", b"deep/er"),
        (b"etc/still", b"deep/er/still"),
        (b"deep/up", b"small"),
        (b"out", b"small"),
        (b"loop", None),
        (b"dangling", None),
        (b"small/x", None),
    ],
)
def test_links_are_followed_inside_the_image(reader: SquashfsReader, path: bytes, found: bytes | None) -> None:
    try:
        look = SquashfsRoot(squashfs=reader).look(os.fsdecode(path))
    except OSError:
        assert found is None
    else:
        assert (os.fsencode(look.real[1:]) if look.kind else None) == found


def test_paths_are_looked_up(reader: SquashfsReader) -> None:
    assert reader.lookup(b"small") == file(b"small", uid=1, gid=2, mtime=3, size=6)
    assert [reader.lookup(path) for path in (b"nothing", b"small/x", b"deep/up/x", b"deep/nothing")] == [None] * 4
    assert reader.children(b"deep") == (b"er", b"second", b"up")
    assert reader.children(b"small") == reader.children(b"nothing") == ()


def test_files_are_read(reader: SquashfsReader) -> None:
    _, contents = everything()
    names = [b"small", b"blocks-and-tail", b"hole-in-the-middle", b"holes-only", b"hole-at-the-end", b"a"]
    assert [reader.read_file(name) for name in names] == [contents.get(name, b"") for name in names]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (b"nothing", "the image has no file `/nothing`"),
        (b"deep", "the image has no file `/deep`"),
        (b"l", "the image has no file `/l`"),
        (b"small", "`/small` has 6 bytes; at most 5 are expected here"),
    ],
)
def test_what_is_no_small_file_is_not_read(reader: SquashfsReader, path: bytes, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        reader.read_file(path, 5)


def test_a_tree_may_be_too_large(reader: SquashfsReader) -> None:
    with pytest.raises(ImageError, match="the squashfs has more than 10 entries"):
        reader.tree(limit=10)
    with pytest.raises(ImageError, match="the squashfs has more than 10 entries"):
        list(reader.names(limit=10))


def test_names_are_those_of_the_tree(reader: SquashfsReader) -> None:
    tree, _, _ = reader.tree()
    assert sorted(prefix + name for prefix, name in reader.names()) == sorted(
        path for path, mode in zip(tree.paths, tree.modes, strict=True) if not stat.S_ISDIR(mode)
    )


# ── hostile bytes ───────────────────────────────────────────────────────────────────────────────────────────────────


def image_bytes(entries: list[Entry], contents: dict[bytes, bytes] | None = None) -> bytes:
    out = io.BytesIO()
    write_image(out, entries, contents, block_size=4096)
    return out.getvalue()


def everything_of(image: bytes) -> dict[bytes, Entry]:
    return entries_of(SquashfsReader(io.BytesIO(image)))


SMALL = image_bytes(*everything())


def test_every_cut_is_noticed() -> None:
    used = int.from_bytes(SMALL[40:48], "little")
    for length in [*range(200), *range(200, used, 997), used - 1]:
        with pytest.raises(ImageError):
            everything_of(SMALL[:length])


@settings(max_examples=300, deadline=None)
@given(data=st.data())
def test_changed_bytes_give_an_image_or_an_image_error(data: st.DataObject) -> None:
    """No other error, no endless loop, no memory that the image's size does not justify."""
    tables = int.from_bytes(SMALL[64:72], "little")
    image = bytearray(SMALL)
    places = st.integers(0, 95) | st.integers(tables, len(SMALL) - 1)
    for place, value in data.draw(st.lists(st.tuples(places, st.integers(0, 255)), min_size=1, max_size=4)):
        image[place] = value
    with contextlib.suppress(ImageError):
        everything_of(bytes(image))
    with contextlib.suppress(ImageError):
        list(SquashfsReader(io.BytesIO(image)).names())


def stored_image(entries: list[Entry]) -> tuple[bytearray, Superblock]:
    """An image whose metadata is not compressed, so that a test can change a field of it."""
    from sealift.squashfs.compression import Compression

    class Stored(Compression):
        def compress(self, data: bytes | memoryview) -> bytes:
            return bytes(data) + b"x"

    out = io.BytesIO()
    write_image(out, entries, compression=Stored(name="gzip", level=1))
    return bytearray(out.getvalue()), parse_superblock(out.getvalue(), available=len(out.getvalue()))


def test_a_directory_inside_itself_is_an_error() -> None:
    image, superblock = stored_image([folder(b""), folder(b"d"), folder(b"d/e")])
    listing = superblock.directory_table + 2
    # The first listing is that of d: its only entry is e, whose inode stands first in the table.
    assert image[listing + 12 : listing + 21] == struct.pack("<HhHH", 0, 0, 1, 0) + b"e"
    image[listing + 12 : listing + 14] = struct.pack("<H", 32)
    hostile = SquashfsReader(io.BytesIO(image))
    for walk in (hostile.tree, lambda: list(hostile.names())):
        with pytest.raises(ImageError, match="the directory `/d/e` stands in two places"):
            walk()


def test_a_file_of_impossible_size_is_an_error() -> None:
    image, superblock = stored_image([folder(b""), file(b"f")])
    inode = superblock.inode_table + 2
    image[inode + 28 : inode + 32] = struct.pack("<I", 2**32 - 1)
    with pytest.raises(ImageError, match="the squashfs is damaged"):
        SquashfsReader(io.BytesIO(image)).tree()


@pytest.mark.parametrize("name", [b"..", b"./", b"a/", b"\0b"])
def test_a_name_that_leads_elsewhere_is_an_error(name: bytes) -> None:
    image, superblock = stored_image([folder(b""), file(b"ab")])
    listing = superblock.directory_table + 2
    assert image[listing + 20 : listing + 22] == b"ab"
    image[listing + 20 : listing + 22] = name
    with pytest.raises(ImageError, match="the squashfs is damaged in its directory table: an entry has the name"):
        SquashfsReader(io.BytesIO(image)).tree()


def test_a_name_that_stands_twice_is_an_error() -> None:
    image, superblock = stored_image([folder(b""), file(b"a"), file(b"b")])
    listing = superblock.directory_table + 2
    image[listing + 20 + 9] = ord("a")
    with pytest.raises(ImageError, match="a name stands twice in `/`"):
        SquashfsReader(io.BytesIO(image)).tree()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({0: 0}, "this is not a squashfs image"),
        ({3: 17}, "its block size is"),
        ({6: 10}, "its block size is"),
        ({8: 0}, "its tables lie outside the image or out of order"),
        ({1: 0}, "its tables lie outside the image or out of order"),
        ({9: 3}, "this is squashfs version 3.0; Sealift reads 4.0"),
        ({12: 1 << 50}, "the squashfs is cut off"),
        ({13: 1 << 50}, "its tables lie outside the image or out of order"),
        ({15: 1 << 40}, "its tables lie outside the image or out of order"),
        ({4: 2**32 - 1}, "its fragment table lies outside the image"),
    ],
)
def test_a_wrong_superblock_is_an_error(changed: dict[int, int], message: str) -> None:
    fields = list(SUPERBLOCK.unpack(SMALL[:96]))
    for index, value in changed.items():
        fields[index] = value
    with pytest.raises(ImageError, match=message):
        everything_of(SUPERBLOCK.pack(*fields) + SMALL[96:])


@pytest.mark.parametrize("data", [b"", b"hsqs", b"\x7fELF" + bytes(200), os.urandom(4096)])
def test_what_is_no_squashfs_is_an_error_with_a_hint(data: bytes) -> None:
    with pytest.raises(ImageError, match="this is not a squashfs image") as caught:
        SquashfsReader(io.BytesIO(data))
    assert caught.value.hints == ("see what it is: file IMAGE",)


def test_a_descriptor_is_as_good_as_a_file(tmp_path: Path) -> None:
    (tmp_path / "image").write_bytes(b"before" + SMALL)
    descriptor = os.open(tmp_path / "image", os.O_RDONLY)
    try:
        assert entries_of(SquashfsReader(descriptor, 6)) == everything_of(SMALL)
    finally:
        os.close(descriptor)
