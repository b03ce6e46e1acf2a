"""Images from a registry, with the store and the downloads behind them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from sealift.bases.image import BaseImage
from sealift.bases.open import Network, open_image
from sealift.core.digest import sha256
from sealift.core.event import Advanced, Began, Ended, Event
from sealift.core.reference import parse_reference
from sealift.errors import ImageError, MismatchError, SealiftError, UnreachableError
from sealift.oci.manifest import Platform
from sealift.registry import Patience
from sealift.store import Store
from tests.registry.misbehaving import Image, Reply, Server, serving

AMD64 = Platform(architecture="amd64")
LAYERS = [bytes(range(256)) * 4000, b"second" * 1000, b"third", b""]
Open = Callable[..., AbstractContextManager[BaseImage]]


@pytest.fixture
def image() -> Image:
    return Image(
        repository="org/app",
        layers=list(LAYERS),
        config={"config": {"Env": ["A=b"]}, "created": "1970-01-01T00:01:00Z"},
    )


@pytest.fixture
def server(image: Image) -> Iterator[Server]:
    with serving(image) as running:
        yield running


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(str(tmp_path / "store")) as store:
        yield store


@pytest.fixture
def opened(server: Server, store: Store, events: list[Event], tmp_path: Path) -> Open:
    """Open the image of the server, by tag or as told."""

    @contextmanager
    def run(name: str = "org/app:1", patience: Patience | None = None) -> Iterator[BaseImage]:
        network = Network(env={"HOME": str(tmp_path)}, patience=patience or Patience(first=0.001))
        reference = parse_reference(f"{server.host}/{name}")
        with open_image(reference, AMD64, store=store, network=network, events=events.append) as image:
            yield image

    return run


def read(image: BaseImage) -> list[bytes]:
    return [layer.read(read_all) for layer in image.layers]


def read_all(stream: BinaryIO) -> bytes:
    return b"".join(iter(lambda: stream.read(100_000), b""))


def threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("sealift")]


def test_the_whole_value(image: Image, server: Server, opened: Open) -> None:
    with opened() as found:
        assert found.origin == f"{server.host}/org/app:1@{image.digest}"
        assert (found.digest, found.index, found.created, found.config.env) == (image.digest, None, 60, ("A=b",))
        assert [(layer.digest, layer.diff_id, layer.size, layer.media_type) for layer in found.layers] == [
            (sha256(data), sha256(data), len(data), "application/vnd.oci.image.layer.v1.tar") for data in LAYERS
        ]
        assert found.manifest == image.manifest
        assert read(found) == LAYERS
    assert threads() == []


def test_what_is_not_opened_is_not_fetched(server: Server, opened: Open) -> None:
    with opened() as found:
        assert found.layers[1].read(read_all) == LAYERS[1]
    fetched = [seen.path.rpartition("/")[2] for seen in server.requests("blobs")]
    assert fetched == [sha256(found.config.raw), sha256(LAYERS[1])]


def test_the_second_time_only_the_tag_is_asked(server: Server, opened: Open) -> None:
    with opened() as found:
        assert read(found) == LAYERS
    server.seen.clear()
    with opened() as found:
        assert read(found) == LAYERS
    assert [seen.path for seen in server.seen] == ["/v2/org/app/manifests/1"]


def test_a_digest_that_is_known_needs_no_network(image: Image, server: Server, opened: Open) -> None:
    with opened() as found:
        read(found)
    server.seen.clear()
    with opened(f"org/app@{image.digest}") as found:
        assert read(found) == LAYERS
    assert server.seen == []


def test_layers_are_read_while_they_arrive(server: Server, opened: Open) -> None:
    rest = threading.Event()
    server.fault(sha256(LAYERS[0]), Reply(body=LAYERS[0], cut=5000, wait=rest))
    with opened() as found, found.layers[0].open() as stream:
        assert len(stream.read(5000)) > 0
        rest.set()
        assert LAYERS[0].endswith(read_all(stream))


def test_all_are_brought_at_once(server: Server, opened: Open, store: Store) -> None:
    """Four downloads run side by side: each waits for all the others to have begun."""
    gates = [threading.Event() for _ in LAYERS]
    for data, gate in zip(LAYERS[:3], gates, strict=False):
        server.fault(sha256(data), Reply(body=data, wait=gate))
    with opened() as found:
        found.fetch(found.layers)
        while len(server.requests("blobs")) < 4:
            assert threads() != []
        for gate in gates:
            gate.set()
        assert read(found) == LAYERS


def test_progress_is_told(opened: Open, events: list[Event]) -> None:
    with opened() as found:
        read(found)
        layer = found.layers[0]
    task = f"fetch {layer.digest}"
    own = [event for event in events if getattr(event, "task", "") == task]
    assert own[0] == Began(task=task, label=f"layer 1/4 {layer.digest[7:19]}", total=layer.size)
    assert own[-1] == Ended(task=task)
    assert sum(event.amount for event in own if isinstance(event, Advanced)) == layer.size
    events.clear()
    with opened() as found:
        found.layers[0].read(read_all)
    assert [event for event in events if isinstance(event, Ended)] == [Ended(task=task, note="cached")]


def test_wrong_bytes_are_fetched_anew_and_read_anew(server: Server, opened: Open) -> None:
    """The reader took wrong bytes already; `Layer.read` gives it the right ones from the start."""
    tries: list[int] = []
    server.fault(sha256(LAYERS[0]), Reply(body=b"x" * len(LAYERS[0])))

    def work(stream: BinaryIO) -> bytes:
        tries.append(1)
        return read_all(stream)

    with opened() as found:
        assert found.layers[0].read(work) == LAYERS[0]
    assert len(tries) in (1, 2)


def test_wrong_bytes_for_good(server: Server, opened: Open, store: Store) -> None:
    server.fault(sha256(LAYERS[0]), *[Reply(body=b"x" * len(LAYERS[0]))] * 9)
    with opened() as found:
        with pytest.raises(MismatchError, match=r"arrived as other bytes|arrived damaged"):
            found.layers[0].read(read_all)
        assert found.layers[1].read(read_all) == LAYERS[1]
    assert store.blob(sha256(LAYERS[0])) is None
    assert os.listdir(os.path.join(store.root, "parts")) == []


def test_a_maker_that_stops_early_is_held_to_the_end(server: Server, opened: Open) -> None:
    """A tar reader stops at the end mark; what lies behind it counts for the digest."""
    server.fault(sha256(LAYERS[0]), *[Reply(body=LAYERS[0][:-1] + b"x")] * 9)
    with opened() as found, pytest.raises(MismatchError):
        found.layers[0].read(lambda stream: stream.read(100))


def test_a_maker_s_complaint_about_wrong_bytes_is_not_believed(server: Server, opened: Open) -> None:
    """What arrived damaged is fetched anew; what is damaged at its origin is complained of."""
    server.fault(sha256(LAYERS[0]), Reply(body=b"x" * len(LAYERS[0])))

    def work(stream: BinaryIO) -> bytes:
        data = stream.read(10)
        if data.startswith(b"x"):
            raise ImageError("not a tar stream")
        return data + read_all(stream)

    def grumble(stream: BinaryIO) -> bytes:
        raise ImageError("not to my taste")

    with opened() as found:
        assert found.layers[0].read(work) == LAYERS[0]
        with pytest.raises(ImageError, match="not to my taste"):
            found.layers[0].read(grumble)


def test_a_failed_download_reaches_the_reader_and_may_be_tried_again(server: Server, opened: Open) -> None:
    server.fault(sha256(LAYERS[0]), *[Reply(body=LAYERS[0], cut=0)] * 2)
    with opened(patience=Patience(tries=2, first=0.001)) as found:
        with pytest.raises(UnreachableError):
            found.layers[0].read(read_all)
        assert found.layers[0].read(read_all) == LAYERS[0]


def test_what_was_cut_is_resumed_next_time(server: Server, opened: Open) -> None:
    server.fault(sha256(LAYERS[0]), Reply(body=LAYERS[0], cut=400_000), Reply(status=400))
    with opened() as found, pytest.raises(SealiftError):
        found.layers[0].read(read_all)
    with opened() as found:
        assert found.layers[0].read(read_all) == LAYERS[0]
    assert [seen.headers.get("range") for seen in server.requests(sha256(LAYERS[0]))] == [
        None,
        "bytes=400000-",
        "bytes=400000-",
    ]


def test_leaving_early_ends_everything(server: Server, opened: Open, store: Store) -> None:
    """An error in the block, or Ctrl-C: no thread stays, and what arrived is kept."""
    silence = threading.Event()
    server.fault(sha256(LAYERS[0]), Reply(body=LAYERS[0], cut=5000, wait=silence))

    def leave() -> None:
        with opened() as found:
            found.fetch(found.layers[:1])
            with found.layers[0].open() as stream:
                assert stream.read(5000) != b""
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        leave()
    assert threads() == []
    silence.set()
    (part,) = os.listdir(os.path.join(store.root, "parts"))
    assert part.startswith("blobs-sha256-")


def test_equal_layers_are_fetched_once(server: Server, opened: Open) -> None:
    twice = Image(repository="org/twice", layers=[b"same", b"same"])
    server.handlers.append(twice)
    with opened("org/twice:1") as found:
        found.fetch(found.layers)
        assert read(found) == [b"same", b"same"]
    assert len(server.requests(sha256(b"same"))) == 1


def test_the_purge_of_the_store_while_reading(opened: Open, store: Store) -> None:
    import shutil

    with opened() as found:
        read(found)
    with opened() as found:
        shutil.rmtree(store.root)
        assert read(found) == LAYERS
