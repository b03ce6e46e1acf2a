"""What sections see of a base with file capabilities, and what is left of them in the image."""

from __future__ import annotations

import io
import json
import os
import struct
import tarfile
from pathlib import Path

import pytest

from tests.ground import layouts, tiny, users
from tests.ground.images import mounted

CAPABILITY = struct.pack("<5I", 0x02000001, 1 << 13, 0, 0, 0)

DEFINITION = """Bootstrap: oci
From: layout
%post
  chmod 711 /opt/mode
  touch -d 2001-02-03T04:05:06Z /opt/time
  mv /opt/moved /opt/elsewhere
  echo new > /opt/content
  ln /opt/link /opt/twin
"""
KEPT = ("untouched", "mode", "time")
"""`mv` and `ln` copy a file up under a name that the base has not; content that is new has no old rights."""


def base() -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("untouched", "mode", "time", "moved", "content", "link"):
            member = tarfile.TarInfo(f"opt/{name}")
            member.size, member.mode = len(name), 0o755
            member.pax_headers = {"SCHILY.xattr.security.capability": CAPABILITY.decode("latin-1")}
            tar.addfile(member, io.BytesIO(name.encode()))
    return target.getvalue()


def programs(folder: Path) -> bytes:
    root, target = tiny.make_tiny_root(folder), io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        for name in sorted(os.listdir(root)):
            tar.add(root / name, name)
    return target.getvalue()


@pytest.mark.slow
@pytest.mark.needs("root", "squashfuse", "subuid-user", "plain-user")
@pytest.mark.parametrize("user", ["subuid", "plain"])
def test_files_with_capabilities_can_be_changed(as_user: users.AsUser, tmp_path: Path, user: users.Kind) -> None:
    folder = as_user.folder(user)
    as_user.give(layouts.write_layout(folder / "layout", [programs(tmp_path / "root"), base()]), user)
    (folder / "x.def").write_text(DEFINITION)
    done = as_user(["sealift", "build", "--json", "x.sif", "x.def"], user=user)
    assert done.returncode == 0, done.stderr.decode()
    assert json.loads(done.stdout)["entries"] > 0
    with mounted(folder / "x.sif", below=tmp_path) as root:
        found = {
            name: os.getxattr(root / "opt" / name, "security.capability")
            for name in sorted(os.listdir(root / "opt"))
            if "security.capability" in os.listxattr(root / "opt" / name)
        }
    assert {name: found.get(name) for name in KEPT} == dict.fromkeys(KEPT, CAPABILITY)
    assert "content" not in found
