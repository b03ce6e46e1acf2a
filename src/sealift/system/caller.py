"""What this process was given by whoever started it; small, because every `sealift exec` asks."""

from __future__ import annotations

import os


def started_with() -> dict[str, str]:
    """The environment that this process was started with, for programs that it becomes.

    Python itself may have added to `os.environ`: LC_CTYPE, in the C locale (PEP 538).
    """
    try:
        with open("/proc/self/environ", "rb") as file:
            pairs = file.read().split(b"\0")
    except OSError:
        return dict(os.environ)
    return {
        os.fsdecode(name): os.fsdecode(value) for name, equals, value in (p.partition(b"=") for p in pairs) if equals
    }


def variable(name: str) -> str:
    """A variable of this process, empty where it is not set."""
    return os.environ.get(name, "")


def hand_down(name: str, value: str) -> None:
    """Set a variable for this process and whatever it starts: for command lines that say what we read there."""
    os.environ[name] = value
