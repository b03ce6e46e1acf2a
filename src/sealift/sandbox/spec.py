"""What a sandbox is made of, as values that travel to its inner side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from sealift.system.namespaces import IdMap, UserMaps

Mode = Literal["root", "subuid", "single"]
"""`root`: no user namespace. `subuid`: one with many ids. `single`: one with a single id, where owners are recorded."""

OverlayBy = Literal["kernel", "fuse", "copy"]
SquashfsBy = Literal["any", "fuse", "unpack"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Lower:
    """A layer below the sandbox: a squashfs at `offset` of the file `path`, or a directory."""

    path: str
    offset: int = 0
    kind: Literal["squashfs", "directory"] = "squashfs"


@dataclass(frozen=True, slots=True, kw_only=True)
class HostPath:
    """`source` of the host appears at `destination` for commands that run inside; gone afterwards, without a trace."""

    source: str
    destination: str
    read_only: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Footing:
    """How a sandbox stands on this host: the outcome of `abilities.choose_footing`.

    `maps` is None in mode `root`. `notify` says whether calls that fail here are answered and recorded by a
    supervisor; without it they are answered with success and forgotten.
    """

    mode: Mode
    maps: UserMaps | None
    overlay: OverlayBy = "kernel"
    squashfs: SquashfsBy = "any"
    notify: bool = True
    own_proc: bool = True
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxSpec:
    """A sandbox: `lowers` from the lowest to the highest (none is an empty root), how it stands, where its work lies.

    `work` is an existing, empty folder that can hold an upper layer; everything in it belongs to the sandbox and is
    removed at the end. `bare` gives the upper folder itself as the root, with no overlay and no mount point in it: for
    bootstrap programs that want an empty folder.
    """

    lowers: tuple[Lower, ...]
    footing: Footing
    work: str
    binds: tuple[HostPath, ...] = ()
    bare: bool = False
    resolv_conf: str = "/etc/resolv.conf"
    hosts: str = "/etc/hosts"


def spec_to_json(spec: SandboxSpec) -> dict[str, Any]:
    return asdict(spec)


def spec_from_json(data: Mapping[str, Any]) -> SandboxSpec:
    footing = dict(data["footing"])
    if footing["maps"] is not None:
        maps = footing["maps"]
        footing["maps"] = UserMaps(
            uids=tuple(IdMap(**line) for line in maps["uids"]),
            gids=tuple(IdMap(**line) for line in maps["gids"]),
            by=maps["by"],
        )
    return SandboxSpec(
        lowers=tuple(Lower(**each) for each in data["lowers"]),
        footing=Footing(**footing),
        work=data["work"],
        binds=tuple(HostPath(**each) for each in data["binds"]),
        bare=data["bare"],
        resolv_conf=data["resolv_conf"],
        hosts=data["hosts"],
    )
