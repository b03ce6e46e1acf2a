"""Where the store lies and how large it may grow, from the environment that the rim hands in."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from sealift.core.event import Events, Said, ignore
from sealift.errors import HostError, UsageError
from sealift.store.quota import user_quota
from sealift.store.store import CACHEDIR_TAG, Store
from sealift.system.files import explain_oserror
from sealift.system.home import home_folder

SHARE = 5
"""The store takes at most one part in this many of what the user may use."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A folder for the store and the variable that named it, `""` for the default."""

    root: str
    variable: str = ""


def choose_place(env: Mapping[str, str]) -> Place:
    """`$SEALIFT_CACHE_DIR`, `$APPTAINER_CACHEDIR/sealift`, `$SCRATCH/.sealift-cache` if writable, else XDG's."""
    if env.get("SEALIFT_CACHE_DIR"):
        return Place(root=os.path.abspath(env["SEALIFT_CACHE_DIR"]), variable="SEALIFT_CACHE_DIR")
    for variable in ("APPTAINER_CACHEDIR", "SINGULARITY_CACHEDIR"):
        if env.get(variable):
            return Place(root=os.path.abspath(os.path.join(env[variable], "sealift")), variable=variable)
    scratch = env.get("SCRATCH", "")
    if os.path.isabs(scratch) and os.access(scratch, os.W_OK | os.X_OK):
        return Place(root=os.path.join(scratch, ".sealift-cache"), variable="SCRATCH")
    # XDG base directory specification: a relative path is to be ignored.
    if os.path.isabs(env.get("XDG_CACHE_HOME", "")):
        return Place(root=os.path.join(env["XDG_CACHE_HOME"], "sealift"), variable="XDG_CACHE_HOME")
    return Place(root=os.path.join(home_folder(env), ".cache", "sealift"))


def open_store(env: Mapping[str, str], *, events: Events = ignore) -> Store:
    """The store that `env` asks for, its folder made; HostError when it cannot be written."""
    place = choose_place(env)
    new = not os.path.isdir(place.root)
    try:
        os.makedirs(place.root, mode=0o700, exist_ok=True)
        if not os.access(place.root, os.W_OK | os.X_OK):
            raise PermissionError(13, "Permission denied", place.root)
        tag = os.path.join(place.root, "CACHEDIR.TAG")
        if not os.path.exists(tag):
            with open(tag, "wb") as file:
                file.write(CACHEDIR_TAG)
    except OSError as error:
        cause = explain_oserror(error, "preparing the cache")
        named = f" (from ${place.variable})" if place.variable else ""
        raise HostError(
            f"the cache folder `{place.root}`{named} cannot be used: {cause.message}",
            hints=("put it where you can write: export SEALIFT_CACHE_DIR=/path/with/space",),
        ) from error
    if new and place.variable == "SCRATCH":
        events(
            Said(
                text=f"the cache is in {place.root}, which your site may purge; what is gone is fetched or made again",
                hint="to put it elsewhere: export SEALIFT_CACHE_DIR=/path/with/space",
            )
        )
    if env.get("SEALIFT_CACHE_SIZE"):
        parse_size(env["SEALIFT_CACHE_SIZE"])  # a wrong one is told now, not after the build
    return Store(place.root, events=events, cap=lambda: choose_cap(env, place.root))


def choose_cap(env: Mapping[str, str], root: str) -> int:
    """`$SEALIFT_CACHE_SIZE`, else a fifth of the user's quota, else of what is free, what the store holds included.

    Quotas that the file system reports as its size (projects on XFS and Lustre, CephFS, many NFS servers) count, too.
    """
    if env.get("SEALIFT_CACHE_SIZE"):
        return parse_size(env["SEALIFT_CACHE_SIZE"])
    with contextlib.suppress(OSError):
        status = os.statvfs(root)
        quota = user_quota(root)
        if quota is not None:
            return min(quota, status.f_blocks * status.f_frsize) // SHARE
        own = sum(entry.size for entry in Store(root).usage())
        return (status.f_bavail * status.f_frsize + own) // SHARE
    return 20 << 30


def parse_size(text: str) -> int:
    """Read `20G`, `500M`, `1.5T`, `4096`: powers of 1024, as `df -h` counts; UsageError otherwise."""
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([KMGTP]?)(?:i?B)?\s*", text, re.IGNORECASE)
    if not match:
        raise UsageError(f"`{text}` is not a size", hints=("write for instance 20G or 500M",))
    return int(float(match[1]) * 1024 ** " KMGTP".index(match[2].upper() or " "))
