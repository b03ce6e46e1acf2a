"""An image of ours as an OCI image: the base's layers as they came, and ours above them."""

from __future__ import annotations

import contextlib
import stat
from collections.abc import Iterator

from sealift.core.digest import Digest, sha256
from sealift.core.event import Said
from sealift.core.tree import show_path
from sealift.flows.ociconfig import configure
from sealift.flows.ocilayers import our_layers
from sealift.flows.ready import Finished, Written
from sealift.flows.targets import Target
from sealift.flows.workshop import Workshop
from sealift.oci import mediatypes
from sealift.oci.encode import Document, manifest_document
from sealift.oci.image import DEFINITION_LABEL, TREE_LABEL, OciImage
from sealift.packs.merge import Merged


def write_oci(shop: Workshop, finished: Finished, target: Target) -> Written:
    """Write the image into a layout or an archive; whole, or not so that a reader could find it."""
    with oci_image(shop, finished) as image:
        write_image(shop, image, target)
        return Written(size=image.size, digest=image.manifest.descriptor.digest)


def write_image(shop: Workshop, image: OciImage, target: Target) -> None:
    """The same for an image that is one already."""
    from sealift.flows.layouts import write_archive, write_layout

    match target.kind:
        case "oci":
            write_layout(target.place, target.tag, image, events=shop.events)
        case "docker-archive":
            write_archive(target.place, "", image, docker_name=target.tag, events=shop.events)
        case _:
            write_archive(target.place, target.tag, image, events=shop.events)


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
            names, ours = zip(*our_layers(shop, finished, base.packs, len(base.layers)), strict=True)
            layers = (*base.layers, *ours)
            config = configure(shop, finished, base.config, [layer.diff_id for layer in layers], names)
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
