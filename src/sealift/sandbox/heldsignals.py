"""Signals that wait for a good moment: a handler that raises in the middle of a message would tear it in two."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator

NUMBERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class HeldSignals:
    """What came while it was held. `wake` is a descriptor that becomes readable with each."""

    def __init__(self, wake: int) -> None:
        self.wake = wake
        self._came: list[int] = []
        self._handlers: dict[int, object] = {}

    def deliver(self) -> None:
        """Call the handlers of what came, in order; the first that raises leaves the rest for the next time."""
        with contextlib.suppress(BlockingIOError):
            os.read(self.wake, 4096)
        while self._came:
            number = self._came.pop(0)
            handler = self._handlers[number]
            if callable(handler):
                handler(number, None)

    def hold(self) -> None:
        """Take the handlers' place; signals that are ignored or end the process stay as they are."""
        for number in NUMBERS:
            handler = signal.getsignal(number)
            if callable(handler):
                self._handlers[number] = handler
                signal.signal(number, lambda number, _frame: self._came.append(number))

    def let_go(self) -> None:
        for number, handler in self._handlers.items():
            if callable(handler):
                signal.signal(number, handler)


@contextlib.contextmanager
def held_signals() -> Iterator[HeldSignals]:
    """Hold SIGINT, SIGTERM and SIGHUP back until `deliver`, or the end. Threads but the main one get none anyway."""
    wake, into = os.pipe()
    try:
        for end in (wake, into):
            os.set_blocking(end, False)
        held = HeldSignals(wake)
        if threading.current_thread() is not threading.main_thread():
            yield held
            return
        before = signal.set_wakeup_fd(into, warn_on_full_buffer=False)
        held.hold()
        try:
            yield held
        finally:
            held.let_go()
            signal.set_wakeup_fd(before)
        held.deliver()
    finally:
        os.close(wake)
        os.close(into)
