"""Systems other than Linux: which commands work there, and the line that brings a Linux for the rest.

Containers are the Linux kernel's. What only reads and writes files needs no more than Python and what POSIX has of
files and locks, which Windows has not: there only what reads a text works.
"""

from __future__ import annotations

from typing import NamedTuple

_TEXTS = ("lint", "parse", "sites")
_FILES = ("new", "pull", "inspect", "run-help", "size", "sif", "diff", "sbom", "check", "push", "job")
_OWN = ("learn", "cache", "completion")


class _Other(NamedTuple):
    name: str
    works: tuple[str, ...]
    line: str
    """What to type there for a Linux with a terminal."""


_OTHERS = {
    "darwin": _Other("macOS", (*_TEXTS, *_FILES, *_OWN), "brew install lima && limactl start && lima"),
    "win32": _Other("Windows", _TEXTS, "wsl --install"),
}


def _other(platform: str) -> _Other:
    return _OTHERS.get(platform, _Other(platform, _TEXTS, "use a Linux machine"))


def works_on(platform: str, command: str) -> bool:
    return platform == "linux" or command in _other(platform).works


def why_not(platform: str) -> tuple[str, str]:
    """Why a command does not work there, and the line that helps."""
    other = _other(platform)
    return f"it needs Linux, and this is {other.name}", f"get one, and Sealift in it: {other.line}"


def what_works(platform: str, commands: tuple[str, ...]) -> str:
    """One line for people on another system, about those of `commands` that there are; empty on Linux."""
    if platform == "linux":
        return ""
    other = _other(platform)
    works = ", ".join(command for command in other.works if command in commands)
    return f"this is {other.name}: {works} work here; all else in a Linux: {other.line}"
