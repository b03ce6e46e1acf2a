"""Directories that we write, used by Apptainer and by ordinary users: run, changed, rebuilt, removed."""

from __future__ import annotations

import copy
import io
import json
import os
import subprocess
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from sealift.packs.treefile import TREE_FILE
from tests.ground import layouts, users
from tests.ground.listing import full_listing
from tests.ground.tiny import make_tiny_root
from tests.packs.directories import ODD, on_disk

pytestmark = [pytest.mark.slow, pytest.mark.needs("root", "apptainer", "plain-user")]

Apptainer = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture(scope="module")
def runnable(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A tar of a root in which a shell runs, with everything that a user's directory cannot hold beside it."""
    root = make_tiny_root(tmp_path_factory.mktemp("tiny") / "root")
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT, errors="surrogateescape") as archive:
        for path in sorted(root.rglob("*")):
            member = archive.gettarinfo(str(path), str(path.relative_to(root)))
            member.uid = member.gid = 0
            member.uname = member.gname = ""
            member.mtime = 1_600_000_000
            archive.addfile(member, io.BytesIO(path.read_bytes()) if member.isreg() else None)
        for one, data in ODD:
            member = copy.copy(one)
            if not member.name.startswith((".singularity.d", "etc/shadow")) and member.name not in ("etc", "."):
                member.name = f"opt/{member.name}"
                member.linkname = f"opt/{member.linkname}" if member.islnk() else member.linkname
                archive.addfile(member, io.BytesIO(data))
    return out.getvalue()


@pytest.fixture
def layout(runnable: bytes, open_folder: Path) -> Path:
    target = layouts.write_layout(open_folder / "layout", [runnable], config={"Env": ["PATH=/bin", "WORD=one"]})
    for path in (target, *target.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    return target


def checked(done: subprocess.CompletedProcess[bytes]) -> str:
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def tree(said: str) -> str:
    return str(json.loads(said)["tree_digest"])


def test_apptainer_runs_changes_and_rebuilds_it(
    as_user: users.AsUser, apptainer: Apptainer, layout: Path, tmp_path: Path
) -> None:
    def sealift(*arguments: str) -> str:
        return checked(as_user(["sealift", "build", "--json", *arguments]))

    first = tree(sealift("-s", "image", f"oci:{layout}"))
    here = as_user.folder()
    before = on_disk(here / "image")
    assert {one.uid for one in before.values()} == {os.stat(here).st_uid}
    assert checked(apptainer("exec", "image", "sh", "-c", "echo $WORD; cat /opt/etc/owned")) == "one\nowned"
    assert checked(as_user(["sealift", "exec", "--engine", "embedded", "image", "sh", "-c", "echo $WORD"])) == "one\n"
    # Running changed nothing: it is still the image.
    assert on_disk(here / "image") == before
    assert tree(sealift("same.sif", "image")) == first

    checked(apptainer("build", "theirs.sif", "image"))
    assert checked(apptainer("exec", "theirs.sif", "sh", "-c", "echo $WORD; cat /opt/latest")) == "one\nlate"
    assert tree(sealift("-s", "back", "theirs.sif")) != first  # theirs has no devices and no owners
    assert sorted(path for path in full_listing(here / "back") if b"sealift-tree" in path) == [TREE_FILE]

    checked(apptainer("exec", "--writable", "image", "sh", "-c", "echo two > /opt/empty; mkdir /srv"))
    checked(apptainer("exec", "--fakeroot", "--writable", "image", "sh", "-c", "echo s > /srv/x; chmod 600 /srv/x"))
    checked(apptainer("exec", "--fakeroot", "--writable", "image", "chown", "33:34", "/srv/x"))
    assert os.stat(here / "image/srv/x").st_uid not in (0, os.stat(here).st_uid)
    sealift("changed.sif", "image")
    sealift("changed.sqfs", "image")
    with_owners = tmp_path / "changed"
    subprocess.run(["unsquashfs", "-quiet", "-no-progress", "-d", with_owners, here / "changed.sqfs"], check=True)
    found = full_listing(with_owners)
    assert (found[b"srv/x"].uid, found[b"srv/x"].gid, found[b"srv/x"].mode & 0o777) == (33, 34, 0o600)
    assert found[b"opt/empty"].size == 4
    assert found[b"opt/etc/owned"].uid == 33
    assert (found[b"opt/null"].rdev, found[b"opt/set-id"].mode & 0o7777) == (os.makedev(1, 3), 0o6755)
    for image in ("changed.sif", "changed.sqfs"):
        assert checked(apptainer("exec", image, "cat", "/opt/empty")) == "two\n"

    # Even what belongs to other ids by now is replaced, and nothing stays.
    assert tree(sealift("-F", "-s", "image", "same.sif")) == first
    assert on_disk(here / "image") == before
    assert sorted(os.listdir(here)) == [
        "back",
        "cache",
        "changed.sif",
        "changed.sqfs",
        "image",
        "run",
        "same.sif",
        "theirs.sif",
        "tmp",
    ]
    checked(as_user(["rm", "-r", "image"]))


def test_it_has_the_sifs_tree_for_every_user(as_user: users.AsUser, layout: Path) -> None:
    said = set()
    for user in ("subuid", "plain"):
        for arguments in (("-s", "image", f"oci:{layout}"), ("image.sif", "image"), ("-F", "-s", "image", "image.sif")):
            done = as_user(["sealift", "build", "--json", *arguments], user=user)
            said.add(tree(checked(done)))
        checked(as_user(["rm", "-r", "image"], user=user))
    assert len(said) == 1


def test_sections_run_on_it(as_user: users.AsUser, layout: Path) -> None:
    """`%post` on a directory sees the owners that only the tree file knows."""
    text = (
        "Bootstrap: localimage\nFrom: image\n\n%post\n"
        "    stat -c '%u:%g %a' /opt/etc/owned /opt/set-id > /opt/seen\n    chown 5:6 /opt/empty\n"
    )
    said = set()
    for user in ("subuid", "plain"):
        folder = as_user.folder(user)
        checked(as_user(["sealift", "build", "-s", "image", f"oci:{layout}"], user=user))
        (folder / "next.def").write_text(text)
        said.add(tree(checked(as_user(["sealift", "build", "--json", "-s", "next", "next.def"], user=user))))
        checked(as_user(["sealift", "build", "-F", "-s", "image", "next.def"], user=user))
        if user == "subuid":
            assert (folder / "next/opt/seen").read_text() == "33:34 640\n7:8 6755\n"
            assert (folder / "image/opt/seen").read_text() == "33:34 640\n7:8 6755\n"
        checked(as_user(["rm", "-r", "image", "next"], user=user))
