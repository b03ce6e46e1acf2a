from __future__ import annotations

import errno
import fcntl
import os
import shutil
from pathlib import Path

import pytest

from sealift.store.leases import FORGET, Leases
from sealift.store.locks import Flock


def refuse(descriptor: int, operation: int) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


@pytest.fixture
def folder(tmp_path: Path) -> str:
    return str(tmp_path / "store" / "leases")


def test_everybody_s_names(folder: str) -> None:
    first, second, third = Leases(folder), Leases(folder), Leases(folder)
    first.add("packs/a")
    first.add("packs/a")
    first.add("packs/b")
    second.add("packs/c")
    assert third.in_use() == {"packs/a", "packs/b", "packs/c"}
    first.close()
    assert third.in_use() == {"packs/c"}
    second.close()
    third.close()
    assert os.listdir(folder) == []


def test_a_purged_lease_is_written_again_as_a_whole(folder: str) -> None:
    user, other = Leases(folder), Leases(folder)
    user.add("packs/a")
    shutil.rmtree(os.path.dirname(folder))
    assert other.in_use() == frozenset()
    user.add("packs/b")
    assert other.in_use() == {"packs/a", "packs/b"}
    user.close()


@pytest.mark.parametrize(
    ("host", "age", "flock", "counts"),
    [
        ("elsewhere", 0.0, fcntl.flock, True),
        ("elsewhere", FORGET + 10, fcntl.flock, False),
        ("elsewhere", 0.0, refuse, True),
        ("here", 0.0, refuse, True),
        ("here", FORGET + 10, refuse, False),
        ("here", 0.0, fcntl.flock, False),
    ],
)
def test_leases_that_nobody_locks(folder: str, host: str, age: float, flock: Flock, counts: bool) -> None:
    """Locks may not reach across hosts, or not exist: then age decides."""
    os.makedirs(folder)
    name = os.uname().nodename if host == "here" else host
    path = Path(folder, f"{name}.1-abc")
    path.write_text("packs/a\n")
    stamp = path.stat().st_mtime - age
    os.utime(path, (stamp, stamp))
    assert Leases(folder, flock=flock).in_use() == ({"packs/a"} if counts else frozenset())
    assert path.exists() is counts
