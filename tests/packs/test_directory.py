from __future__ import annotations

import os
import random
import socket
import stat
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from sealift.core.tree import Entry
from sealift.errors import HostError, ImageError
from sealift.packs import directory
from sealift.packs.directory import pack_directory
from sealift.packs.index import HOLLOW, IMPLIED, OPAQUE, WHITEOUT
from sealift.packs.merge import merge
from sealift.packs.pack import Pack, open_pack
from tests.ground.listing import full_listing
from tests.packs.layers import OPTIONS, POOL, contents, entries, file, folder, pack, tar


def packed(root: Path, target: Path, **more: object) -> Pack:
    with target.open("w+b") as out:
        pack_directory(str(root), out, options=OPTIONS, pool=POOL, **more)  # type: ignore[arg-type]
    return open_pack(target)


@dataclass(frozen=True)
class Owner:
    uid: int
    gid: int
    mode: int
    rdev: int = 0


def plain_tree(root: Path) -> None:
    (root / "d" / "e").mkdir(parents=True)
    (root / "d" / "e").chmod(0o1770)
    (root / "d" / "x").write_bytes(b"content" * 3000)
    (root / "d-1").write_bytes(b"sorts before d/x as a name, behind it as a path")
    os.link(root / "d" / "x", root / "again")
    os.symlink("d/x", root / "s")
    os.mkfifo(root / "pipe")
    (root / "su").write_bytes(b"#!")
    (root / "su").chmod(0o4755)
    (root / "sparse").write_bytes(b"")
    with (root / "sparse").open("r+b") as out:
        out.seek(6 << 20)
        out.write(b"data")
        out.truncate(9 << 20)
    (Path(os.fsdecode(os.fsencode(root) + b"/n\xff"))).write_bytes(b"")
    for number, path in enumerate(sorted(root.rglob("*"))):
        os.utime(path, ns=(0, (1_600_000_000 + number) * 10**9 + 999_999_999), follow_symlinks=False)
    os.utime(root, (5, 5))


