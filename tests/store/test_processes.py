"""Several real processes on one store, and some of them die."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest

from sealift.core.digest import sha256
from sealift.core.event import Event, Said
from sealift.store import Arrival, Store

DATA = bytes(range(256)) * 1000
DIGEST = sha256(DATA)

PROLOGUE = f"""
import sys
from sealift.core.digest import sha256
from sealift.store import Arrival, Store

DATA = bytes(range(256)) * 1000
DIGEST = {DIGEST!r}

def say(*words):
    print(*words, flush=True)

def told():
    return sys.stdin.readline()

store = Store(sys.argv[1], events=lambda event: say("event", event.text))
"""


@contextmanager
def process(store: Store, script: str) -> Iterator[subprocess.Popen[str]]:
    """A Python process that speaks with the test by lines; killed at the end."""
    child = subprocess.Popen(
        [sys.executable, "-c", PROLOGUE + textwrap.dedent(script), store.root],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        yield child
    finally:
        child.kill()
        child.communicate()


def line(child: subprocess.Popen[str]) -> str:
    assert child.stdout is not None
    return child.stdout.readline().rstrip("\n")


def tell(child: subprocess.Popen[str]) -> None:
    assert child.stdin is not None
    child.stdin.write("go\n")
    child.stdin.flush()


def kill(child: subprocess.Popen[str]) -> None:
    child.send_signal(signal.SIGKILL)
    child.wait(60)


@pytest.fixture
def events() -> list[Event]:
    return []


@pytest.fixture
def store(tmp_path: Path, events: list[Event]) -> Store:
    return Store(str(tmp_path / "store"), events=events.append)


MAKE = """
def make(file):
    file.write(b"made by the child")
    file.flush()
    say("making")
    told()

path = store.entry("packs", "abc", make, what="the pack of ubuntu")
say("has", open(path).read())
"""


def test_one_makes_and_the_other_waits_and_shares(store: Store) -> None:
    with process(store, MAKE) as first:
        assert line(first) == "making"
        with process(store, MAKE) as second:
            assert line(second) == "event another sealift is making the pack of ubuntu, waiting"
            tell(first)
            assert line(first) == "has made by the child"
            assert line(second) == "has made by the child"


def test_the_maker_dies_and_the_waiting_one_makes(store: Store) -> None:
    with process(store, MAKE) as first:
        assert line(first) == "making"
        with process(store, MAKE) as second:
            assert line(second).startswith("event another sealift")
            kill(first)
            assert line(second) == "making"
            tell(second)
            assert line(second) == "has made by the child"
    part = next(iter(store._parts.dead()))
    os.utime(part, (1000, 1000))
    store.prune()
    assert list(store._parts.all()) == []


def test_the_part_of_a_running_process_is_not_swept(store: Store) -> None:
    with process(store, MAKE) as child:
        assert line(child) == "making"
        (part,) = store._parts.all()
        os.utime(part, (1000, 1000))
        assert store.prune(0).removed == 0
        assert list(store._parts.all()) == [part]
        kill(child)
        assert store.prune(0).removed == 1
        assert list(store._parts.all()) == []


RECEIVE = """
arrival = Arrival(DIGEST, len(DATA))
with store.receive(arrival) as blob:
    if blob is None:
        say("was there")
    else:
        say("has", blob.arrived)
        blob.write(DATA[blob.arrived:blob.arrived + 10_000])
        say("wrote")
        told()
        blob.write(DATA[blob.arrived:])
        blob.finish()
        say("whole")
"""


def test_a_killed_download_is_resumed_by_another_process(store: Store) -> None:
    with process(store, RECEIVE) as first:
        assert (line(first), line(first)) == ("has 0", "wrote")
        kill(first)
    with process(store, RECEIVE) as second:
        assert (line(second), line(second)) == ("has 10000", "wrote")
        tell(second)
        assert line(second) == "whole"
    path = store.blob(DIGEST, len(DATA))
    assert path is not None
    assert Path(path).read_bytes() == DATA
    assert list(store._parts.all()) == []


def test_two_downloads_of_one_blob(store: Store) -> None:
    with process(store, RECEIVE) as first:
        assert (line(first), line(first)) == ("has 0", "wrote")
        with process(store, RECEIVE) as second:
            assert line(second) == f"event another sealift is making blob {DIGEST[:19]}, waiting"
            tell(first)
            assert line(first) == "whole"
            assert line(second) == "was there"


def test_what_a_running_process_uses_is_not_pruned(store: Store) -> None:
    def make(file: BinaryIO) -> None:
        file.write(b"x")

    store.entry("packs", "used", make)
    store.entry("packs", "unused", make)
    store.close()
    with process(store, "store.find('packs', 'used'); say('uses'); told()") as child:
        assert line(child) == "uses"
        assert (store.prune(0).removed, os.listdir(os.path.join(store.root, "packs"))) == (1, ["used"])
        kill(child)
        assert (store.prune(0).removed, os.listdir(os.path.join(store.root, "packs"))) == (1, [])


@pytest.mark.slow
def test_many_processes_prune_and_use_at_once(store: Store) -> None:
    """Nobody sees a half-written entry, nobody fails, whatever the order."""
    script = """
    import random
    random.seed(int(told()))
    for _ in range(60):
        key = f"k{random.randrange(6)}"
        path = store.entry("packs", key, lambda file: file.write(key.encode() * 5000) and None)
        with open(path, "rb") as file:
            assert file.read() == key.encode() * 5000
        if random.random() < 0.3:
            store.close()
            store.prune(random.randrange(40_000))
    say("done")
    """
    children = []
    with (
        process(store, script) as a,
        process(store, script) as b,
        process(store, script) as c,
        process(store, script) as d,
    ):
        children = [a, b, c, d]
        for number, child in enumerate(children):
            assert child.stdin is not None
            child.stdin.write(f"{number}\n")
            child.stdin.flush()
        for child in children:
            said = ""
            while said.startswith("event") or not said:
                said = line(child) or f"exit {child.wait(60)}"
            assert said == "done"


def test_arrival_and_event_of_this_process(store: Store, events: list[Event]) -> None:
    with process(store, RECEIVE) as first:
        assert (line(first), line(first)) == ("has 0", "wrote")
        kill(first)
    arrival = Arrival(DIGEST, len(DATA))
    with store.receive(arrival) as blob:
        assert blob is not None
        assert blob.arrived == 10_000
        blob.write(DATA[10_000:])
        blob.finish()
    assert arrival.reader().readall() == DATA  # type: ignore[attr-defined]
    arrival.close()
    assert [event for event in events if isinstance(event, Said)] == []
