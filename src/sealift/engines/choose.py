"""Which engine runs an image: the site's own where it is installed and works for this user, else the embedded one."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, get_args

from sealift.errors import HostError, UsageError
from sealift.system.standin import find_real

EngineName = Literal["apptainer", "singularity", "embedded"]
Wanted = Literal["auto", "apptainer", "singularity", "embedded"]
ENGINES: tuple[str, ...] = get_args(Wanted)

CLEAN_ENGINES = ("docker", "podman", "podman-hpc", "shifter", "charliecloud", "enroot", "pyxis", "edf")
"""Engines of `engines/clean`: never chosen by themselves, for they keep images of their own."""

SITE_ENGINES: tuple[Literal["apptainer", "singularity"], ...] = ("apptainer", "singularity")


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """`program` is the engine's absolute path, empty for the embedded one; `why` is a phrase for `-v`."""

    engine: EngineName
    program: str = ""
    why: str


def choose(wanted: str, *, env: Mapping[str, str], status: str | None = None) -> Choice:
    """Choose. `status` is the text of /proc/self/status, read when None.

    HostError where the wanted engine is not installed, UsageError where there is none of that name.
    """
    if wanted not in ENGINES:
        known = ", ".join((*ENGINES, *CLEAN_ENGINES))
        raise UsageError(f"there is no engine `{wanted}`", hints=(f"engines: {known}",))
    if wanted == "embedded":
        return Choice(engine="embedded", why="asked for")
    path = env.get("PATH", os.defpath)
    for name in SITE_ENGINES:
        if wanted not in ("auto", name):
            continue
        program = _find(name, path)
        if program is None:
            if wanted == name:
                raise HostError(f"`{name}` is not installed", hints=("run it without: --engine embedded",))
            continue
        if wanted == name:
            return Choice(engine=name, program=program, why="asked for")
        if why_not := _unusable(_status() if status is None else status):
            return Choice(engine="embedded", why=f"`{name}` does not work here: {why_not}")
        return Choice(engine=name, program=program, why="installed on this host")
    return Choice(engine="embedded", why="neither Apptainer nor Singularity is installed")


def _unusable(status: str) -> str:
    """Why Apptainer would fail for this user; empty where nothing speaks against it.

    As root it asks for every capability, and a container's root lacks some of them: it then stops with `while setting
    capabilities`. All that the kernel knows are the low bits up to the highest one that process 1 may hold.
    """
    fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
    if fields.get("Uid", "1").split()[1:2] != ["0"]:
        return ""
    permitted = int(fields.get("CapPrm", "0").strip(), 16)
    # Up to CAP_CHECKPOINT_RESTORE (40) on any kernel since 5.9; what lies above may be new and unknown to it.
    return "" if permitted & _ALL == _ALL else "root lacks capabilities that it asks for"


_ALL = (1 << 38) - 1
"""Capabilities 0 to CAP_AUDIT_READ (37), which every kernel that has user namespaces knows."""


def _status() -> str:
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def _find(name: str, path: str) -> str | None:
    """The real one: a command of ours under that name would only come back here."""
    return find_real((name,), path)
