"""What an OCI image of ours has above its base: one layer, or one for each step; compressed once and kept.

A layer is the difference of two whole trees, so that its bytes depend on these alone: never on how a tree came about.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import BinaryIO

from sealift.bases.verified import open_range
from sealift.core.digest import Digest, parse_digest
from sealift.core.event import Advanced, Began, Ended
from sealift.core.tree import Tree
from sealift.flows.ready import Finished
from sealift.flows.workshop import Workshop, digest_of
from sealift.oci import mediatypes
from sealift.oci.image import ImageLayer
from sealift.oci.manifest import Descriptor
from sealift.packs.difference import difference
from sealift.packs.layerstream import layer_stream
from sealift.packs.merge import merge
from sealift.packs.pack import Pack
from sealift.packs.squeeze import FORMAT, Squeezed, squeeze
from sealift.packs.treedigest import tree_digest
from sealift.squashfs.compression import Compression, parse_compression

LAYER_VERSION = 1
"""Raised with every change that gives other bytes for the same difference of trees."""
DEFAULT_LAYER_COMPRESSION = Compression(name="gzip", level=6)
"""What every engine and every registry's proxy reads."""
_AT_ONCE = 1 << 20
"""Bytes of which progress is told at once: small files come by the thousand."""
MOST_LAYERS = 125
"""What Docker stacks (moby, layer/layer_store.go, `maxLayerDepth`); Podman takes more."""


def our_layers(
    shop: Workshop, finished: Finished, below: Sequence[Pack], count: int
) -> Iterator[tuple[str, ImageLayer]]:
    """The layers above those of the base, `count` of them, whose contents are the packs `below`; each with its name.

    With `--layers steps` as many as there are packs above the base, less those that change nothing; the last takes all
    that is left where there would be more than engines stack.
    """
    ready = finished.ready
    older: Tree | None = merge(list(below), base_count=len(below)).tree if below else None
    first = max(1, len(ready.packs) - ready.above) if below else 1
    ends = range(first, len(ready.packs)) if shop.request.layers == "steps" and ready.above else range(0)
    number = count
    for end in ends:
        if number + 1 >= MOST_LAYERS:
            break
        from sealift.flows.finish import finished as finish

        part = replace(ready, packs=ready.packs[:end], names=ready.names[:end], digests=ready.digests[:end], above=0)
        with finish(shop, part, layered=True) as made:
            if older is not None and tree_digest(older) == made.tree:
                continue
            number += 1
            yield ready.names[end - 1], _layer(shop, older, made, f"layer {number}, {ready.names[end - 1]}")
            older = made.merged.tree
    name = ready.names[-1] if number > count else ""
    yield name, _layer(shop, older, finished, f"layer {number + 1}, {name or 'ours'}")


def _layer(shop: Workshop, older: Tree | None, newer: Finished, label: str) -> ImageLayer:
    """What makes a tree of another, as a layer in the cache."""
    merged, epoch = newer.merged, newer.ready.epoch
    compression = layer_compression(shop)
    below = tree_digest(older) if older is not None else ""
    key = digest_of("layer", LAYER_VERSION, FORMAT, compression.identity, below, newer.tree, epoch)

    def make(file: BinaryIO) -> Squeezed:
        found = difference(older, merged.tree)
        sizes = merged.tree.sizes
        with layer_task(shop, label, sum(sizes[row] for row in found.rows)) as counted:
            stream = counted(layer_stream(merged, found, mtime=epoch))
            return squeeze(stream, file, compression=compression, pool=shop.pool)

    return kept_layer(shop, key, make, compression, label=label)


@contextlib.contextmanager
def layer_task(shop: Workshop, label: str, total: int) -> Iterator[Callable[[Iterable[bytes]], Iterator[bytes]]]:
    """Tell of a layer of `total` bytes that is compressed; what is given counts the pieces that go through it."""
    task = f"compress {label}"

    def counted(pieces: Iterable[bytes]) -> Iterator[bytes]:
        count = 0
        for piece in pieces:
            yield piece
            count += len(piece)
            if count >= _AT_ONCE:
                shop.events(Advanced(task=task, amount=count))
                count = 0

    shop.events(Began(task=task, label=label, total=total))
    note = "failed"
    try:
        yield counted
        note = ""
    finally:
        shop.events(Ended(task=task, note=note))


def kept_layer(
    shop: Workshop, key: str, make: Callable[[BinaryIO], Squeezed], compression: Compression, *, label: str
) -> ImageLayer:
    """A compressed layer of the cache, made by `make` where it is not there yet."""

    def write(file: BinaryIO) -> Digest:
        made = make(file)
        shop.store.put_record("layers", key, {"digest": made.digest, "size": made.size, "diff_id": made.plain_digest})
        return made.digest

    path = shop.store.entry("layers", key, write, what=label)
    note = shop.store.record("layers", key)
    if note is None or os.path.getsize(path) != note.get("size"):
        shop.store.drop("layers", key)
        path = shop.store.entry("layers", key, write, what=label)
        note = shop.store.record("layers", key) or {}
    descriptor = Descriptor(
        media_type=f"{mediatypes.OCI_LAYER}+{compression.name}",
        digest=parse_digest(str(note["digest"])),
        size=int(note["size"]),
    )

    def open_layer() -> BinaryIO:
        return open_range(path, 0, descriptor.size, descriptor.digest, what=f"{label}, in the cache")

    return ImageLayer(descriptor=descriptor, diff_id=parse_digest(str(note["diff_id"])), opener=open_layer)


def layer_compression(shop: Workshop) -> Compression:
    """How layers are compressed: as `--compression` says, else in the way that all engines read."""
    asked = shop.request.compression
    return parse_compression(asked) if asked else DEFAULT_LAYER_COMPRESSION
