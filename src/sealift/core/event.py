"""What happens while a flow runs, as values: the command line draws them, a library user may record them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Began:
    """A piece of work with a name of its own began; `total` in bytes when it is known and counts bytes."""

    task: str
    label: str
    total: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Advanced:
    """`amount` more bytes of `task` are done."""

    task: str
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """`task` is done; `note` says how, for instance `cached`."""

    task: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """A line for the user that belongs to no task.

    `level` is `info`, `warning`, `debug`, or `output` for a line that a section of the definition file wrote.
    """

    text: str
    level: str = "info"
    hint: str = ""


Event = Began | Advanced | Ended | Said
Events = Callable[[Event], None]
"""Takes events from any thread; must not block for long."""


def ignore(_event: Event) -> None:
    """Take events and do nothing: the default for library users."""
