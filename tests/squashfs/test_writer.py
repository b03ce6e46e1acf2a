"""The writer before its judges: the kernel, squashfuse, unsquashfs and a golden file."""

from __future__ import annotations

import io
import re
import subprocess
from array import array
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import HealthCheck, given, settings

from sealift.core.tree import Entry, Tree
from sealift.errors import ImageError
from sealift.squashfs.compression import Compression, parse_compression
from sealift.squashfs.placement import Fragments, Placement
from sealift.squashfs.writer import write_tables
from tests.ground.listing import full_listing
from tests.squashfs.laying import GZIP, ZSTD, whole_entries, write_image
from tests.squashfs.samples import BLOCK_SIZE, Sample, everything, file, folder, large_directories, samples, shuffled

KernelMount = Callable[..., AbstractContextManager[Path]]
GOLDEN = Path(__file__).parent / "golden"
SAMPLES = {"everything": everything, "large-directories": large_directories}
COMPRESSIONS = pytest.mark.parametrize("compression", [ZSTD, GZIP], ids=str)
ALL_SAMPLES = pytest.mark.parametrize("sample", SAMPLES)


def image_of(target: Path, sample: Sample, **options: object) -> Tree:
    entries, contents = sample
    with target.open("w+b") as out:
        return write_image(out, entries, contents, **({"block_size": BLOCK_SIZE} | options))  # type: ignore[arg-type]


def assert_same(found: dict[bytes, Entry], expected: dict[bytes, Entry]) -> None:
    """As one comparison of whole values, but a difference shows the rows that differ and not all."""
    assert list(found) == list(expected)
    assert [(found[path], expected[path]) for path in found if found[path] != expected[path]] == []


@contextmanager
def squashfuse(image: Path, target: Path, offset: int = 0) -> Iterator[Path]:
    target.mkdir()
    subprocess.run(["squashfuse", "-o", f"offset={offset}", image, target], check=True)
    try:
        yield target
    finally:
        subprocess.run(["fusermount", "-u", target], check=True)


@pytest.mark.needs("root")
@pytest.mark.slow
@COMPRESSIONS
@ALL_SAMPLES
def test_the_kernel_reads_what_was_written(
    tmp_path: Path, kernel_mount: KernelMount, sample: str, compression: Compression
) -> None:
    tree = image_of(tmp_path / "image", SAMPLES[sample](), compression=compression, base=8192)
    with kernel_mount(tmp_path / "image", offset=8192) as root:
        assert_same(full_listing(root), whole_entries(tree))


@pytest.mark.needs("root", "squashfuse")
@pytest.mark.slow
@ALL_SAMPLES
def test_squashfuse_reads_what_was_written(tmp_path: Path, sample: str) -> None:
    """All but hard links, since it gives each path an inode number of its own, and attributes.

    squashfuse 0.1 shows `trusted.` as `security.` and the reverse, and loses empty values, of any image.
    """
    entries, contents = SAMPLES[sample]()
    entries = [replace(entry, xattrs=tuple(pair for pair in entry.xattrs if pair[1])) for entry in entries]
    tree = image_of(tmp_path / "image", (entries, contents), base=4096)
    with squashfuse(tmp_path / "image", tmp_path / "root", offset=4096) as root:
        found = full_listing(root)
    assert_same(
        {path: replace(entry, group=0, xattrs=()) for path, entry in found.items()},
        {path: replace(entry, group=0, xattrs=()) for path, entry in whole_entries(tree).items()},
    )


@pytest.mark.needs("root", "unsquashfs")
@pytest.mark.slow
@COMPRESSIONS
@ALL_SAMPLES
def test_unsquashfs_unpacks_what_was_written(tmp_path: Path, sample: str, compression: Compression) -> None:
    tree = image_of(tmp_path / "image", SAMPLES[sample](), compression=compression)
    subprocess.run(["unsquashfs", "-q", "-n", "-d", tmp_path / "root", tmp_path / "image"], check=True)
    assert_same(full_listing(tmp_path / "root"), whole_entries(tree))


@pytest.mark.needs("root", "unsquashfs")
@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sample=samples())
def test_unsquashfs_unpacks_random_trees(tmp_path_factory: pytest.TempPathFactory, sample: Sample) -> None:
    tmp_path = tmp_path_factory.mktemp("random")
    tree = image_of(tmp_path / "image", sample, block_size=4096)
    subprocess.run(["unsquashfs", "-q", "-n", "-d", tmp_path / "root", tmp_path / "image"], check=True)
    assert_same(full_listing(tmp_path / "root"), whole_entries(tree))


@pytest.mark.needs("root")
@pytest.mark.slow
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sample=samples())
def test_the_kernel_reads_random_trees(tmp_path: Path, kernel_mount: KernelMount, sample: Sample) -> None:
    tree = image_of(tmp_path / "image", sample, block_size=4096)
    with kernel_mount(tmp_path / "image") as root:
        assert_same(full_listing(root), whole_entries(tree))


