from __future__ import annotations

import errno
import os
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import pytest

from sealift.core.digest import Digest, sha256
from sealift.core.event import Event, Said
from sealift.errors import FetchError, HostError, ImageError, MismatchError
from sealift.store import Arrival, Store

DATA = bytes(range(256)) * 1000
DIGEST = sha256(DATA)


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def store(tmp_path: Path, events: list[Event]) -> Store:
    return Store(str(tmp_path / "store"), events=events.append)


def files(store: Store) -> dict[str, bytes]:
    """Everything but locks and leases."""
    found = {}
    for folder, _, names in os.walk(store.root):
        for name in names:
            path = os.path.join(folder, name)
            relative = os.path.relpath(path, store.root)
            if relative.partition("/")[0] not in ("locks", "leases"):
                found[relative] = Path(path).read_bytes()
    return found


def writes(data: bytes) -> Callable[[BinaryIO], None]:
    def make(file: BinaryIO) -> None:
        file.write(data)

    return make


def never(_file: BinaryIO) -> None:
    raise AssertionError("made although it is there")


class TestEntries:
    def test_is_made_once(self, store: Store) -> None:
        path = store.entry("packs", "abc", writes(b"pack"))
        assert Path(path).read_bytes() == b"pack"
        assert store.entry("packs", "abc", never) == path
        assert store.find("packs", "abc") == path
        assert files(store) == {"packs/abc": b"pack"}

    def test_a_digest_is_a_key(self, store: Store) -> None:
        assert store.entry("packs", DIGEST, writes(b"")) == os.path.join(store.root, "packs", DIGEST[7:])

    def test_a_maker_may_seek_and_use_the_descriptor(self, store: Store) -> None:
        def make(file: BinaryIO) -> None:
            file.write(b"0123456789")
            file.seek(2)
            file.write(b"xx")
            file.flush()
            os.pwrite(file.fileno(), b"yy", 5)

        assert Path(store.entry("packs", "abc", make)).read_bytes() == b"01xx4yy789"

    def test_a_failed_maker_leaves_nothing(self, store: Store) -> None:
        def make(file: BinaryIO) -> None:
            file.write(b"half")
            raise ImageError("no")

        with pytest.raises(ImageError, match="no"):
            store.entry("packs", "abc", make)
        assert files(store) == {}
        assert store.find("packs", "abc") is None

    def test_a_full_disk_is_told_with_a_hint(self, store: Store) -> None:
        def make(file: BinaryIO) -> None:
            raise OSError(errno.ENOSPC, "No space left on device")

        with pytest.raises(HostError, match="the disk is full while writing the cache") as caught:
            store.entry("packs", "abc", make)
        assert caught.value.hints[0] == "free some: sealift cache prune"
        assert files(store) == {}

    def test_a_damaged_entry_is_a_miss_and_is_made_anew(self, store: Store, events: list[Event]) -> None:
        def check(path: str) -> None:
            if Path(path).read_bytes() != b"good":
                raise ImageError("its footer is missing")

        path = store.entry("packs", "abc", writes(b"good"), check=check)
        Path(path).write_bytes(b"goo")
        assert store.find("packs", "abc", check=check) is None
        assert events == [
            Said(text="the cached packs/abc is damaged and is made anew: its footer is missing", level="warning")
        ]
        assert Path(store.entry("packs", "abc", writes(b"good"), check=check)).read_bytes() == b"good"

    def test_threads_of_one_process_share(self, store: Store) -> None:
        made: list[int] = []
        barrier = threading.Barrier(8)

        def make(file: BinaryIO) -> None:
            made.append(1)
            file.write(b"pack")

        def work() -> None:
            barrier.wait(30)
            assert Path(store.entry("packs", "abc", make)).read_bytes() == b"pack"

        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert made == [1]

    @pytest.mark.parametrize(
        ("kind", "key"), [("blobs", "a"), ("packs", "../a"), ("packs", ""), ("a/b", "c"), ("parts", "x")]
    )
    def test_names_stay_inside(self, store: Store, kind: str, key: str) -> None:
        with pytest.raises(ValueError, match="not a"):
            store.find(kind, key)

    def test_dropped(self, store: Store) -> None:
        store.entry("packs", "abc", lambda file: sha256(b"") if file.write(b"") == 0 else None)
        assert set(files(store)) == {"packs/abc", "digests/packs/abc"}
        store.drop("packs", "abc")
        store.drop("packs", "abc")
        assert files(store) == {}


