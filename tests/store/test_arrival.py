from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import pytest

from sealift.core.digest import sha256
from sealift.errors import MismatchError, SealiftError, UnreachableError
from sealift.store import Arrival

DATA = bytes(range(256)) * 40


@pytest.fixture
def file(tmp_path: Path) -> Iterator[BinaryIO]:
    with open(tmp_path / "part", "w+b", buffering=0) as file:
        yield file


def write(file: BinaryIO, arrival: Arrival, data: bytes) -> None:
    file.write(data)
    arrival.advance(len(data))


def test_readers_see_what_is_there_and_wait_for_the_rest(file: BinaryIO) -> None:
    arrival = Arrival(sha256(DATA), len(DATA))
    early = arrival.reader()
    file.write(DATA[:10])
    arrival.attach(file.fileno(), 10)
    assert early.read(100) == DATA[:10]
    got: list[bytes] = []
    thread = threading.Thread(target=lambda: got.extend(iter(lambda: early.read(1000), b"")))
    thread.start()
    write(file, arrival, DATA[10:5000])
    write(file, arrival, DATA[5000:])
    arrival.complete()
    thread.join(30)
    assert b"".join(got) == DATA[10:]
    assert arrival.reader().readall() == DATA  # type: ignore[attr-defined]
    assert arrival.reader().read(0) == b""
    arrival.wait()
    arrival.close()


def test_the_end_is_not_given_before_it_is_verified(file: BinaryIO) -> None:
    arrival = Arrival(sha256(DATA), len(DATA))
    arrival.attach(file.fileno(), 0)
    write(file, arrival, DATA)
    reader = arrival.reader()
    got: list[bytes] = []
    assert reader.read(len(DATA)) == DATA
    thread = threading.Thread(target=lambda: got.append(reader.read(1)))
    thread.start()
    thread.join(0.2)
    assert got == []
    arrival.complete()
    thread.join(30)
    assert got == [b""]
    arrival.close()


def test_the_download_s_error_reaches_every_reader(file: BinaryIO) -> None:
    arrival = Arrival(sha256(DATA), len(DATA))
    arrival.attach(file.fileno(), 0)
    reader = arrival.reader()
    write(file, arrival, DATA[:5])
    arrival.fail(UnreachableError("no way", hints=("walk",)))
    assert reader.read(5) == DATA[:5]
    for action in (lambda: reader.read(1), arrival.wait):
        with pytest.raises(UnreachableError) as caught:
            action()
        assert (caught.value.message, caught.value.hints) == ("no way", ("walk",))
    assert arrival.failed
    arrival.close()


def test_an_unforeseen_error_is_told_too(file: BinaryIO) -> None:
    arrival = Arrival(sha256(DATA), 1)
    arrival.fail(KeyboardInterrupt())
    with pytest.raises(SealiftError, match="was interrupted"):
        arrival.reader().read(1)


def test_who_took_wrong_bytes_is_told(file: BinaryIO) -> None:
    arrival = Arrival(sha256(DATA), len(DATA))
    arrival.attach(file.fileno(), 0)
    took, waited = arrival.reader(), arrival.reader()
    write(file, arrival, b"wrong")
    assert took.read(5) == b"wrong"
    arrival.restart()
    file.seek(0)
    file.truncate()
    write(file, arrival, DATA)
    arrival.complete()
    with pytest.raises(MismatchError, match="arrived damaged and is fetched anew"):
        took.read(5)
    assert waited.read(len(DATA)) == DATA
    assert arrival.reader().read(len(DATA)) == DATA
    arrival.close()


def test_closing_ends_the_waiting(file: BinaryIO) -> None:
    arrival = Arrival(sha256(DATA), len(DATA))
    errors: list[BaseException] = []

    def read() -> None:
        try:
            arrival.reader().read(1)
        except SealiftError as error:
            errors.append(error)

    thread = threading.Thread(target=read)
    thread.start()
    arrival.close()
    thread.join(30)
    assert [str(error) for error in errors] == [f"the download of `{arrival.digest}` was given up"]


def test_an_empty_blob(file: BinaryIO) -> None:
    arrival = Arrival(sha256(b""), 0)
    arrival.attach(file.fileno(), 0)
    arrival.complete()
    assert arrival.reader().read(10) == b""
    arrival.close()
