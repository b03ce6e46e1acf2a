"""An image of ours as an OCI image: the base's layers as they came, and all that is above them as one layer."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import BinaryIO

from sealift.bases.verified import open_range
from sealift.core.digest import Digest, parse_digest, sha256
from sealift.core.event import Advanced, Began, Ended, Said
from sealift.core.tree import show_path
from sealift.flows.ociconfig import configure
from sealift.flows.ready import Finished, Written
from sealift.flows.targets import Target
from sealift.flows.workshop import Workshop, digest_of
from sealift.oci import mediatypes
from sealift.oci.encode import Document, manifest_document
from sealift.oci.image import DEFINITION_LABEL, TREE_LABEL, ImageLayer, OciImage
from sealift.oci.manifest import Descriptor
from sealift.packs.difference import difference
from sealift.packs.layerstream import layer_stream
from sealift.packs.merge import Merged, merge
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


def write_oci(shop: Workshop, finished: Finished, target: Target) -> Written:
    """Write the image into a layout or an archive; whole, or not so that a reader could find it."""
    from sealift.flows.layouts import write_archive, write_layout

    with oci_image(shop, finished) as image:
        match target.kind:
            case "oci":
                write_layout(target.place, target.tag, image, events=shop.events)
            case "docker-archive":
                write_archive(target.place, "", image, docker_name=target.tag, events=shop.events)
            case _:
                write_archive(target.place, target.tag, image, events=shop.events)
        return Written(size=image.size, digest=image.manifest.descriptor.digest)


@contextlib.contextmanager
def oci_image(shop: Workshop, finished: Finished) -> Iterator[OciImage]:
    """The image as a value, whose layers can be opened within the block.

    A layer of the base that is not in the cache is fetched again from its source when it is opened.
    """
    from sealift.flows.ocibase import below

    ready = finished.ready
    with below(shop, finished) as base:
        if base.whole and base.config is not None:
            config = Document(media_type=mediatypes.OCI_CONFIG, data=base.config.raw)
            layers = base.layers
        else:
            layers = (*base.layers, our_layer(shop, finished, base.packs))
            config = configure(shop, finished, base.config, [layer.diff_id for layer in layers])
        yield OciImage(
            manifest=manifest_document(
                config, [layer.descriptor for layer in layers], _annotations(ready.definition, finished.tree)
            ),
            config=config,
            layers=layers,
            architecture=shop.architecture.oci,
            variant=shop.architecture.variant,
        )


def _annotations(definition: bytes, tree: Digest) -> dict[str, str]:
    return {TREE_LABEL: tree, **({DEFINITION_LABEL: sha256(definition)} if definition else {})}


def without_sockets(shop: Workshop, merged: Merged) -> Merged:
    """The image without what no layer can hold."""
    tree = merged.tree
    sockets = [row for row, mode in enumerate(tree.modes) if stat.S_ISSOCK(mode)]
    if not sockets:
        return merged
    for row in sockets:
        text = f"the socket {show_path(tree.paths[row])} is left out: OCI images cannot hold sockets"
        shop.events(Said(text=text, level="warning"))
    left = set(sockets)
    return merged.select([row for row in range(len(tree)) if row not in left])


# Our layer: made once for a pair of trees, and kept.


def our_layer(shop: Workshop, finished: Finished, below: Sequence[Pack]) -> ImageLayer:
    """What lies above the packs `below`, as a layer in the cache. Depends on the two trees alone."""
    merged, tree, epoch = finished.merged, finished.tree, finished.ready.epoch
    base = merge(list(below), base_count=len(below)) if below else None
    compression = layer_compression(shop)
    key = digest_of(
        "layer",
        LAYER_VERSION,
        FORMAT,
        compression.identity,
        tree_digest(base.tree) if base is not None else "",
        tree,
        epoch,
    )

    def make(file: BinaryIO) -> Squeezed:
        found = difference(base.tree if base is not None else None, merged.tree)
        sizes = merged.tree.sizes
        with layer_task(shop, label, sum(sizes[row] for row in found.rows)) as counted:
            stream = counted(layer_stream(merged, found, mtime=epoch))
            return squeeze(stream, file, compression=compression, pool=shop.pool)

    label = f"layer {len(below) + 1}/{len(below) + 1}, ours"
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
