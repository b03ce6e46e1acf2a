"""Where images that are files were pushed to, so that engines which take no files find them under their names there.

Records `pushed` of the cache: by the digest of the image's tree, the targets as they were typed, the newest last; and
by a target, what its image sets.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sealift.store import Store

PUSHED = "pushed"


def note_pushed(store: Store, *, tree: str, target: str, library_path: str = "") -> None:
    """The image with this tree digest is `target` now: `docker://NAME:TAG`, `podman-hpc:NAME`. One without a tree
    digest is not ours: none of ours has the name any more.
    """
    if tree:
        record = store.record(PUSHED, _key(tree)) or {}
        others = [each for each in record.get("targets", ()) if each != target]
        store.put_record(PUSHED, _key(tree), {"targets": [*others, target]})
    store.put_record(PUSHED, _key(target), {"tree": tree, "library_path": library_path})


def targets_of(store: Store, tree: str) -> tuple[str, ...]:
    """Where the image with this tree digest was pushed to and no other since, the newest last."""
    record = store.record(PUSHED, _key(tree)) or {}
    targets = (str(target) for target in record.get("targets", ()))
    return tuple(each for each in targets if (store.record(PUSHED, _key(each)) or {}).get("tree") == tree)


def library_path_of(store: Store, target: str) -> str | None:
    """The library path that the image of ours at `target` sets; None where none of ours is known there."""
    record = store.record(PUSHED, _key(target))
    return str(record.get("library_path", "")) if record and record.get("tree") else None


def _key(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
