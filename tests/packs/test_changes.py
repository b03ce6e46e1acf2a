from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sealift.core.tree import NO_DIGEST, Entry
from sealift.errors import HostError, ImageError
from sealift.packs.changes import Compared, Ids, compare, pack_compared
from sealift.packs.merge import merge
from sealift.packs.pack import Pack, open_pack
from sealift.packs.treedigest import tree_digest
from tests.packs.directories import kept, merged, write
from tests.packs.layers import OPTIONS, POOL, contents, entries

ME = os.getuid()
USER = Ids(image_uid=lambda uid: 0 if uid == ME else None, image_gid=lambda _gid: 0)


@pytest.fixture(params=["user", pytest.param("root", marks=pytest.mark.needs("root"))])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    write(merged(tmp_path), tmp_path / "root", as_root=request.param == "root")
    return tmp_path / "root"


def look(root: Path, ids: Ids = USER) -> Compared:
    return compare(os.fsencode(root), kept(root), ids)


def packed(root: Path, compared: Compared, *, changed: bool) -> Pack:
    target = root.parent / f"{changed}.pack"
    with target.open("w+b") as out:
        pack_compared(os.fsencode(root), compared, out, changed=changed, options=OPTIONS, pool=POOL)
    return open_pack(target)


def test_nothing_changed(root: Path) -> None:
    value = kept(root)
    compared = look(root)
    assert (any(compared.changed), compared.gone, compared.uncertain) == (False, 0, False)
    assert entries(compared.tree) == entries(value.tree)
    with packed(root, compared, changed=False) as pack:
        assert entries(pack.tree) == entries(value.tree)
        assert tree_digest(pack.tree) == value.notes["tree_digest"]


def test_running_from_it_changes_nothing(root: Path) -> None:
    for path in sorted(root.rglob("*")):
        if path.is_file():
            path.read_bytes()
    assert not any(look(root).changed)


@pytest.mark.parametrize(
    "copy",
    [
        lambda source, target: subprocess.run(["cp", "-a", source, target], check=True),
        os.rename,
        lambda source, target: subprocess.run(
            f"mkdir {target} && tar -C {source} -c . | tar -C {target} -xp", shell=True, check=True
        ),
        # Hard links and attributes are lost, but times are not.
        lambda source, target: subprocess.run(["cp", "-r", "--preserve=mode,timestamps", source, target], check=True),
    ],
    ids=["cp -a", "mv", "tar", "cp -r"],
)
def test_a_copy_is_the_same_image(tmp_path: Path, copy: Callable[[Path, Path], object]) -> None:
    write(merged(tmp_path), tmp_path / "root", as_root=False)
    value = kept(tmp_path / "root")
    copy(tmp_path / "root", tmp_path / "other")
    compared = look(tmp_path / "other")
    noted = value.tree.find(b"noted")
    assert [row for row, flag in enumerate(compared.changed) if flag and row != noted] == []
    with packed(tmp_path / "other", compared, changed=False) as pack:
        expected = entries(value.tree)
        if noted is not None and compared.changed[noted]:
            expected.pop(b"noted")
        assert entries(pack.tree) == expected


def edit(path: Path, data: bytes) -> None:
    path.chmod(0o600) if not path.stat().st_mode & 0o200 else None
    path.write_bytes(data)
    os.utime(path, (77, 77))


def removed(root: Path) -> None:
    shutil.rmtree(root / "read-only")
    os.utime(root, (99, 99))


def replaced_folder(root: Path) -> None:
    shutil.rmtree(root / "locked")
    (root / "locked").write_bytes(b"now a file")
    os.utime(root / "locked", (77, 77))
    os.utime(root, (99, 99))


def new_file(root: Path) -> None:
    (root / "set-gid/new").write_bytes(b"new")
    os.chown(root / "set-gid/new", ME, os.getgid())
    (root / "set-gid/new").chmod(0o751)
    os.utime(root / "set-gid/new", (77, 77))
    os.utime(root / "set-gid", (78, 78))


