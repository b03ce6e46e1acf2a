from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sealift.system import mounts
from tests.ground import users

DO = """
import json, os, sys
from sealift.errors import HostError
from sealift.system import kernel, mounts, namespaces

order = json.loads(sys.argv[1])
folder = order["folder"]
if order["who"] == "root":
    kernel.unshare(kernel.CLONE_NEWNS)
else:
    namespaces.enter_user_namespace(namespaces.single_maps(os.getuid(), os.getgid()), others=kernel.CLONE_NEWNS)
kernel.mount("", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
for name in ("low", "upper", "work", "merged"):
    os.mkdir(f"{folder}/{name}")

def owner(path):
    found = os.lstat(path)
    return [found.st_uid, found.st_gid]

answer = {}
try:
    made = mounts.mount_squashfs(order["image"], f"{folder}/low", **order["options"])
    answer["by"] = made.by
    answer["read"] = open(f"{folder}/low/f").read()
    answer["owner"] = owner(f"{folder}/low/f")
    if order.get("overlay"):
        over = getattr(mounts, order["overlay"])
        kept = over([f"{folder}/low"], f"{folder}/merged", upper=f"{folder}/upper", work=f"{folder}/work")
        with open(f"{folder}/merged/f", "a") as file:
            file.write("more")
        answer["upper"] = open(f"{folder}/upper/f").read()
        answer["cwd"] = os.getcwd() == order["cwd"]
        kernel.umount(f"{folder}/merged")
        if kept is not None:
            kept.unmount()
    if order.get("bind"):
        mounts.bind(order["bind"], f"{folder}/merged", read_only=True)
        try:
            open(f"{folder}/merged/new", "w")
        except OSError as error:
            answer["bind"] = error.strerror
        kernel.umount(f"{folder}/merged")
    made.unmount()
    made.unmount()
    answer["after"] = os.listdir(f"{folder}/low")
except HostError as error:
    answer["error"] = [error.message, list(error.hints)]
print(json.dumps(answer))
"""


@pytest.fixture
def image(open_folder: Path) -> Path:
    """A squashfs with one file of 33:8."""
    root = open_folder / "tree"
    root.mkdir()
    (root / "f").write_text("hello ")
    path = open_folder / "image"
    subprocess.run(
        ["mksquashfs", root, path, "-quiet", "-no-progress", "-p", "f m 644 33 8"], check=True, capture_output=True
    )
    return path


def work(argv: list[str], folder: Path, image: Path, **order: object) -> dict[str, object]:
    text = json.dumps({"who": "root", "options": {}, **order, "folder": str(folder), "image": str(image), "cwd": "/"})
    done = subprocess.run([*argv, "-c", DO, text], capture_output=True, text=True, check=False, cwd="/")
    assert done.returncode == 0, done.stderr
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.mark.needs("root", "mksquashfs")
@pytest.mark.parametrize("shift", [0, 4096, 65536])
def test_the_kernel_mounts_at_an_offset_and_frees_the_loop_device(tmp_path: Path, image: Path, shift: int) -> None:
    shifted = tmp_path / "shifted"
    shifted.write_bytes(bytes(shift) + image.read_bytes())
    (tmp_path / "work").mkdir()
    found = work([sys.executable], tmp_path / "work", shifted, options={"offset": shift}, overlay="overlay")
    assert found == {
        "by": "kernel",
        "read": "hello ",
        "owner": [33, 8],
        "upper": "hello more",
        "cwd": True,
        "after": [],
    }
    listed = subprocess.run(["losetup", "--associated", str(shifted)], capture_output=True, text=True, check=True)
    assert listed.stdout == ""


@pytest.mark.needs("root", "mksquashfs", "squashfuse", "fuse-overlayfs")
@pytest.mark.parametrize("overlay", ["overlay", "fuse_overlay"])
def test_squashfuse_mounts_at_an_offset(tmp_path: Path, image: Path, overlay: str) -> None:
    shifted = tmp_path / "shifted"
    shifted.write_bytes(bytes(4096) + image.read_bytes())
    (tmp_path / "work").mkdir()
    found = work([sys.executable], tmp_path / "work", shifted, options={"offset": 4096, "by": "fuse"}, overlay=overlay)
    assert found == {
        "by": "squashfuse_ll",
        "read": "hello ",
        "owner": [33, 8],
        "upper": "hello more",
        "cwd": True,
        "after": [],
    }


