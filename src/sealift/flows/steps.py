"""The steps of images that were built here, for those who want a layer of each: a SIF holds their sum alone.

ROOT/records/steps   a tree's digest to the packs that it was merged of
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace

from sealift.core.digest import Digest, hex_part
from sealift.core.event import Said
from sealift.errors import SealiftError
from sealift.flows.ready import Ready
from sealift.flows.workshop import Workshop, check_pack, name_of, verify_pack

STEPS = "steps"


def note_steps(shop: Workshop, ready: Ready, tree: Digest) -> None:
    """Remember what an image was made of, if that is more than one thing above its base."""
    if ready.above < 2:
        return
    note = {
        "packs": [name_of(path) for path in ready.packs],
        "names": list(ready.names),
        "base_count": ready.base_count,
        "above": ready.above,
        "epoch": ready.epoch,
    }
    with contextlib.suppress(SealiftError):  # a full cache disk does not spoil the image that is written
        shop.store.put_record(STEPS, hex_part(tree), note)


def with_steps(shop: Workshop, ready: Ready, tree: str) -> Ready:
    """The same image, merged of its steps again; as it is, with a word, where they are not in the cache.

    Who merges it compares the tree.
    """
    note = shop.store.record(STEPS, tree.partition(":")[2]) if tree else None
    try:
        if note is not None and int(note["epoch"]) == ready.epoch:
            packs = tuple(_found(shop, [str(name) for name in note["packs"]]))
            names = tuple(str(name) for name in note["names"])
            return replace(
                ready,
                packs=packs,
                names=names,
                digests=("",) * len(packs),
                base_count=int(note["base_count"]),
                above=int(note["above"]),
            )
    except (KeyError, TypeError, ValueError, LookupError):
        pass
    shop.events(
        Said(
            text="the steps of this image are not in the cache: all above its base goes into one layer",
            level="warning",
            hint="build it here once more, or at once into layers: sealift build --layers steps oci:DIR:TAG FILE.def",
        )
    )
    return ready


def _found(shop: Workshop, names: list[str]) -> Iterator[str]:
    for name in names:
        path = shop.store.find("packs", name, check=check_pack, whole=verify_pack)
        if path is None:
            raise LookupError(name)
        yield path
