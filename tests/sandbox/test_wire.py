from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from sealift.errors import (
    DefinitionError,
    HostError,
    ImageError,
    MismatchError,
    SealiftError,
    SectionError,
    StoreError,
    ToolError,
    UsageError,
)
from sealift.sandbox.wire import Channel, error_from_json, error_to_json


@pytest.fixture
def ends() -> Iterator[tuple[Channel, Channel]]:
    one, other = (Channel(each) for each in socket.socketpair())
    yield one, other
    one.close()
    other.close()


def test_messages_arrive_whole_and_in_order(ends: tuple[Channel, Channel]) -> None:
    messages: list[dict[str, Any]] = [{"n": 1}, {"text": "ü" * 5_000_000}, {}, {"list": [None, 1.5, "\x00"]}]

    def send() -> None:
        for message in messages:
            ends[0].send(message)

    sender = threading.Thread(target=send)
    sender.start()
    received = [ends[1].receive() for _ in messages]
    sender.join()
    assert received == [(message, ()) for message in messages]


def test_open_files_travel_beside_a_message(ends: tuple[Channel, Channel]) -> None:
    out, into = os.pipe()
    ends[0].send({"n": 1}, (into, into))
    ends[0].send({"n": 2})
    os.close(into)
    received = ends[1].receive()
    assert received is not None
    message, files = received
    assert (message, len(files)) == ({"n": 1}, 2)
    assert not any(os.get_inheritable(each) for each in files)
    os.write(files[0], b"a")
    os.write(files[1], b"b")
    for each in files:
        os.close(each)
    assert os.read(out, 10) == b"ab"
    assert os.read(out, 10) == b""
    os.close(out)
    assert ends[1].receive() == ({"n": 2}, ())


def test_the_other_side_gone_is_none(ends: tuple[Channel, Channel]) -> None:
    ends[0].close()
    assert ends[1].receive() is None


def test_a_message_cut_off_is_none() -> None:
    one, other = socket.socketpair()
    one.sendall(b"\x10\x00\x00\x00\x00\x00{")
    one.close()
    channel = Channel(other)
    assert channel.receive() is None
    channel.close()


def test_patience_ends(ends: tuple[Channel, Channel]) -> None:
    ends[1].patience(0.01)
    with pytest.raises(TimeoutError):
        ends[1].receive()


@pytest.mark.parametrize("kind", [HostError, ImageError, StoreError, UsageError, DefinitionError, SealiftError])
def test_errors_keep_class_words_and_hints(kind: type[SealiftError]) -> None:
    found = error_from_json(error_to_json(kind("what", hints=("do", "this"))))
    assert type(found) is kind
    assert isinstance(found, SealiftError)
    assert (found.message, found.hints) == ("what", ("do", "this"))


def test_errors_with_fields() -> None:
    tool = error_from_json(error_to_json(ToolError("t", argv=("a", "b"), code=3, tail="x", hints=("h",))))
    assert isinstance(tool, ToolError)
    assert (tool.message, tool.argv, tool.code, tool.tail, tool.hints) == ("t", ("a", "b"), 3, "x", ("h",))
    section = error_from_json(error_to_json(SectionError("s", section="post", code=1, tail="x")))
    assert isinstance(section, SectionError)
    assert (section.section, section.code, section.tail) == ("post", 1, "x")
    missing = error_from_json(error_to_json(FileNotFoundError(2, "No such file or directory", "/x")))
    assert isinstance(missing, FileNotFoundError)
    assert str(missing) == "[Errno 2] No such file or directory: '/x'"


def test_an_error_of_no_class_of_ours_keeps_its_text() -> None:
    found = error_from_json(error_to_json(ValueError("strange")))
    assert isinstance(found, RuntimeError)
    assert "ValueError: strange" in str(found)
    assert type(error_from_json(error_to_json(MismatchError("m")))) is SealiftError
