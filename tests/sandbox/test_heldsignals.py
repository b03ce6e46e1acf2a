"""Signals wait until they are asked for, and none is lost."""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Iterator

import pytest

from sealift.sandbox.heldsignals import held_signals


class Came(Exception):  # noqa: N818 -- what a handler of a test says
    pass


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    def say(number: int, _frame: object) -> None:
        raise Came(number)

    before = {number: signal.signal(number, say) for number in (signal.SIGINT, signal.SIGHUP)}
    before[signal.SIGTERM] = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(*numbers: int) -> None:
    for number in numbers:
        os.kill(os.getpid(), number)


def test_a_signal_waits_until_it_is_asked_for_and_wakes() -> None:
    with held_signals() as held:
        assert select.select([held.wake], [], [], 0)[0] == []
        send(signal.SIGINT, signal.SIGHUP)
        assert select.select([held.wake], [], [], 5)[0] == [held.wake]
        with pytest.raises(Came) as first:
            held.deliver()
        with pytest.raises(Came) as second:
            held.deliver()
        held.deliver()
        assert {first.value.args[0], second.value.args[0]} == {signal.SIGINT, signal.SIGHUP}
        assert select.select([held.wake], [], [], 0)[0] == []


def test_what_came_last_is_delivered_at_the_end() -> None:
    with pytest.raises(Came), held_signals():
        send(signal.SIGINT)
    with pytest.raises(Came):
        send(signal.SIGINT)


def test_ignored_and_default_handlers_stay() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with held_signals() as held:
        send(signal.SIGHUP)
        held.deliver()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_other_threads_hold_nothing() -> None:
    seen = []

    def work() -> None:
        with held_signals() as held:
            held.deliver()
            seen.append(signal.getsignal(signal.SIGINT))

    before = signal.getsignal(signal.SIGINT)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