class TestBlobs:
    def receive(self, store: Store, *pieces: bytes, digest: Digest = DIGEST, size: int = len(DATA)) -> None:
        arrival = Arrival(digest, size)
        try:
            with store.receive(arrival) as blob:
                assert blob is not None
                for piece in pieces:
                    blob.write(piece)
                blob.finish()
            assert arrival.reader().readall() == DATA  # type: ignore[attr-defined]
        finally:
            arrival.close()

    def test_arrive_and_are_verified(self, store: Store) -> None:
        self.receive(store, DATA[:1000], DATA[1000:])
        assert files(store) == {f"blobs/sha256/{DIGEST[7:]}": DATA}
        assert store.blob(DIGEST, len(DATA)) == os.path.join(store.root, "blobs", "sha256", DIGEST[7:])

    def test_one_that_is_there_is_not_fetched(self, store: Store) -> None:
        store.put_blob(DATA, DIGEST)
        arrival = Arrival(DIGEST, len(DATA))
        with store.receive(arrival) as blob:
            assert blob is None
        assert arrival.reader().readall() == DATA  # type: ignore[attr-defined]
        arrival.close()

    def test_an_interrupted_one_is_resumed(self, store: Store) -> None:
        with pytest.raises(FetchError, match="cut"), store.receive(Arrival(DIGEST, len(DATA))) as blob:
            assert blob is not None
            blob.write(DATA[:1234])
            raise FetchError("cut")
        assert list(files(store).values()) == [DATA[:1234]]
        arrival = Arrival(DIGEST, len(DATA))
        with store.receive(arrival) as blob:
            assert blob is not None
            assert blob.arrived == 1234
            assert arrival.reader().read(2000) == DATA[:1234]
            blob.write(DATA[1234:])
            blob.finish()
        assert files(store) == {f"blobs/sha256/{DIGEST[7:]}": DATA}
        arrival.close()

    def test_the_end_without_finish_is_an_error(self, store: Store) -> None:
        arrival = Arrival(DIGEST, len(DATA))
        with pytest.raises(FetchError, match="was not finished"), store.receive(arrival):
            pass
        with pytest.raises(FetchError, match="was not finished"):
            arrival.wait()
        assert files(store) == {}

    @pytest.mark.parametrize(
        ("pieces", "message"),
        [
            ((DATA[:-1] + b"x",), "arrived as other bytes, whose digest is `sha256:"),
            ((DATA, b"x"), f"is longer than the {len(DATA)} bytes that its manifest says"),
            ((DATA[:-1],), f"has {len(DATA) - 1} bytes, where its manifest says {len(DATA)}"),
        ],
    )
    def test_wrong_bytes_are_not_kept(self, store: Store, pieces: tuple[bytes, ...], message: str) -> None:
        with pytest.raises(MismatchError, match=message):
            self.receive(store, *pieces)
        assert store.blob(DIGEST) is None
        assert not any(name.startswith("blobs") for name in files(store))

    def test_a_wrong_part_is_found_out(self, store: Store) -> None:
        """What an earlier process left was damaged on disk: the digest says so, and the next attempt starts anew."""
        with pytest.raises(FetchError), store.receive(Arrival(DIGEST, len(DATA))) as blob:
            assert blob is not None
            blob.write(b"x" * 100)
            raise FetchError("cut")
        with pytest.raises(MismatchError), store.receive(Arrival(DIGEST, len(DATA))) as blob:
            assert blob is not None
            blob.write(DATA[100:])
            blob.finish()
        assert files(store) == {}
        self.receive(store, DATA)

    def test_a_part_that_is_too_long_is_not_used(self, store: Store) -> None:
        with pytest.raises(FetchError), store.receive(Arrival(DIGEST, len(DATA) + 9)) as blob:
            assert blob is not None
            blob.write(DATA + b"123456789")
            raise FetchError("cut")
        self.receive(store, DATA)

    def test_a_full_disk_gives_its_space_back(self, store: Store) -> None:
        arrival = Arrival(DIGEST, len(DATA))
        with pytest.raises(HostError, match="the disk is full"), store.receive(arrival) as blob:
            assert blob is not None
            blob.write(DATA[:1000])
            raise OSError(errno.ENOSPC, "No space left on device")
        with pytest.raises(HostError, match="the disk is full"):
            arrival.wait()
        assert files(store) == {}

    def test_sha512(self, store: Store) -> None:
        import hashlib

        digest = Digest("sha512:" + hashlib.sha512(DATA).hexdigest())
        self.receive(store, DATA, digest=digest)
        assert store.read_blob(digest, len(DATA)) == DATA

    def test_one_of_the_wrong_size_is_a_miss(self, store: Store, events: list[Event]) -> None:
        store.put_blob(DATA, DIGEST)
        path = store.blob(DIGEST)
        assert path is not None
        os.truncate(path, 10)
        assert store.blob(DIGEST, len(DATA)) is None
        assert files(store) == {}
        assert events == [Said(text=f"the cached blob {DIGEST} is damaged and is fetched anew", level="warning")]

    def test_small_ones_are_read_verified(self, store: Store) -> None:
        store.put_blob(b"small", sha256(b"small"))
        assert store.read_blob(sha256(b"small"), 5) == b"small"
        assert store.read_blob(DIGEST, 5) is None
        path = store.blob(sha256(b"small"))
        assert path is not None
        Path(path).write_bytes(b"smell")
        assert store.read_blob(sha256(b"small"), 5) is None
        assert files(store) == {}
        with pytest.raises(MismatchError):
            store.put_blob(b"smell", sha256(b"small"))


