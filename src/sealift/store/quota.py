"""The user's disk quota, where asking for it is cheap: Lustre's, which statvfs does not show."""

from __future__ import annotations

import os
from collections.abc import Callable

from sealift.errors import SealiftError
from sealift.system.process import Completed, run

Run = Callable[..., Completed]
_PATIENCE = 5.0
"""Seconds that `lfs quota` may take: it asks the servers."""


def user_quota(path: str, *, mounts: str | None = None, run_program: Run = run) -> int | None:
    """Bytes that this user may have on the file system of `path`; None when there is no limit or it is not known.

    `mounts` is the text of /proc/self/mounts.
    """
    if mounts is None:
        try:
            with open("/proc/self/mounts", encoding="utf-8", errors="surrogateescape") as file:
                mounts = file.read()
        except OSError:
            return None
    kind, point = find_mount(mounts, os.path.realpath(path))
    if kind != "lustre":
        return None
    try:
        done = run_program(("lfs", "quota", "-q", "-u", str(os.getuid()), point), timeout=_PATIENCE)
    except SealiftError:
        return None
    return parse_lustre_quota(done.out.decode(errors="replace"))


def find_mount(mounts: str, path: str) -> tuple[str, str]:
    """Type and mount point of the file system that holds `path`, from the text of /proc/self/mounts (proc(5))."""
    best = ("", "")
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = fields[1].replace("\\040", " ").replace("\\011", "\t").replace("\\134", "\\")
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        # Of two mounts on one point the later one covers the earlier.
        if inside and len(point) >= len(best[1]):
            best = (fields[2], point)
    return best


def parse_lustre_quota(text: str) -> int | None:
    """Read `lfs quota -q`: path, KiB used (with `*` when over), soft limit, hard limit, …; a limit of 0 is none."""
    words = text.split()
    try:
        soft, hard = int(words[2]), int(words[3])
    except (IndexError, ValueError):
        return None
    limits = [limit for limit in (soft, hard) if limit > 0]
    return min(limits) * 1024 if limits else None
