from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import BinaryIO

import pytest

from sealift.core.digest import Digest, sha256
from sealift.errors import ImageError
from sealift.store import Damaged, Pruned, Store, Usage
from sealift.store.accounts import KEEP_PARTS
from sealift.store.locks import Flock


def refuse(descriptor: int, operation: int) -> None:
    raise OSError(errno.ENOLCK, "No locks available")


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(tmp_path / "store")


def pack(file: BinaryIO) -> None:
    file.write(b"x" * 100)


def fill(root: str) -> None:
    """Entries of 100 bytes, `a` used longest ago."""
    with Store(root) as store:
        for number, key in enumerate("abcd"):
            path = store.entry("packs", key, pack)
            os.utime(path, (1000 + number, 1000 + number))
        store.put_blob(b"y" * 100, sha256(b"y" * 100))
        path = store.blob(sha256(b"y" * 100)) or ""
        os.utime(path, (500, 500))


def packs(root: str) -> list[str]:
    return sorted(os.listdir(os.path.join(root, "packs")))


def test_usage(root: str) -> None:
    fill(root)
    assert Store(root).usage() == (
        Usage(kind="blobs", count=1, size=100, oldest_use=500.0, latest_use=500.0),
        Usage(kind="packs", count=4, size=400, oldest_use=1000.0, latest_use=1003.0),
    )


def test_what_was_used_longest_ago_goes_first(root: str) -> None:
    fill(root)
    with Store(root) as store:
        assert store.prune(250) == Pruned(removed=3, freed=300, left=200, in_use=0)
    assert packs(root) == ["c", "d"]


@pytest.mark.parametrize("limit", [500, 10_000, None])
def test_enough_room(root: str, limit: int | None) -> None:
    fill(root)
    with Store(root) as store:
        assert store.prune(limit) == Pruned(removed=0, freed=0, left=500, in_use=0)


def test_the_cap_is_the_default(root: str) -> None:
    fill(root)
    with Store(root, cap=lambda: 100) as store:
        assert store.prune() == Pruned(removed=4, freed=400, left=100, in_use=0)
    assert packs(root) == ["d"]


@pytest.mark.parametrize("flock", [fcntl.flock, refuse])
def test_what_is_in_use_stays(root: str, flock: Flock) -> None:
    """By this store, by another one (as of another process), with and without locks."""
    fill(root)
    with Store(root, flock=flock) as user, Store(root, flock=flock) as pruner:
        user.find("packs", "a")
        pruner.find("packs", "b")
        assert pruner.prune(0) == Pruned(removed=3, freed=300, left=200, in_use=200)
        assert packs(root) == ["a", "b"]
        user.close()
        pruner.close()
        assert pruner.prune(0) == Pruned(removed=2, freed=200, left=0, in_use=0)


def test_leases_of_dead_processes_do_not_count(root: str) -> None:
    fill(root)
    pid = os.fork()
    if pid == 0:
        Store(root).find("packs", "a")
        os._exit(0)
    os.waitpid(pid, 0)
    assert len(os.listdir(os.path.join(root, "leases"))) == 1
    with Store(root) as store:
        assert store.prune().removed == 0
        assert os.listdir(os.path.join(root, "leases")) == []
        assert store.prune(0).in_use == 0


def test_a_fork_has_leases_of_its_own(root: str) -> None:
    fill(root)
    store = Store(root)
    store.find("packs", "a")
    pid = os.fork()
    if pid == 0:
        store.find("packs", "b")
        os._exit(0 if len(os.listdir(os.path.join(root, "leases"))) == 2 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    store.close()


def test_old_parts_are_swept_and_fresh_downloads_kept(root: str, tmp_path: Path) -> None:
    parts = Path(root, "parts")
    parts.mkdir(parents=True)
    host = os.uname().nodename

    def leave(name: str, age: float) -> str:
        path = parts / f"{name}.{host}.1-a.part"
        path.write_bytes(b"x" * 10)
        stamp = path.stat().st_mtime - age
        os.utime(path, (stamp, stamp))
        return path.name

    fresh = leave("blobs-sha256-fresh", 100)
    leave("blobs-sha256-old", KEEP_PARTS + 100)
    leave("packs-dead", 100)
    young = leave("packs-young", 0)
    with Store(root) as store:
        running = store._parts.new("packs-running")
        assert store.prune() == Pruned(removed=2, freed=20, left=10, in_use=0)
        assert sorted(os.listdir(parts)) == sorted([fresh, young, os.path.basename(running.path)])
        assert store.prune(5) == Pruned(removed=1, freed=10, left=0, in_use=0)
        running.discard()
    assert os.listdir(parts) == [young]


def test_remains_of_killed_processes_are_swept(root: str) -> None:
    with Store(root) as store:
        store.put_record("tags", "a", {})
        names = [
            "records/tags/.a.json.1234.part",
            "locks/packs-x.link",
            "locks/packs-x.link.host.1.ab",
            "locks/packs-y",
        ]
        for name in names:
            for path, age in ((Path(root, name), 0), (Path(root, name.replace("1", "2").replace("x", "z")), 10**6)):
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(b"")
                os.utime(path, (path.stat().st_mtime - age,) * 2)
        store.prune()
        assert sorted(os.listdir(Path(root, "records/tags"))) == [".a.json.1234.part", "a.json"]
        assert sorted(os.listdir(Path(root, "locks"))) == ["packs-x.link", "packs-x.link.host.1.ab", "packs-y"]


class TestVerify:
    def test_a_whole_store(self, root: str) -> None:
        fill(root)
        assert Store(root).verify() == ()

    def test_damage_is_told_and_removed(self, root: str) -> None:
        fill(root)
        store = Store(root)
        blob = sha256(b"y" * 100)
        Path(root, "blobs", "sha256", blob[7:]).write_bytes(b"z" * 100)
        Path(root, "blobs", "sha256", "junk").write_bytes(b"")
        made = sha256(b"made")

        def make(file: BinaryIO) -> Digest:
            file.write(b"made")
            return made

        path = store.entry("images", "i", make)
        Path(path).write_bytes(b"mode")

        def check(path: str) -> None:
            if path.endswith("b"):
                raise ImageError("its index is damaged")

        assert store.verify({"packs": check}) == (
            Damaged(name="blobs/sha256/" + blob[7:], problem=f"its digest is `{sha256(b'z' * 100)}`, not `{blob}`"),
            Damaged(name="blobs/sha256/junk", problem="not a sha256 or sha512 digest: 'sha256:junk'"),
            Damaged(name="images/i", problem=f"its digest is `{sha256(b'mode')}`, not `{made}`"),
            Damaged(name="packs/b", problem="its index is damaged"),
        )
        assert packs(root) == ["a", "c", "d"]
        assert store.verify({"packs": check}) == ()

    def test_notes_of_what_is_gone_are_swept(self, root: str) -> None:
        with Store(root) as store:
            path = store.entry("images", "i", lambda file: sha256(b"") if file.write(b"") == 0 else None)
            note = Path(root, "digests", "images", "i")
            os.utime(note, (1000, 1000))
            store.prune()
            assert note.exists()
            os.unlink(path)
            store.prune()
            assert not note.exists()
