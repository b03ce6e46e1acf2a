"""Which engine runs an image: the site's own where it is installed and works for this user, else the embedded one."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

from sealift.errors import HostError, UsageError
from sealift.system.standin import find_real

if TYPE_CHECKING:
    from sealift.sites.profile import Profile

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


def nowhere() -> None:
    """No site is known."""


def choose(
    wanted: str, *, env: Mapping[str, str], status: str | None = None, site: Callable[[], Profile | None] = nowhere
) -> Choice:
    """Choose. `status` is the text of /proc/self/status, read when None.

    `site` tells which site this is, and is asked only where it decides. On a site whose engines take no SIF, `auto` is
    the embedded engine, whatever is installed. HostError where the wanted engine is not installed, UsageError where
    there is none of that name.
    """
    if wanted not in ENGINES:
        known = ", ".join((*ENGINES, *CLEAN_ENGINES))
        raise UsageError(f"there is no engine `{wanted}`", hints=(f"engines: {known}",))
    if wanted == "embedded":
        return Choice(engine="embedded", why="asked for")
    path = env.get("PATH", os.defpath)
    place = site() if site is not nowhere else None
    if wanted == "auto" and place is not None and (why_not := takes_no_sif(place)):
        return Choice(engine="embedded", why=why_not)
    for name in _in_order(place):
        if wanted not in ("auto", name):
            continue
        program = _find(place.text(f"engines.{name}.command", name) if place is not None else name, path)
        if program is None:
            if wanted == name:
                raise HostError(
                    f"`{name}` is not installed",
                    hints=(*load_modules(place, name), "run it without: --engine embedded"),
                )
            continue
        if wanted == name:
            return Choice(engine=name, program=program, why="asked for")
        if why_not := _unusable(_status() if status is None else status):
            return Choice(engine="embedded", why=f"`{name}` does not work here: {why_not}")
        return Choice(engine=name, program=program, why="installed on this host")
    return Choice(engine="embedded", why="neither Apptainer nor Singularity is installed")


def load_modules(place: Profile | None, engine: str) -> tuple[str, ...]:
    """What to type for the modules that a site wants loaded before `engine`; nothing where there is none."""
    modules = place.texts(f"engines.{engine}.modules") if place is not None else ()
    return (f"module load {' '.join(modules)}",) if modules else ()


def takes_no_sif(place: Profile) -> str:
    """Why no engine of the site can run a SIF; empty where one can, or where nothing is known of them."""
    order = place.texts("engines.order")
    takes = [name for name in order if "sif" in (place.texts(f"engines.{name}.images") or ("sif",))]
    return f"the engines of {place.name} take no SIF: {', '.join(order)}" if order and not takes else ""


def _in_order(place: Profile | None) -> tuple[Literal["apptainer", "singularity"], ...]:
    """The site's preferred one first."""
    order = place.texts("engines.order") if place is not None else ()
    return tuple(sorted(SITE_ENGINES, key=lambda name: order.index(name) if name in order else len(order)))


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