def retarget(root: Path) -> None:
    (root / "link").unlink()
    os.symlink("elsewhere", root / "link")
    os.utime(root / "link", (77, 77), follow_symlinks=False)
    os.utime(root, (99, 99))


def fill_device(root: Path) -> None:
    (root / "disk").unlink()
    (root / "disk").write_bytes(b"a file")
    (root / "disk").chmod(0o644)
    os.utime(root / "disk", (77, 77))
    os.utime(root, (99, 99))


def link_once_more(root: Path) -> None:
    os.link(root / "block", root / "tmp/block")
    os.utime(root / "tmp", (78, 78))


CHANGES: list[tuple[Callable[[Path], object], set[bytes], dict[bytes, dict[str, object] | None]]] = [
    # what is done, the paths of the upper pack, the fields that change (None: the entry is gone)
    (
        lambda root: edit(root / "etc/shadow", b"other secret"),
        {b"etc/shadow"},
        {b"etc/shadow": {"size": 12, "mtime": 77}},
    ),
    (
        lambda root: edit(root / "etc/owned", b"shared"),
        {b"etc/owned", b"etc/again"},
        {b"etc/owned": {"size": 6, "mtime": 77}, b"etc/again": {"size": 6, "mtime": 77}},
    ),
    (lambda root: (root / "empty").chmod(0o755), {b"empty"}, {b"empty": {"mode": stat.S_IFREG | 0o755}}),
    (lambda root: os.utime(root / "pipe", (77, 77)), {b"pipe"}, {b"pipe": {"mtime": 77}}),
    (
        lambda root: (root / "null").chmod(0o600),
        {b"null", b"again-null"},
        {
            b"null": {"mode": stat.S_IFCHR | 0o600},
            b"again-null": {"mode": stat.S_IFCHR | 0o600},
        },
    ),
    (removed, set(), {b"read-only": None, b"read-only/in": None}),
    (
        replaced_folder,
        {b"locked"},
        {
            b"locked/in": None,
            b"locked": {"mode": stat.S_IFREG | 0o644, "uid": 0, "gid": 0, "size": 10, "mtime": 77},
        },
    ),
    (
        new_file,
        {b"set-gid", b"set-gid/new"},
        {
            b"set-gid": {"mtime": 78},
            b"set-gid/new": {"mode": stat.S_IFREG | 0o751, "size": 3, "mtime": 77, "uid": 0, "gid": 0},
        },
    ),
    (retarget, {b"link"}, {b"link": {"link": b"elsewhere", "mtime": 77}}),
    (
        fill_device,
        {b"disk"},
        {b"disk": {"mode": stat.S_IFREG | 0o644, "rdev": 0, "size": 6, "mtime": 77}},
    ),
    (
        link_once_more,
        {b"tmp", b"tmp/block", b"block"},
        {b"tmp": {"mtime": 78}, b"tmp/block": {"path": b"tmp/block"}},
    ),
]


@pytest.mark.parametrize(("change", "upper", "fields"), CHANGES)
def test_what_was_changed_counts_and_nothing_else(
    tmp_path: Path,
    change: Callable[[Path], object],
    upper: set[bytes],
    fields: dict[bytes, dict[str, object] | None],
) -> None:
    root = tmp_path / "root"
    write(merged(tmp_path), root, as_root=False)
    value = kept(root)
    expected = entries(value.tree)
    for path, changed in fields.items():
        if changed is None:
            del expected[path]
        else:
            expected[path] = replace(expected.get(path, Entry(path=path, mode=0)), **changed)  # type: ignore[arg-type]
    change(root)
    compared = look(root)
    assert {compared.tree.paths[row] for row, flag in enumerate(compared.changed) if flag} == upper
    with packed(root, compared, changed=False) as below, packed(root, compared, changed=True) as above:
        whole = merge([below, above], base_count=1)
        found = {path: _plain(one) for path, one in entries(whole.tree).items()}
        holds = contents(whole)
    if change in (fill_device, retarget):
        expected = {path: replace(one, uid=0, gid=0) if path in upper else one for path, one in expected.items()}
        found = {path: replace(one, uid=0, gid=0) if path in upper else one for path, one in found.items()}
    assert found == {path: _plain(one) for path, one in expected.items()} | (
        {b"tmp/block": replace(_plain(expected[b"block"]), path=b"tmp/block")} if b"tmp/block" in expected else {}
    )
    assert {path: data for path, data in holds.items() if path in upper} == {
        path: (root / os.fsdecode(path)).read_bytes()
        for path in upper
        if (root / os.fsdecode(path)).is_file() and stat.S_ISREG(found[path].mode)
    }


