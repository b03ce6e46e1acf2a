"""Targets that we wrote and that nobody touched since: they need not be written again."""

from __future__ import annotations

import contextlib
import os
import stat
from typing import Any

from sealift.errors import SealiftError
from sealift.flows.targets import Target
from sealift.flows.workshop import Workshop, digest_of
from sealift.packs.treefile import TREE_FILE


def known_target(shop: Workshop, target: Target, identity: str) -> dict[str, Any] | None:
    """What was noted when the target was written, if it is the image of `identity` and is as it was left."""
    note = shop.store.record("targets", _key(target))
    stamp = _stamp(target)
    if not stamp or note is None or note.get("identity") != identity or note.get("stamp") != stamp:
        return None
    if target.kind == "directory":
        from sealift.flows.directoryin import is_as_left

        if not is_as_left(target.place):
            return None
    return note


def note_target(shop: Workshop, target: Target, note: dict[str, Any]) -> None:
    stamp = _stamp(target)
    if stamp:
        with contextlib.suppress(SealiftError):  # a full cache disk does not spoil the image that is written
            shop.store.put_record("targets", _key(target), {**note, "stamp": stamp})


def _key(target: Target) -> str:
    return digest_of(target.place)


def _stamp(target: Target) -> list[int]:
    """What tells a file that nobody touched: of a directory, its tree file; nothing of an OCI layout, which changes
    without a trace in its folder.
    """
    place = target.place
    if target.kind == "directory":
        place = os.path.join(place, os.fsdecode(TREE_FILE))
    try:
        status = os.stat(place)
    except OSError:
        return []
    if not stat.S_ISREG(status.st_mode):
        return []
    return [status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns]
