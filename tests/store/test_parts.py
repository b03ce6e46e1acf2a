from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest

from sealift.store.locks import Flock
from sealift.store.parts import QUIET, SETTLED, Parts, part_name


def refuse(descriptor: int, operation: int) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


def leave(parts: Parts, name: str, data: bytes, *, mtime: float | None = None) -> str:
    """A part whose writer is gone."""
    part = parts.new(name)
    part.file.write(data)
    part.close()
    if mtime is not None:
        os.utime(part.path, (mtime, mtime))
    return part.path


def test_a_part_becomes_whole(tmp_path: Path) -> None:
    parts = Parts(str(tmp_path / "parts"))
    part = parts.new("blobs-x")
    part.file.write(b"data")
    (tmp_path / "blobs").mkdir()
    part.finish(str(tmp_path / "blobs" / "x"))
    assert (tmp_path / "blobs" / "x").read_bytes() == b"data"
    assert list(parts.all()) == []


def test_the_longest_part_of_a_dead_writer_is_resumed(tmp_path: Path) -> None:
    parts = Parts(str(tmp_path))
    leave(parts, "blobs-x", b"12")
    leave(parts, "blobs-x", b"1234")
    leave(parts, "blobs-y", b"123456")
    running = parts.new("blobs-x")
    running.file.write(b"12345678")
    part = parts.resume("blobs-x")
    assert part.file.read() == b"1234"
    assert sorted(map(part_name, parts.dead())) == ["blobs-x", "blobs-y"]
    assert len(list(parts.all())) == 4
    part.discard()
    running.discard()


def test_nothing_to_resume(tmp_path: Path) -> None:
    part = Parts(str(tmp_path)).resume("blobs-x")
    assert part.file.read() == b""
    part.discard()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("flock", "host", "pid", "age", "dead"),
    [
        (None, "here", "1", 0.0, True),
        (None, "there", "1", 0.0, False),
        (None, "there", "1", QUIET + 1, True),
        (refuse, "here", "1", QUIET + 1, False),
        (refuse, "here", "4194305", SETTLED - 1, False),
        (refuse, "here", "4194305", SETTLED + 1, True),
        (refuse, "there", "4194305", SETTLED + 1, False),
        (refuse, "there", "1", QUIET + 1, True),
        (None, "here", "x", 0.0, True),
        (refuse, "here", "x", SETTLED + 1, True),
    ],
)
def test_who_counts_as_dead(tmp_path: Path, flock: Flock | None, host: str, pid: str, age: float, dead: bool) -> None:
    """Process 1 lives always; a number above the kernel's largest never does."""
    path = tmp_path / f"blobs-x.{host}.{pid}-abc.part"
    path.write_bytes(b"")
    os.utime(path, (1000.0, 1000.0))
    options = {} if flock is None else {"flock": flock}
    parts = Parts(str(tmp_path), clock=lambda: 1000.0 + age, host="here", **options)
    assert list(parts.dead()) == ([str(path)] if dead else [])


def test_a_part_that_was_purged_while_it_was_written(tmp_path: Path) -> None:
    parts = Parts(str(tmp_path / "store" / "parts"))
    part = parts.new("blobs-x")
    part.file.write(b"data")
    shutil.rmtree(tmp_path / "store")
    part.finish(str(tmp_path / "store" / "blobs" / "x"))
    assert (tmp_path / "store" / "blobs" / "x").read_bytes() == b"data"
    assert list(parts.all()) == []


def test_names_that_are_not_ours_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "README").write_text("mine")
    parts = Parts(str(tmp_path))
    assert (list(parts.all()), list(parts.dead())) == ([], [])