def _plain(one: Entry) -> Entry:
    """Digests of new content and numbers of hard-link groups are looked at elsewhere."""
    return replace(one, digest=NO_DIGEST, group=0)


def test_writing_takes_rights_away_that_are_not_on_disk(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(merged(tmp_path), root, as_root=False)
    edit(root / "set-id", b"#!/bin/false\n")
    edit(root / "noted", b"noted anew")
    found = entries(look(root).tree)
    assert found[b"set-id"].mode == stat.S_IFREG | 0o755
    assert found[b"noted"].xattrs == ((b"user.note", b"hello"),)


@pytest.mark.needs("root")
def test_files_of_somebody_else(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(merged(tmp_path), root, as_root=False)
    os.chown(root / "empty", 4321, 1234)
    (root / "new").write_bytes(b"")
    os.chown(root / "new", 4321, 1234)
    assert look(root).uncertain
    ids = Ids(image_uid=lambda uid: uid - 4000 if uid > 4000 else uid, image_gid=lambda gid: gid - 1000)
    found = entries(look(root, ids).tree)
    assert (found[b"empty"].uid, found[b"empty"].gid) == (321, 234)
    assert (found[b"new"].uid, found[b"new"].gid) == (321, 234)
    unknown = Ids(host_uid=lambda _uid: None, host_gid=lambda _gid: None, image_uid=lambda _uid: None)
    assert entries(look(root, unknown).tree)[b"empty"] == entries(kept(root).tree)[b"empty"]


def test_a_copy_without_times_is_all_new(tmp_path: Path) -> None:
    write(merged(tmp_path), tmp_path / "root", as_root=False)
    subprocess.run(["cp", "-r", tmp_path / "root", tmp_path / "other"], check=True)
    compared = look(tmp_path / "other")
    assert all(flag for row, flag in enumerate(compared.changed) if compared.tree.paths[row] != b"")


@pytest.mark.parametrize("what", ["grows", "vanishes", "becomes a link"])
def test_a_file_that_changes_meanwhile_is_an_error(tmp_path: Path, what: str) -> None:
    root = tmp_path / "root"
    write(merged(tmp_path), root, as_root=False)
    compared = look(root)
    (root / "block").unlink()
    if what == "grows":
        (root / "block").write_bytes(b"x" * 5000)
    elif what == "becomes a link":
        os.symlink("empty", root / "block")
    with pytest.raises((ImageError, HostError)), (tmp_path / "pack").open("w+b") as out:
        pack_compared(os.fsencode(root), compared, out, changed=False, options=OPTIONS, pool=POOL)


def test_a_tree_that_is_too_deep_is_refused(tmp_path: Path) -> None:
    root = tmp_path / "root"
    write(merged(tmp_path), root, as_root=False)
    place = os.open(root, os.O_RDONLY)
    for _ in range(320):
        os.mkdir("d", dir_fd=place)
        below = os.open("d", os.O_RDONLY, dir_fd=place)
        os.close(place)
        place = below
    os.close(place)
    with pytest.raises(ImageError, match="more than 300 folders deep"):
        look(root)
