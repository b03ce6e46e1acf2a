"""Contents that lie in an image several times."""

from __future__ import annotations

import hashlib
import os
import subprocess

import pytest

from sealift.core.tree import show_path
from sealift.evidence.duplicates import LEAST, Duplicate, find_duplicates
from sealift.evidence.files import files_of
from sealift.evidence.opening import open_image
from tests.evidence.conftest import write_root

SMALL, LARGE = os.urandom(LEAST), os.urandom(700_000)
CONTENT = {
    **{f"{name}/small": SMALL for name in "abc"},
    "a/large": LARGE,
    "b/large": LARGE,
    "c/large": LARGE[:-1] + bytes([LARGE[-1] ^ 1]),
    "a/tiny": SMALL[:-1],
    "b/tiny": SMALL[:-1],
    "d/once": os.urandom(LEAST),
}


def shown(files, found: tuple[Duplicate, ...]) -> list[tuple[str, int, int, list[str]]]:
    return [(one.digest, one.size, one.spare, [show_path(files.tree.paths[row]) for row in one.rows]) for one in found]


EXPECTED = [
    (f"sha256:{hashlib.sha256(LARGE).hexdigest()}", 700_000, 700_000, ["/a/large", "/b/large"]),
    (f"sha256:{hashlib.sha256(SMALL).hexdigest()}", LEAST, 2 * LEAST, ["/a/small", "/b/small", "/c/small"]),
]


def test_of_a_folder_and_hard_links_are_none(tmp_path) -> None:
    root = write_root(tmp_path / "root", CONTENT)
    os.link(root / "d/once", root / "d/linked")
    os.link(root / "a/small", root / "d/small")
    with open_image(str(root)) as image:
        files = files_of(image)
        found = find_duplicates(files)
    assert shown(files, found) == EXPECTED
    assert [one.stored for one in found] == [None, None]


@pytest.mark.slow
@pytest.mark.needs("mksquashfs")
@pytest.mark.parametrize("options", [(), ("-no-duplicates", "-noF"), ("-no-fragments",)])
def test_of_a_squashfs_which_may_keep_them_once(tmp_path, options) -> None:
    root = write_root(tmp_path / "root", CONTENT)
    argv = ["mksquashfs", root, tmp_path / "x.sqfs", "-quiet", "-no-progress", *options]
    subprocess.run(argv, check=True)
    with open_image(str(tmp_path / "x.sqfs")) as image:
        files = files_of(image)
        found = find_duplicates(files)
    assert shown(files, found) == EXPECTED
    twice = [700_000, 2 * LEAST]
    assert [one.stored for one in found] == (twice if "-no-duplicates" in options else [0, 0])


def test_nothing(image_files) -> None:
    assert find_duplicates(image_files({"a": b"", "b": b""})) == ()
