"""Draws events: bars for layers on a terminal, plain lines elsewhere; with `-q` only what went wrong."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sealift.cli.faults import use_colour
from sealift.core.event import Advanced, Began, Ended, Event, Events, Said
from sealift.errors import SectionError, TestFailed

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


@contextlib.contextmanager
def drawn(*, quiet: bool = False, verbose: bool = False) -> Iterator[Events]:
    """Give the events' taker for one command; what it draws is finished when the block ends."""
    if quiet:
        kept = _Quiet()
        try:
            yield kept.take
        except (SectionError, TestFailed):
            kept.show()
            raise
        return
    if sys.stderr.isatty():
        bars = _Bars(verbose=verbose)
        try:
            yield bars.take
        finally:
            bars.stop()
        return
    yield _Lines(verbose=verbose).take


KEPT_LINES = 20
"""How much of a section's output is shown with `-q` when it fails."""


class _Quiet:
    """Warnings alone, and the last lines of a script that failed, for they tell why."""

    def __init__(self) -> None:
        self._tail: deque[Said] = deque(maxlen=KEPT_LINES)

    def take(self, event: Event) -> None:
        match event:
            case Said(level="warning"):
                _say(event)
            case Said(level="output"):
                self._tail.append(event)
            case Began(task=task) if task.startswith("%"):
                self._tail.clear()
            case _:
                pass

    def show(self) -> None:
        for line in self._tail:
            _say(line)


def _say(event: Said) -> None:
    if event.level == "output":
        print(event.text, file=sys.stderr)
        return
    mark = "" if event.level == "info" else f"{event.level}: "
    if mark and use_colour():
        mark = f"\033[1;33m{mark}\033[0m"
    print(f"{mark}{event.text}", file=sys.stderr)
    if event.hint:
        print(f"hint: {event.hint}", file=sys.stderr)


class _Lines:
    """One line when a piece of work began and one when it ended."""

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose
        self._labels: dict[str, str] = {}
        self._lock = threading.Lock()

    def take(self, event: Event) -> None:
        with self._lock:
            match event:
                case Began(task=task, label=label):
                    self._labels[task] = label
                    if self._verbose:
                        print(f"{label} …", file=sys.stderr)
                case Ended(task=task, note=note):
                    label = self._labels.pop(task, task)
                    print(f"{label}: {note or 'done'}", file=sys.stderr)
                case Said(level="debug") if not self._verbose:
                    pass
                case Said():
                    _say(event)
                case Advanced():
                    pass


class _Bars:
    """Bars with bytes and speed while something with a known size runs; finished ones become plain lines."""

    def __init__(self, *, verbose: bool) -> None:
        self._verbose = verbose
        self._progress: Progress | None = None
        self._bars: dict[str, TaskID] = {}
        self._labels: dict[str, str] = {}
        self._lock = threading.Lock()

    def _start(self) -> Progress:
        if self._progress is None:
            from rich.console import Console
            from rich.progress import (
                BarColumn,
                DownloadColumn,
                Progress,
                SpinnerColumn,
                TextColumn,
                TimeElapsedColumn,
                TransferSpeedColumn,
            )

            self._progress = Progress(
                SpinnerColumn(),
                TextColumn("{task.description}"),
                BarColumn(bar_width=24),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeElapsedColumn(),
                console=Console(stderr=True, highlight=False, markup=False),
                transient=True,
            )
            self._progress.start()
        return self._progress

    def stop(self) -> None:
        with self._lock:
            if self._progress is not None:
                self._progress.stop()
                self._progress = None
                self._bars.clear()

    def take(self, event: Event) -> None:
        with self._lock:
            match event:
                case Began(task=task, label=label, total=total):
                    self._labels[task] = label
                    if total is not None:
                        self._bars[task] = self._start().add_task(label, total=total)
                    else:
                        self._print(f"{label} …")
                case Advanced(task=task, amount=amount):
                    if task in self._bars and self._progress is not None:
                        self._progress.advance(self._bars[task], amount)
                case Ended(task=task, note=note):
                    self._end(task, note)
                case Said(level="debug") if not self._verbose:
                    pass
                case Said():
                    self._pause()
                    _say(event)

    def _end(self, task: str, note: str) -> None:
        bar = self._bars.pop(task, None)
        label = self._labels.pop(task, task)
        if bar is not None and self._progress is not None:
            self._progress.remove_task(bar)
        self._print(f"{label}: {note or 'done'}")
        if not self._bars:
            self._pause()

    def _pause(self) -> None:
        # A section's own output must not be drawn over: bars live only while a bar's work does.
        if self._progress is not None and not self._bars:
            self._progress.stop()
            self._progress = None

    def _print(self, text: str) -> None:
        if self._progress is not None:
            self._progress.console.print(text)
        else:
            print(text, file=sys.stderr)