class TestRecords:
    def test_are_kept(self, store: Store) -> None:
        assert store.record("tags", "a.b") is None
        store.put_record("tags", "a.b", {"x": [1]})
        store.put_record("tags", "a.b", {"x": [2]})
        assert store.record("tags", "a.b") == {"x": [2]}
        assert files(store) == {"records/tags/a.b.json": b'{"x": [2]}\n'}

    @pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff"])
    def test_damaged_ones_are_a_miss(self, store: Store, data: bytes) -> None:
        store.put_record("tags", "a", {})
        Path(store.root, "records/tags/a.json").write_bytes(data)
        assert store.record("tags", "a") is None


class TestPurges:
    """A site removes files of a scratch file system whenever it likes."""

    def test_everything_is_gone(self, store: Store) -> None:
        store.put_blob(DATA, DIGEST)
        store.put_record("tags", "a", {})
        store.entry("packs", "abc", writes(b"pack"))
        shutil.rmtree(store.root)
        assert store.blob(DIGEST) is None
        assert store.record("tags", "a") is None
        assert store.find("packs", "abc") is None
        assert store.usage() == ()
        assert store.verify() == ()
        store.put_record("tags", "a", {})
        store.put_blob(DATA, DIGEST)
        store.entry("packs", "abc", writes(b"pack"))
        assert set(files(store)) == {"packs/abc", "records/tags/a.json", f"blobs/sha256/{DIGEST[7:]}"}

    def test_while_something_is_made(self, store: Store) -> None:
        def make(file: BinaryIO) -> None:
            file.write(b"first half,")
            shutil.rmtree(store.root)
            file.write(b" second half")

        assert Path(store.entry("packs", "abc", make)).read_bytes() == b"first half, second half"
        assert Path(store.entry("packs", "abc", never)).exists()

    def test_while_a_blob_arrives(self, store: Store) -> None:
        arrival = Arrival(DIGEST, len(DATA))
        with store.receive(arrival) as blob:
            assert blob is not None
            blob.write(DATA[:1000])
            shutil.rmtree(store.root)
            blob.write(DATA[1000:])
            blob.finish()
        assert arrival.reader().readall() == DATA  # type: ignore[attr-defined]
        assert files(store) == {f"blobs/sha256/{DIGEST[7:]}": DATA}
        arrival.close()


def test_a_folder_in_the_way_is_a_host_error(store: Store) -> None:
    os.makedirs(store.root)
    Path(store.root, "packs").write_text("a file")
    with pytest.raises(HostError, match="while writing the cache"):
        store.entry("packs", "abc", writes(b""))


def test_use_is_stamped(store: Store) -> None:
    path = store.entry("packs", "abc", writes(b""))
    os.utime(path, (1000, 1000))
    store.find("packs", "abc")
    assert os.stat(path).st_mtime > 1000


def test_no_descriptor_is_left(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    with Store(str(tmp_path / "store")) as store:
        store.entry("packs", "abc", writes(b"x"))
        store.put_blob(DATA, DIGEST)
        arrival = Arrival(DIGEST, len(DATA))
        with store.receive(arrival):
            pass
        arrival.close()
        store.prune(0)
    assert os.listdir("/proc/self/fd") == before
