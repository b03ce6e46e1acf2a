"""Flags that change what the sections of a build do and see, as typed, and what they come to on this host."""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sealift.core.launch import Bind, LaunchPlan
from sealift.engines.binds import binds_of, parse_binds
from sealift.errors import UsageError
from sealift.sandbox.spec import HostPath

SECTIONS = (
    "pre",
    "setup",
    "files",
    "post",
    "environment",
    "runscript",
    "startscript",
    "test",
    "labels",
    "help",
)

_FLAGS = {
    "nv": "NV",
    "rocm": "ROCM",
    "writable_tmpfs": "WRITABLE_TMPFS",
    "fix_perms": "FIXPERMS",
    "update": "UPDATE",
    "no_cleanup": "NO_CLEANUP",
}
_YES = ("1", "t", "true", "yes", "on", "y")


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildFlags:
    """`sections` are names as typed, none of them is all; `binds` are arguments of `-B`, `mounts` of `--mount`.

    `writable_tmpfs` lets `%test` write, `fix_perms` gives the base's owner its rights, `update` runs the definition
    file over the directory that is the target, and `no_cleanup` keeps what a section that failed left.
    """

    sections: tuple[str, ...] = ()
    binds: tuple[str, ...] = ()
    mounts: tuple[str, ...] = ()
    nv: bool = False
    rocm: bool = False
    writable_tmpfs: bool = False
    fix_perms: bool = False
    update: bool = False
    no_cleanup: bool = False


def with_variables(flags: BuildFlags, env: Mapping[str, str]) -> BuildFlags:
    """The flags with what `APPTAINER_*`, else `SINGULARITY_*`, say; binds are read with `asked_paths`."""

    def value(name: str) -> str:
        return next((env[each] for each in (f"APPTAINER_{name}", f"SINGULARITY_{name}") if env.get(each)), "")

    found: dict[str, object] = {field: True for field, name in _FLAGS.items() if value(name).lower() in _YES}
    if not flags.sections and value("SECTION"):
        found["sections"] = (value("SECTION"),)
    if value("MOUNT"):
        found["mounts"] = (*flags.mounts, *(line for line in value("MOUNT").splitlines() if line))
    return replace(flags, **found) if found else flags  # type: ignore[arg-type]  # the fields are the tables' values


def checked_flags(flags: BuildFlags, env: Mapping[str, str]) -> BuildFlags:
    """The flags with the variables, before any work is done; UsageError where they make no sense."""
    found = with_variables(flags, env)
    chosen_sections(found)
    return found


def chosen_sections(flags: BuildFlags) -> frozenset[str] | None:
    """The sections that `--section` names; None where it names none or `all`, empty for `none`.

    UsageError for a name that no section has, and for `all` and `none` beside others.
    """
    names = [name.strip().removeprefix("%") for text in flags.sections for name in text.split(",")]
    if not names:
        return None
    for name in names:
        if name in ("all", "none"):
            if len(names) > 1:
                raise UsageError(
                    f"`--section {name}` stands beside other sections",
                    hints=("name the sections alone: --section files,labels",),
                )
            return None if name == "all" else frozenset()
        if name not in SECTIONS:
            raise UsageError(f"`--section {name}`: there is no such section", hints=_nearest(name))
    return frozenset(names)


def _nearest(name: str) -> tuple[str, ...]:
    if name.startswith("app"):
        return ("apps belong to every build: their sections cannot be chosen",)
    close = difflib.get_close_matches(name.lower(), (*SECTIONS, "all", "none"), n=1)
    every = f"sections to choose: {', '.join((*SECTIONS, 'all', 'none'))}"
    return (f"did you mean `{close[0]}`?", every) if close else (every,)


def asked_paths(flags: BuildFlags, env: Mapping[str, str], *, cwd: str) -> tuple[HostPath, ...]:
    """The paths of the host that `-B`, `--mount` and Apptainer's variables ask for, in the order that counts.

    Where several have one destination, the first has it. UsageError where a source is not there.
    """
    typed = [bind for text in flags.binds for bind in parse_binds(text)]
    plan = LaunchPlan(image="", action="exec", mounts=flags.mounts)
    found: dict[str, HostPath] = {}
    for bind in (*typed, *binds_of(plan, env)):
        place = _placed(bind, cwd)
        found.setdefault(os.path.normpath(place.destination), place)
    return tuple(found.values())


def _placed(bind: Bind, cwd: str) -> HostPath:
    source = os.path.join(cwd, bind.source)
    destination = os.path.join(cwd, bind.destination) if bind.destination == bind.source else bind.destination
    if not os.path.exists(source):
        raise UsageError(f"`{bind.source}` is to be bound into the build, and is not there", hints=(f"ls -d {source}",))
    if not destination.startswith("/"):
        raise UsageError(
            f"`{bind.destination}` is no place in the image: it does not start with `/`",
            hints=(f"-B {bind.source}:/{bind.destination}",),
        )
    if os.path.normpath(destination) == "/":
        raise UsageError("nothing can be bound over the root of the image", hints=(f"-B {bind.source}:/mnt",))
    return HostPath(source=source, destination=destination, read_only=bind.read_only)