def test_a_plain_tree(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    plain_tree(root)
    found = packed(root, tmp_path / "pack")
    assert entries(found.tree) == full_listing(root)
    assert not any(found.flags)
    sparse = found.tree.find(b"sparse")
    assert sparse is not None
    assert b"".join(found.read(sparse)) == (root / "sparse").read_bytes()


def test_same_bytes_whatever_the_order_on_disk(tmp_path: Path) -> None:
    names = [f"{n}" for n in range(200)]
    for number in (1, 2):
        root = tmp_path / str(number)
        root.mkdir()
        random.Random(number).shuffle(names)
        for name in names:
            (root / name).write_text(name * 50)
            os.utime(root / name, (1, 1))
        os.utime(root, (1, 1))
        packed(root, tmp_path / f"{number}.pack")
    assert (tmp_path / "1.pack").read_bytes() == (tmp_path / "2.pack").read_bytes()


def test_a_directory_and_its_tar_give_one_image(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "d").mkdir(parents=True)
    (root / "d" / "f").write_bytes(b"x" * 10000)
    for path in (root / "d" / "f", root / "d", root):
        os.utime(path, (1_700_000_000, 1_700_000_000))
        os.chown(path, 0, 0) if os.geteuid() == 0 else None
        path.chmod(0o755)
    one = packed(root, tmp_path / "pack")
    owner = (os.stat(root).st_uid, os.stat(root).st_gid)
    stream = tar(
        [folder("", owner=owner), folder("d", owner=owner), file("d/f", b"x" * 10000, mode=0o755, owner=owner)]
    )
    other = pack(tmp_path, stream)
    assert entries(one.tree) == entries(other.tree)


def test_the_root_may_be_left_unlisted(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir(mode=0o700)
    (root / "a").write_bytes(b"a")
    found = packed(root, tmp_path / "pack", list_root=False)
    assert found.flags[0] == IMPLIED
    assert found.tree.entry(0) == Entry(path=b"", mode=stat.S_IFDIR | 0o755)


def test_owners_that_the_file_system_could_not_hold(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    for name in ("owned", "device", "plain"):
        (root / name).write_bytes(b"")
    owners: Mapping[int, Owner] = {
        (root / "owned").stat().st_ino: Owner(33, 34, stat.S_IFREG | 0o4750),
        (root / "device").stat().st_ino: Owner(0, 6, stat.S_IFBLK | 0o660, os.makedev(8, 1)),
        root.stat().st_ino: Owner(1, 2, stat.S_IFDIR | 0o711),
    }
    found = {
        path: (e.uid, e.gid, e.mode, e.rdev)
        for path, e in entries(packed(root, tmp_path / "pack", owners=owners).tree).items()
    }
    own = (root / "plain").stat()
    assert found == {
        b"": (1, 2, stat.S_IFDIR | 0o711, 0),
        b"device": (0, 6, stat.S_IFBLK | 0o660, os.makedev(8, 1)),
        b"owned": (33, 34, stat.S_IFREG | 0o4750, 0),
        b"plain": (own.st_uid, own.st_gid, own.st_mode, 0),
    }  # fmt: skip


LOWER = [folder("d"), file("d/a", b"a"), file("d/b", b"b"), folder("o"), file("o/x", b"x"), file("gone", b"")]


@pytest.mark.needs("root")
@pytest.mark.parametrize("prefix", ["trusted.overlay.", "user.overlay.", "user.fuseoverlayfs."])
def test_the_upper_directory_of_an_overlay(tmp_path: Path, prefix: str) -> None:
    upper = tmp_path / "upper"
    (upper / "d").mkdir(parents=True)
    (upper / "o").mkdir()
    os.mknod(upper / "gone", stat.S_IFCHR)
    os.mknod(upper / "d" / "a", stat.S_IFCHR)
    os.mknod(upper / "null", stat.S_IFCHR | 0o666, os.makedev(1, 3))
    (upper / "o" / "new").write_bytes(b"new")
    os.setxattr(upper / "o", f"{prefix}opaque", b"y")
    os.setxattr(upper / "d", f"{prefix}impure", b"y")
    os.setxattr(upper / "d", f"{prefix}origin", b"whatever")
    os.setxattr(upper / "o" / "new", "user.note", b"kept")
    found = packed(upper, tmp_path / "pack", overlay=True)
    flags = {path: flag for path, flag in zip(found.tree.paths, found.flags, strict=True) if flag}
    assert flags == {b"d/a": WHITEOUT, b"gone": WHITEOUT, b"o": OPAQUE}
    assert found.whiteouts == (b"d/a", b"gone")
    assert found.opaques == (b"o",)
    merged = merge([pack(tmp_path, tar(LOWER)), found], base_count=1)
    assert list(merged.tree.paths) == [b"", b"d", b"d/b", b"null", b"o", b"o/new"]
    assert set(merged.tree.xattr_sets) == {(), ((b"user.note", b"kept"),)}


@pytest.mark.needs("root")
def test_a_real_overlay(tmp_path: Path) -> None:
    """What the kernel leaves behind in an upper directory, merged again, is what the overlay showed."""
    import subprocess

    lower, upper, work, target = (tmp_path / name for name in ("lower", "upper", "work", "merged"))
    for path in (lower, upper, work, target):
        path.mkdir()
    plain_tree(lower)
    base = packed(lower, tmp_path / "base")
    options = f"lowerdir={lower},upperdir={upper},workdir={work},redirect_dir=off,metacopy=off"
    subprocess.run(["mount", "-t", "overlay", "overlay", "-o", options, target], check=True)
    try:
        (target / "d" / "x").unlink()
        (target / "d" / "e").rmdir()
        (target / "d" / "e").mkdir(mode=0o755)
        (target / "d" / "e" / "f").write_bytes(b"f")
        (target / "su").chmod(0o755)
        (target / "s").unlink()
        (target / "s").mkdir()
        os.chown(target / "pipe", 5, 6)
        os.rename(target / "d-1", target / "moved")
        expected = full_listing(target)
        found = packed(upper, tmp_path / "pack", overlay=True)
    finally:
        subprocess.run(["umount", target], check=True)
    merged = merge([base, found], base_count=1)
    got = entries(merged.tree)
    # The link count that the kernel shows for `again` still counts the name that is gone from the lower directory.
    assert {path: replace(one, group=0) for path, one in got.items()} == {
        path: replace(one, group=0) for path, one in expected.items()
    }
    assert contents(merged)[b"moved"] == b"sorts before d/x as a name, behind it as a path"


def test_marks_of_fuse_overlayfs_without_devices(tmp_path: Path) -> None:
    upper = tmp_path / "upper"
    (upper / "d").mkdir(parents=True)
    (upper / "o").mkdir()
    for mark in (".wh.gone", "d/.wh.a", "o/.wh..wh..opq"):
        (upper / mark).write_bytes(b"")
    found = packed(upper, tmp_path / "pack", overlay=True)
    merged = merge([pack(tmp_path, tar(LOWER)), found], base_count=1)
    assert list(merged.tree.paths) == [b"", b"d", b"d/b", b"o"]
    as_plain = packed(upper, tmp_path / "plain")
    assert b".wh.gone" in as_plain.tree.paths


def test_files_of_whiteout_by_attribute(tmp_path: Path) -> None:
    upper = tmp_path / "upper"
    upper.mkdir()
    (upper / "gone").write_bytes(b"")
    os.setxattr(upper / "gone", "user.overlay.whiteout", b"y")
    found = packed(upper, tmp_path / "pack", overlay=True)
    assert found.whiteouts == (b"gone",)


@pytest.mark.parametrize(("mark", "word"), [("redirect", "redirect_dir=off"), ("metacopy", "metacopy=off")])
def test_overlays_whose_data_lies_elsewhere_are_refused(tmp_path: Path, mark: str, word: str) -> None:
    upper = tmp_path / "upper"
    (upper / "redirect").mkdir(parents=True)
    (upper / "metacopy").write_bytes(b"")
    os.setxattr(upper / mark, f"user.overlay.{mark}", b"x")
    with pytest.raises(ImageError) as caught:
        packed(upper, tmp_path / "pack", overlay=True)
    assert caught.value.hints == (f"mount the overlay with {word}",)


def test_sockets_are_left_out(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "a").write_bytes(b"")
    here = os.getcwd()
    with socket.socket(socket.AF_UNIX) as one:
        os.chdir(root)
        try:
            one.bind("sock")
        finally:
            os.chdir(here)
        assert list(packed(root, tmp_path / "pack").tree.paths) == [b"", b"a"]


@pytest.mark.parametrize("what", ["grows", "shrinks", "vanishes", "comes"])
def test_a_tree_that_changes_meanwhile_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    root = tmp_path / "root"
    (root / "d").mkdir(parents=True)
    (root / "d" / "a").write_bytes(b"a" * 100)
    os.utime(root / "d", (1, 1))
    original = directory.read_whole

    def reading(descriptor: int, size: int, path: bytes) -> bytes:
        match what:
            case "grows":
                (root / "d" / "a").write_bytes(b"a" * 200)
            case "shrinks":
                (root / "d" / "a").write_bytes(b"")
            case "comes":
                (root / "d" / "b").write_bytes(b"")
            case _:
                pass
        return original(descriptor, size, path)

    monkeypatch.setattr(directory, "read_whole", reading)
    if what == "vanishes":
        real = os.listdir
        monkeypatch.setattr(os, "listdir", lambda place: [*real(place), "not there"])
    with pytest.raises(ImageError, match="changed while it was packed"):
        packed(root, tmp_path / "pack")


def test_folders_too_deep(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    descriptor = os.open(root, os.O_RDONLY)
    for _number in range(directory.DEEPEST + 2):
        os.mkdir("d", dir_fd=descriptor)
        below = os.open("d", os.O_RDONLY, dir_fd=descriptor)
        os.close(descriptor)
        descriptor = below
    os.close(descriptor)
    with pytest.raises(ImageError, match="folders deep"):
        packed(root, tmp_path / "pack")


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises((ImageError, HostError)):
        packed(tmp_path / "none", tmp_path / "pack")


def test_hollow_folders_of_marks_alone(tmp_path: Path) -> None:
    stream = tar([file("x/.wh.y"), file("a/b")])
    found = pack(tmp_path, stream)
    assert dict(zip(found.tree.paths, found.flags, strict=True)) == {
        b"": IMPLIED, b"a": IMPLIED, b"a/b": 0, b"x": IMPLIED | HOLLOW, b"x/y": WHITEOUT,
    }  # fmt: skip
