"""A command of a bootstrap, as a value: what debootstrap, dnf, zypper and pacman are told (pure)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

ROOT = "<root>"
"""In a command's words it stands for the path of the new root."""
PRIVATE = "<private>"
"""For a folder beside the new root, of which nothing gets into the image."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command; `ROOT` and `PRIVATE` in `argv` and `env` are replaced. `inside` runs in the new root itself.

    Exit codes in `accept` are not failures. `name` is how messages call it, where the first word says little.
    """

    argv: tuple[str, ...]
    inside: bool
    env: Mapping[str, str] = field(default_factory=dict)
    accept: tuple[int, ...] = (0,)
    name: str = ""
