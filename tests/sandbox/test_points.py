"""Places that binds are mounted on: made when the first command inside needs them, and gone without a trace."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from sealift.errors import UsageError
from sealift.sandbox.points import check_kinds
from sealift.sandbox.spec import HostPath
from tests.sandbox.conftest import Drive, Who, listing, sh

SCRIPT = """
cat /mnt/f /deep/er/f /dev/f /tmp/f
(echo x > /deep/er/f) 2>/dev/null || echo read-only
echo written > /mnt/w
echo beside > /deep/beside
"""


@pytest.mark.needs("root", "mksquashfs", "squashfuse", "fuse-overlayfs", "subuid-user", "plain-user")
@pytest.mark.parametrize("who", ["root", "subuid", "plain"])
@pytest.mark.parametrize("without", ["", "overlay", "overlay,fuse-overlayfs"])
def test_every_kind_of_root_gets_places_for_binds(
    drive: Drive, base: Path, open_folder: Path, who: Who, without: str
) -> None:
    folder = open_folder / "folder"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    (folder / "f").write_text("in it\n")
    source = str(folder)
    found = drive(
        who,
        lowers=[base],
        environment={"SEALIFT_WITHOUT": without},
        binds=[
            {"source": source, "destination": "/mnt", "read_only": False},
            {"source": source, "destination": "/deep/er"},
            {"source": f"{source}/f", "destination": "/dev/f"},
            {"source": f"{source}/f", "destination": "/tmp/f"},
        ],
        steps=[
            # As %setup: it finds no place there, and makes one.
            {**sh("[ ! -e ROOT/mnt ] && [ ! -e ROOT/deep ] && mkdir ROOT/mnt"), "inside": False, "cwd": "/"},
            sh(SCRIPT),
            sh("cat /mnt/w"),
            {"do": "call", **listing(base)},
        ],
    )
    steps = found["steps"]
    assert steps[1]["out"] == "in it\n" * 4 + "read-only\n", found
    assert steps[2]["out"] == "written\n"
    assert [row[0] for row in steps[3]["value"]] == ["/deep", "/deep/beside", "/mnt"]
    assert sorted(os.listdir(folder)) == ["f", "w"]


@pytest.mark.needs("root", "mksquashfs", "squashfuse")
def test_a_command_that_may_not_change_the_root(drive: Drive, base: Path) -> None:
    script = "for each in / /data /etc /tmp /var/tmp /dev; do ! touch $each/new 2>/dev/null || echo $each; done"
    found = drive("root", lowers=[base], steps=[{**sh(script), "read_only": True}, sh(script)])
    writable = ["/tmp", "/var/tmp", "/dev"]
    assert [step["out"].split() for step in found["steps"]] == [writable, ["/", "/data", "/etc", *writable]]


@pytest.mark.needs("root", "mksquashfs", "squashfuse")
@pytest.mark.parametrize(
    ("binds", "message"),
    [
        ([("folder", "/data/owned")], "`SOURCE/folder` is a folder, and `/data/owned` in the image is a file"),
        ([("folder/f", "/data")], "`SOURCE/folder/f` is a file, and `/data` in the image is a folder"),
        ([("folder", "/data/owned/x")], "`/data/owned/x` cannot be bound to: `/data/owned` in the image is no folder"),
        (
            [("folder", "/mnt"), ("folder", "/mnt/sub")],
            "`/mnt/sub` cannot be bound to: what is bound above it has no such entry",
        ),
    ],
)
def test_what_cannot_be_mounted_on(
    drive: Drive, base: Path, open_folder: Path, binds: list[tuple[str, str]], message: str
) -> None:
    (open_folder / "folder").mkdir()
    (open_folder / "folder/f").write_text("")
    asked: list[dict[str, Any]] = [
        {"source": f"{open_folder}/{source}", "destination": destination} for source, destination in binds
    ]
    found = drive("root", lowers=[base], binds=asked, steps=[sh("echo ran"), sh("echo ran")])
    for step in found["steps"]:
        assert (step["error"], step["message"]) == ("UsageError", message.replace("SOURCE", str(open_folder)))


def test_kinds_meet(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "file").write_text("")
    folder = HostPath(source=str(tmp_path / "folder"), destination="/d")
    file = HostPath(source=str(tmp_path / "file"), destination="/d")
    check_kinds(folder, str(tmp_path / "folder"))
    check_kinds(file, str(tmp_path / "file"))
    # A device is a file to be mounted on.
    check_kinds(HostPath(source="/dev/null", destination="/d"), str(tmp_path / "file"))
    with pytest.raises(UsageError):
        check_kinds(folder, str(tmp_path / "file"))
    with pytest.raises(UsageError):
        check_kinds(file, str(tmp_path / "folder"))