@pytest.mark.needs("root")
@pytest.mark.slow
def test_the_kernel_finds_each_name_of_a_large_directory_by_the_index(
    tmp_path: Path, kernel_mount: KernelMount
) -> None:
    tree = image_of(tmp_path / "image", large_directories())
    with kernel_mount(tmp_path / "image") as root:
        assert [path for path in tree.paths if not (root / path.decode()).exists()] == []
        assert not (root / "many/file-012000").exists()
        assert not (root / "many/a").exists()


@pytest.mark.needs("root")
def test_link_counts_and_blocks_are_those_of_the_tree(tmp_path: Path, kernel_mount: KernelMount) -> None:
    image_of(tmp_path / "image", everything())
    names = ["", "deep", "deep/er", "empty", "first", "alone", "linked-link", "holes-only", "hole-in-the-middle"]
    with kernel_mount(tmp_path / "image") as root:
        found = {name: ((root / name).lstat().st_nlink, (root / name).lstat().st_blocks * 512) for name in names}
    assert {name: links for name, (links, _) in found.items()} == {
        "": 7,
        "deep": 3,
        "deep/er": 3,
        "empty": 2,
        "first": 3,
        "alone": 1,
        "linked-link": 2,
        "holes-only": 1,
        "hole-in-the-middle": 1,
    }
    assert found["holes-only"][1] == 0
    assert found["hole-in-the-middle"][1] == -(-(BLOCK_SIZE + 10) // 512) * 512


@pytest.mark.needs("unsquashfs")
def test_the_superblock_says_what_the_image_has(tmp_path: Path) -> None:
    image_of(tmp_path / "image", everything(), mtime=86400, compression=GZIP)
    shown = subprocess.run(
        ["unsquashfs", "-s", "-UTC", tmp_path / "image"], capture_output=True, check=True, text=True
    ).stdout
    wanted = r"^(Creation or last append time|Compression|Block size|Number of \w+(?: ids)?) (.*)$"
    lines = dict(re.findall(wanted, shown, re.MULTILINE))
    assert lines == {
        "Creation or last append time": "Fri Jan  2 00:00:00 1970",
        "Compression": "gzip",
        "Block size": "65536",
        "Number of fragments": "1",
        "Number of inodes": "41",
        "Number of ids": "7",
        "Number of xattr ids": "7",
    }
    assert "exportable via NFS" in shown


def test_an_image_without_xattrs_says_so(tmp_path: Path) -> None:
    image_of(tmp_path / "image", ([folder(b"")], {}))
    flags = int.from_bytes((tmp_path / "image").read_bytes()[24:26], "little")
    assert flags & 0x0200


@pytest.mark.parametrize(
    ("name", "compression"), [("everything-gzip", GZIP), ("everything-zstd", ZSTD)], ids=["gzip", "zstd"]
)
def test_the_bytes_are_the_golden_ones(name: str, compression: Compression) -> None:
    """A changed encoder, or a changed order, changes every image that anybody has made: this must be meant.

    The file holds the tables alone: the bytes of the data are not the writer's.
    """
    out = io.BytesIO()
    entries, _ = everything()
    write_image(out, entries, compression=compression, mtime=1)
    golden = GOLDEN / f"{name}.sqfs"
    assert out.getvalue() == golden.read_bytes()


def test_the_order_in_which_rows_come_does_not_matter() -> None:
    entries, contents = everything()
    once, again = io.BytesIO(), io.BytesIO()
    write_image(once, entries, contents)
    write_image(again, shuffled(entries), contents)
    assert once.getvalue() == again.getvalue()


def test_what_is_written_depends_on_nothing_before_the_base() -> None:
    entries, contents = everything()
    once, again = io.BytesIO(), io.BytesIO()
    write_image(once, entries, contents)
    again.write(b"x" * 12288)
    write_image(again, entries, contents, base=12288)
    assert again.getvalue() == b"x" * 12288 + once.getvalue()
    assert len(once.getvalue()) % 4096 == 0


def test_the_bytes_used_are_told() -> None:
    out = io.BytesIO()
    out.write(bytes(96))
    used = write_rows(out, [folder(b""), file(b"a")])
    assert used == int.from_bytes(out.getvalue()[40:48], "little")
    assert len(out.getvalue()) == 4096
    assert out.getvalue()[used:].strip(b"\0") == b""


def write_rows(out: BinaryIO, entries: list[Entry], **changed: object) -> int:
    """Rows as they are given, without the order that a builder would bring them into."""
    count = len(entries)
    tree = Tree(
        paths=[entry.path for entry in entries],
        modes=array("I", [entry.mode for entry in entries]),
        uids=array("I", [entry.uid for entry in entries]),
        gids=array("I", [entry.gid for entry in entries]),
        mtimes=array("Q", [entry.mtime for entry in entries]),
        rdevs=array("Q", [entry.rdev for entry in entries]),
        sizes=array("Q", [entry.size for entry in entries]),
        groups=array("I", [entry.group for entry in entries]),
        xattrs=array("I", range(1, count + 1)),
        xattr_sets=((), *(entry.xattrs for entry in entries)),
        links={row: entry.link for row, entry in enumerate(entries) if entry.link},
    )
    placement = Placement(
        starts=array("Q", bytes(8 * count)),
        firsts=array("Q", bytes(8 * count)),
        blocks=array("I"),
        fragments=array("I", [2**32 - 1] * count),
        offsets=array("I", bytes(4 * count)),
    )
    options = {
        "base": 0,
        "data_end": 96,
        "tree": tree,
        "placement": placement,
        "fragments": Fragments(starts=array("Q"), sizes=array("I")),
        "compression": ZSTD,
        "block_size": 1 << 17,
        "mtime": 0,
    }
    return write_tables(out, **(options | changed))  # type: ignore[arg-type]


ROOT = folder(b"")


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([ROOT, file(b"n" * 257)], "the name of `/nnn"),
        (
            [ROOT, Entry(path=b"l", mode=0o120777, link=b"x" * 4096)],
            "the symbolic link `/l` has a target of 4096 bytes",
        ),
        ([ROOT, Entry(path=b"l", mode=0o120777)], "the symbolic link `/l` has a target of 0 bytes"),
        ([ROOT, Entry(path=b"d", mode=0o020600, rdev=1 << 32)], "squashfs cannot hold the device number of `/d`"),
        (
            [ROOT, file(b"f", xattrs=((b"system.posix_acl_access", b"x"),))],
            "extended attribute `system.posix_acl_access`",
        ),
        ([ROOT, file(b"f", xattrs=((b"user.x", b"x" * 65537),))], "the extended attribute `user.x` has 65537 bytes"),
        (
            [ROOT] + [file(b"%06d" % number, uid=2 * number, gid=2 * number + 1) for number in range(32768)],
            "squashfs can hold 65535 different user and group ids",
        ),
    ],
    ids=["name", "link", "no-link", "device", "acl", "xattr", "ids"],
)
def test_what_squashfs_cannot_hold_is_an_image_error(entries: list[Entry], message: str) -> None:
    with pytest.raises(ImageError, match=re.escape(message)):
        write_rows(io.BytesIO(), entries)


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([], "the tree has no root directory"),
        ([file(b"")], "the tree has no root directory"),
        ([file(b"a")], "the tree has no root directory"),
        ([ROOT, file(b"a/b")], "`/a/b` is no path of a complete tree"),
        ([ROOT, file(b"a"), file(b"a/b")], "`/a/b` is no path of a complete tree"),
        ([ROOT, file(b"..")], "`/..` is no path of a complete tree"),
        ([ROOT, ROOT], "`/` is no path of a complete tree"),
        ([ROOT, Entry(path=b"x", mode=0o644)], "`/x` has a mode of no known type: 644"),
        ([ROOT, folder(b"d", group=1), folder(b"e", group=1)], "`/d` is a directory and cannot have hard links"),
        ([ROOT, file(b"f", size=1 << 20)], "`/f` has 0 blocks and needs 8"),
        ([replace(ROOT, mtime=2**32)], "a time of the tree lies behind 4294967295"),
    ],
)
def test_what_is_no_complete_tree_is_a_value_error(entries: list[Entry], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        write_rows(io.BytesIO(), entries)


@pytest.mark.parametrize(
    "changed",
    [{"block_size": 1 << 11}, {"block_size": 100_000}, {"block_size": 1 << 21}, {"data_end": 95}, {"mtime": 2**32}],
)
def test_wrong_arguments_are_value_errors(changed: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="squashfs"):
        write_rows(io.BytesIO(), [ROOT], **changed)


def test_a_file_in_a_missing_fragment_is_a_value_error() -> None:
    placement = Placement(
        starts=array("Q", [0, 0]),
        firsts=array("Q", [0, 0]),
        blocks=array("I"),
        fragments=array("I", [0, 0]),
        offsets=array("I", [0, 0]),
    )
    with pytest.raises(ValueError, match="`/f` lies in fragment 0, which is not there"):
        write_rows(io.BytesIO(), [ROOT, file(b"f", size=1)], placement=placement)


def test_sizes_and_places_beyond_32_bits_are_kept(tmp_path: Path) -> None:
    """A file of 5 TiB that is one hole, and one that starts behind 4 GiB."""
    from sealift.squashfs.reader import SquashfsReader

    size = 5 << 40
    count = -(-size // (1 << 20))
    tree_entries = [ROOT, file(b"huge", size=size), file(b"late", size=1 << 20)]
    placement = Placement(
        starts=array("Q", [0, 96, 1 << 33]),
        firsts=array("Q", [0, 0, count]),
        blocks=array("I", bytes(4 * count)) + array("I", [7]),
        fragments=array("I", [2**32 - 1] * 3),
        offsets=array("I", [0] * 3),
    )
    with (tmp_path / "image").open("w+b") as out:
        write_rows(
            out,
            tree_entries,
            placement=placement,
            data_end=(1 << 33) + 7,
            block_size=1 << 20,
            compression=parse_compression("zstd:1"),
        )
        tree, found, _ = SquashfsReader(out).tree()
    assert list(tree.sizes) == [0, size, 1 << 20]
    assert found.starts[2] == 1 << 33
    assert found.blocks == placement.blocks