@pytest.mark.needs("plain-user", "mksquashfs", "squashfuse")
def test_an_ordinary_user_sees_all_files_as_its_own(as_user: users.AsUser, image: Path) -> None:
    order = {
        "who": "plain",
        "options": {"uid": 0, "gid": 0},
        "overlay": "overlay",
        "bind": "/dev/shm",
        "folder": str(as_user.folder("plain") / "tmp"),
        "image": str(image),
        "cwd": "/",
    }
    done = as_user([as_user.bin / "python", "-c", DO, json.dumps(order)], user="plain", cwd="/")
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout) == {
        "by": "squashfuse",
        "read": "hello ",
        "owner": [0, 0],
        "upper": "hello more",
        "cwd": True,
        "bind": "Read-only file system",
        "after": [],
    }


@pytest.mark.needs("root", "squashfuse")
@pytest.mark.parametrize("by", ["kernel", "fuse", "any"])
def test_what_is_no_squashfs_is_refused_with_the_reason(tmp_path: Path, by: str) -> None:
    image = tmp_path / "image"
    image.write_bytes(b"nothing of the kind" * 1000)
    (tmp_path / "work").mkdir()
    found = work([sys.executable], tmp_path / "work", image, options={"by": by})
    error = found["error"]
    assert isinstance(error, list)
    assert error[0].startswith(f"`{image}` could not be mounted")
    assert len(error[0]) > len(f"`{image}` could not be mounted: ")


@pytest.mark.needs("root", "mksquashfs")
def test_no_squashfuse_is_said_with_what_to_install(tmp_path: Path, image: Path) -> None:
    (tmp_path / "work").mkdir()
    found = work([sys.executable], tmp_path / "work", image, options={"by": "fuse", "path": "/nonexistent"})
    assert found["error"] == [
        f"`{image}` could not be mounted: there is no squashfuse on this host",
        ["install squashfuse, for instance: apt-get install squashfuse", "see what this host can do: sealift doctor"],
    ]


def test_colons_and_commas_in_an_overlays_paths() -> None:
    assert mounts._escape("a:b,c\\d") == "a\\:b\\,c\\\\d"


def test_an_ordinary_folder_can_be_an_upper_layer(tmp_path: Path) -> None:
    before = os.listdir(tmp_path)
    verdict = mounts.can_be_upper(str(tmp_path))
    assert os.listdir(tmp_path) == before
    if verdict.file_system in ("ext4", "xfs", "btrfs"):
        assert (verdict.good, verdict.xattrs, verdict.whiteouts, verdict.why) == (True, True, True, "")
    assert verdict.free > 0


@pytest.mark.parametrize("kind", ["nfs", "lustre", "gpfs", "beegfs"])
def test_network_file_systems_are_refused_by_name(tmp_path: Path, kind: str) -> None:
    verdict = mounts.can_be_upper(str(tmp_path), file_system=kind)
    assert not verdict.good
    assert verdict.why == f"it lies on {kind}, which cannot hold an overlay's upper layer"


def test_an_overlay_is_refused_by_name(tmp_path: Path) -> None:
    assert (
        mounts.can_be_upper(str(tmp_path), file_system="overlay").why
        == "it lies on overlay, on which no overlay can stand"
    )


def test_folders_that_are_missing_or_closed(tmp_path: Path) -> None:
    assert mounts.can_be_upper(f"{tmp_path}/missing").why == "no such file or directory"
    assert mounts.can_be_upper("/proc").why.startswith("it cannot be written: ")


@pytest.mark.needs("root")
def test_a_real_overlay_is_seen_as_one(tmp_path: Path) -> None:
    for name in ("low", "upper", "work", "merged"):
        (tmp_path / name).mkdir()
    options = f"lowerdir={tmp_path}/low,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
    subprocess.run(["mount", "-t", "overlay", "-o", options, "overlay", str(tmp_path / "merged")], check=True)
    try:
        assert mounts.can_be_upper(str(tmp_path / "merged")).file_system == "overlay"
    finally:
        subprocess.run(["umount", str(tmp_path / "merged")], check=True)
    with contextlib.suppress(OSError):
        os.rmdir(tmp_path / "work" / "work")
