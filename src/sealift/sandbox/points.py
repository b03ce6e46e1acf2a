"""Places to mount the asked-for paths of the host on (`-B`, `--mount`, `--nv`), made so that no trace of them stays.

The skeleton below the base gets what is missing, and the overlay is stacked anew, with the same upper layer. That waits
until the first command needs it: `%setup` may make the very places that the base lacks, and what it makes is to stay.
"""

from __future__ import annotations

import os
import stat

from sealift.errors import HostError, UsageError
from sealift.sandbox.assemble import Assembly, resolve_in, restack
from sealift.sandbox.spec import HostPath, SandboxSpec
from sealift.system import mounts

OURS = ("/dev", "/proc", "/sys", "/tmp", "/var/tmp")  # noqa: S108
"""Covered by mounts of the sandbox's own while a command runs: places below them are made there."""


def make_points(spec: SandboxSpec, made: Assembly) -> None:
    """Make the missing places for `spec.binds`; UsageError for one that cannot be mounted on."""
    own = [resolve_in(made.root, path) for path in OURS]
    taken: list[str] = []
    missing: dict[str, bool] = {}
    for each in spec.binds:
        place = resolve_in(made.root, each.destination)
        if not any(_is_below(place, other) for other in (*own, *taken)):
            if os.path.lexists(made.root + place):
                check_kinds(each, made.root + place)
            else:
                _check_parents(each, made.root, place)
                missing[place] = os.path.isdir(each.source)
        taken.append(place)
    if missing:
        restack(spec, made, missing)
    for place in missing:
        if not os.path.lexists(made.root + place):
            raise UsageError(
                f"`{place}` was there and is removed, so that nothing can be bound to it",
                hints=("bind it to another place: -B SOURCE:/mnt",),
            )


def mount_asked(spec: SandboxSpec, root: str) -> None:
    """Mount `spec.binds` below `root`, in their order, in a mount namespace that one command has."""
    done: list[str] = []
    for each in spec.binds:
        place = resolve_in(root, each.destination)
        target = root + place
        if not os.path.lexists(target):
            if any(_is_below(place, other) for other in done):
                raise UsageError(
                    f"`{each.destination}` cannot be bound to: what is bound above it has no such entry",
                    hints=(f"mkdir it on the host, or bind to another place: -B {each.source}:/mnt",),
                )
            _make(target, folder=os.path.isdir(each.source))
        check_kinds(each, target)
        try:
            mounts.bind(each.source, target, read_only=each.read_only)
        except OSError as error:
            raise HostError(
                f"`{each.source}` cannot be bound to `{each.destination}`: {(error.strerror or str(error)).lower()}",
                hints=("build without it: leave out -B",),
            ) from error
        done.append(place)


def check_kinds(asked: HostPath, target: str) -> None:
    """UsageError where a folder meets a file."""
    folder = os.path.isdir(asked.source)
    if folder != os.path.isdir(target):
        kinds = ("a folder", "a file") if folder else ("a file", "a folder")
        raise UsageError(
            f"`{asked.source}` is {kinds[0]}, and `{asked.destination}` in the image is {kinds[1]}",
            hints=(f"bind it to another place: -B {asked.source}:/mnt/{os.path.basename(asked.source)}",),
        )


def _check_parents(asked: HostPath, root: str, place: str) -> None:
    above = os.path.dirname(place)
    while above != "/" and not os.path.lexists(root + above):
        above = os.path.dirname(above)
    if not stat.S_ISDIR(os.lstat(root + above).st_mode):
        raise UsageError(
            f"`{asked.destination}` cannot be bound to: `{above}` in the image is no folder",
            hints=(f"bind it to another place: -B {asked.source}:/mnt",),
        )


def _make(target: str, *, folder: bool) -> None:
    os.makedirs(target if folder else os.path.dirname(target), mode=0o755, exist_ok=True)
    if not folder:
        with open(target, "xb"):
            pass


def _is_below(path: str, other: str) -> bool:
    return path == other or path.startswith(other.rstrip("/") + "/")
