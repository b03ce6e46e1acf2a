"""A launch plan: everything that running a command in an image needs, before any engine is chosen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Action = Literal["run", "exec", "shell", "test"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Bind:
    """`source` of the host appears at `destination` in the container."""

    source: str
    destination: str
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchPlan:
    """What to run and how; the engines turn it into their own words.

    `env` are variables set for the container whatever the image says (`--env`). `clean_env` keeps the host's
    variables out. `contain` gives an own /tmp, /var/tmp and home; `contain_all` also IPC and PID namespaces and a
    clean environment. `pwd` is the working directory inside; None keeps the caller's where it exists inside.
    """

    image: str
    action: Action
    command: tuple[str, ...] = ()
    binds: tuple[Bind, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    env_files: tuple[str, ...] = ()
    pwd: str | None = None
    clean_env: bool = False
    contain: bool = False
    contain_all: bool = False
    no_home: bool = False
    home: str | None = None
    writable_tmpfs: bool = False
    nv: bool = False
    rocm: bool = False
    app: str | None = None
    shell: str | None = None
