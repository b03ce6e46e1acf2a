"""The files of an image as columns: the same from every form, and what they take in a squashfs."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

import pytest

from sealift.core.tree import show_path
from sealift.evidence.files import files_of
from sealift.evidence.opening import open_image
from tests.evidence.conftest import write_root

CONTENT = {
    "a": None,
    "a/one": b"1" * 10,
    "a/two": os.urandom(200_000),
    "a-b": b"",
    "a/link": "one",
    "bin": "usr/bin",
    "usr/bin/sh": os.urandom(5_000),
    "usr/bin/ls": os.urandom(300_000),
    "loop": "loop",
    ".singularity.d/sealift-tree": b"not of the image",
}


def test_of_a_folder(image_files) -> None:
    files = image_files(CONTENT)
    assert [show_path(path) for path in files.tree.paths] == [
        *("/", "/.singularity.d", "/a", "/a/link", "/a/one", "/a/two", "/a-b", "/bin", "/loop"),
        *("/usr", "/usr/bin", "/usr/bin/ls", "/usr/bin/sh"),
    ]
    assert files.stored is None
    assert files.read(files.tree.find(b"a/two") or 0) == CONTENT["a/two"]


@pytest.mark.parametrize(
    ("path", "row", "file"),
    [
        ("/usr/bin/ls", "/usr/bin/ls", "/usr/bin/ls"),
        ("/bin/ls", "/usr/bin/ls", "/usr/bin/ls"),
        ("/a/link", "/a/link", "/a/one"),
        ("/bin", "/bin", None),
        ("/a/../bin/./sh", "/usr/bin/sh", "/usr/bin/sh"),
        ("/../../a/one", "/a/one", "/a/one"),
        ("/nothing", None, None),
        ("/loop/x", None, None),
        ("/loop", "/loop", None),
        ("/.", None, None),
    ],
)
def test_where_a_path_leads(image_files, path, row, file) -> None:
    files = image_files(CONTENT)
    found = [files.row(path), files.file(path)]
    assert [None if each is None else show_path(files.tree.paths[each]) for each in found] == [row, file]


def test_names_in_a_folder(image_files) -> None:
    files = image_files(CONTENT)
    assert (files.names("/bin"), files.names("/a"), files.names("/a-b"), files.names("/x")) == (
        ("ls", "sh"),
        ("link", "one", "two"),
        (),
        (),
    )


def test_hard_links_have_one_first_name(tmp_path) -> None:
    root = write_root(tmp_path / "root", {"b": b"b", "c": b"c"})
    os.link(root / "b", root / "a")
    with open_image(str(root)) as image:
        files = files_of(image)
    assert [*files.firsts] == [0, 1, 1, 3]


@pytest.mark.needs("mksquashfs")
@pytest.mark.slow
@pytest.mark.parametrize(
    "options", [(), ("-always-use-fragments",), ("-no-fragments",), ("-noD", "-noF"), ("-no-duplicates",)]
)
def test_what_files_take_adds_up_to_the_data_of_the_squashfs(tmp_path: Path, options: tuple[str, ...]) -> None:
    """The data area lies between the superblock and the tables, without a gap."""
    twins = {f"twin/{number}": CONTENT["usr/bin/ls"] for number in range(3)} | {"holes": bytes(500_000)}
    root = write_root(tmp_path / "root", {**CONTENT, **twins, **{f"small/{n}": os.urandom(700) for n in range(300)}})
    os.link(root / "a" / "two", root / "linked")
    with open(root / "sparse", "wb") as file:
        file.truncate(400_000)
    subprocess.run(
        ["mksquashfs", root, tmp_path / "x.sqfs", "-quiet", "-no-progress", "-noappend", "-b", "128K", *options],
        check=True,
    )
    with open_image(str(tmp_path / "x.sqfs")) as image:
        files = files_of(image)
        assert image.squashfs is not None
        assert files.stored is not None
        start, end = 96 + _compressor_options(tmp_path / "x.sqfs"), image.squashfs.superblock.inode_table
        assert sum(files.stored) == end - start
    assert contents(root) == contents(tmp_path / "x.sqfs")


def _compressor_options(path: Path) -> int:
    """Bytes of the compressor's options behind the superblock, where the flag says that there are some."""
    with open(path, "rb") as file:
        head = file.read(98)
    return 2 + (int.from_bytes(head[96:98], "little") & 0x7FFF) if int.from_bytes(head[24:26], "little") & 0x400 else 0


def contents(path: Path) -> dict[bytes, bytes]:
    with open_image(str(path)) as image:
        files = files_of(image)
        return {
            name: files.read(row)
            for row, name in enumerate(files.tree.paths)
            if stat.S_ISREG(files.tree.modes[row]) and name != b".singularity.d/sealift-tree"
        }
