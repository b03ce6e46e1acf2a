from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from sealift.core.tree import Entry
from sealift.errors import StoreError
from sealift.packs import extract as module
from sealift.packs.extract import extract, size_of
from sealift.packs.merge import merge
from tests.packs.directories import NOISE, ODD, kept, merged, on_disk, write
from tests.packs.layers import POOL, contents, entries, file, folder, pack, tar, whiteout


@pytest.mark.needs("root")
def test_root_writes_the_image_as_it_is(tmp_path: Path) -> None:
    image = merged(tmp_path)
    write(image, tmp_path / "root", as_root=True)
    assert on_disk(tmp_path / "root") == entries(image.tree)


def as_users(one: Entry) -> Entry:
    """What an ordinary user's directory has of an entry: no owner but the user, no device, no right of others lent."""
    mode = one.mode
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        mode = stat.S_IFREG | stat.S_IMODE(mode)
    if stat.S_ISDIR(mode):
        mode |= 0o700
    elif not stat.S_ISLNK(mode):
        mode = stat.S_IFMT(mode) | mode & 0o777 | 0o600
    kept = tuple(pair for pair in one.xattrs if pair[0].startswith(b"user."))
    return replace(one, mode=mode, uid=os.getuid(), gid=os.getgid(), rdev=0, xattrs=kept)


def test_a_users_directory_is_the_users(tmp_path: Path) -> None:
    image = merged(tmp_path)
    write(image, tmp_path / "root", as_root=False)
    expected = {path: as_users(one) for path, one in entries(image.tree).items()}
    found = {
        path: replace(
            one,
            digest=expected[path].digest if not one.size else one.digest,
            # Root, as whom these tests may run, can set what a user cannot.
            xattrs=tuple(pair for pair in one.xattrs if pair[0].startswith(b"user.")),
        )
        for path, one in on_disk(tmp_path / "root").items()
    }
    assert found == expected


@pytest.mark.parametrize("as_root", [False, pytest.param(True, marks=pytest.mark.needs("root"))])
def test_the_tree_file_knows_the_image_and_the_disk(tmp_path: Path, as_root: bool) -> None:
    image = merged(tmp_path)
    write(image, tmp_path / "root", as_root=as_root)
    value = kept(tmp_path / "root")
    assert entries(value.tree) == entries(image.tree)
    disk = value.disk
    for row, path in enumerate(value.tree.paths):
        found = os.lstat(os.fsencode(tmp_path / "root") + b"/" + path)
        assert (disk.modes[row], disk.uids[row], disk.gids[row], disk.mtimes[row]) == (
            found.st_mode,
            found.st_uid,
            found.st_gid,
            found.st_mtime_ns,
        ), path


def test_holes_stay_holes(tmp_path: Path) -> None:
    write(merged(tmp_path), tmp_path / "root", as_root=False)
    for name, most in (("holes", 0), ("sparse", 3 * 4096)):
        assert os.stat(tmp_path / "root" / name).st_blocks * 512 <= most, name


@pytest.mark.parametrize("size", [1 << 20, (1 << 20) + 1, 3_000_000, (4 << 20) - 1])
def test_large_files_are_written_by_several_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    monkeypatch.setattr(module, "JOB_BYTES", 100_000)
    data = (NOISE * 210)[:size]
    image = merged(tmp_path, (folder(".singularity.d"), file("large", data), file("small", b"small")))
    seen: list[int] = []
    (tmp_path / "root").mkdir()
    with ThreadPoolExecutor(4) as pool:
        disk = extract(image, os.fsencode(tmp_path / "root"), pool=pool, as_root=False, progress=seen.append)
    assert (tmp_path / "root/large").read_bytes() == data
    assert disk.mtimes[image.tree.find(b"large") or 0] == os.stat(tmp_path / "root/large").st_mtime_ns
    assert sum(seen) + len(data) % 4096 >= size
    assert len(seen) > 5


def test_several_layers(tmp_path: Path) -> None:
    first = pack(tmp_path, tar((folder(".singularity.d"), *(file(f"f{n}", NOISE[n : n + 700]) for n in range(300)))))
    second = pack(tmp_path, tar((whiteout("f7"), file("f8", b"new"), file("g", NOISE))))
    image = merge([first, second], base_count=1)
    write(image, tmp_path / "root", as_root=False)
    found = {
        os.fsencode(path.relative_to(tmp_path / "root")): path.read_bytes()
        for path in (tmp_path / "root").rglob("*")
        if path.is_file() and path.name != "sealift-tree"
    }
    assert found == contents(image)
    assert size_of(image.tree) == sum(map(len, found.values()))


def test_a_damaged_pack_is_an_error(tmp_path: Path) -> None:
    image = merged(tmp_path)
    with open(image.packs[0].path, "r+b") as out:
        out.truncate(200)
    (tmp_path / "root").mkdir()
    with pytest.raises(StoreError, match="cut off"):
        extract(image, os.fsencode(tmp_path / "root"), pool=POOL, as_root=False)


def test_all_kinds_are_covered() -> None:
    assert {part[0].type for part in ODD} == {b"0", b"1", b"2", b"3", b"4", b"5", b"6"}
