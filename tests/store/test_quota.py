from __future__ import annotations

import os
from collections.abc import Sequence

import pytest

from sealift.errors import HostError
from sealift.store.quota import find_mount, parse_lustre_quota, user_quota
from sealift.system.process import Completed

MOUNTS = """/dev/root / ext4 rw 0 0
servers:/scratch /scratch lustre rw,flock 0 0
tmpfs /scratch/tmp tmpfs rw 0 0
nfs:/home /home\\040dirs nfs4 rw 0 0
other:/x /scratch/tmp lustre rw 0 0
"""


@pytest.mark.parametrize(
    ("path", "mount"),
    [
        ("/scratch/me/cache", ("lustre", "/scratch")),
        ("/scratch", ("lustre", "/scratch")),
        ("/scratchy", ("ext4", "/")),
        ("/scratch/tmp/x", ("lustre", "/scratch/tmp")),
        ("/home dirs/me", ("nfs4", "/home dirs")),
        ("/", ("ext4", "/")),
    ],
)
def test_mounts(path: str, mount: tuple[str, str]) -> None:
    assert find_mount(MOUNTS, path) == mount


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("       /scratch   10485760  20971520 31457280       -      12       0       0       -\n", 20971520 * 1024),
        ("/scratch 40000000* 0 31457280 6d20h 12 0 0 -", 31457280 * 1024),
        ("/scratch 4 0 0 - 12 0 0 -", None),
        ("/scratch [4] [0] [100] -", None),
        ("", None),
    ],
)
def test_lustre(text: str, size: int | None) -> None:
    assert parse_lustre_quota(text) == size


def test_only_lustre_is_asked() -> None:
    asked: list[Sequence[str]] = []

    def run(argv: Sequence[str], *, timeout: float) -> Completed:
        asked.append(argv)
        return Completed(code=0, out=b"/scratch 1 2 3 - 1 0 0 -", err=b"")

    assert user_quota("/scratch/me", mounts=MOUNTS, run_program=run) == 2048
    assert user_quota("/usr", mounts=MOUNTS, run_program=run) is None
    assert asked == [("lfs", "quota", "-q", "-u", str(os.getuid()), "/scratch")]


def test_without_the_program() -> None:
    def run(argv: Sequence[str], *, timeout: float) -> Completed:
        raise HostError("`lfs` is not installed")

    assert user_quota("/scratch/me", mounts=MOUNTS, run_program=run) is None
