"""IMAGE of any form as an OCI image that can be sent on, and nothing added to it.

What is made of layers goes on as it is, manifest and all. A SIF, a squashfs and a directory become layers: those of the
base they were built on, where they can be had, and one of all else.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, replace

from sealift.core.epoch import choose_epoch
from sealift.core.reference import ImageSource, OciSource, OrasSource, Reference, parse_source
from sealift.errors import ImageError
from sealift.flows.base import Base, fetch_base, open_local_image
from sealift.flows.ready import Ready
from sealift.flows.returning import ready_as_it_was
from sealift.flows.steps import with_steps
from sealift.flows.workshop import Workshop
from sealift.oci import mediatypes
from sealift.oci.encode import Document, manifest_document
from sealift.oci.image import OWN_LABELS, TREE_LABEL, ImageLayer, OciImage
from sealift.oci.manifest import Descriptor, Manifest, parse_manifest
from sealift.oci.platforms import platform_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Sendable:
    """An image that wants only sending; `tree` is the digest of its tree where it is known."""

    image: OciImage
    tree: str = ""


@contextlib.contextmanager
def opened_to_send(shop: Workshop, text: str) -> Iterator[Sendable]:
    """The image that `text` names, for the architecture of the workshop. ImageError, FetchError's kinds."""
    source = parse_source(text)
    if source is not None and not isinstance(source, OrasSource):
        with _copied(shop, source) as image:
            yield Sendable(image=image, tree=_noted_tree(image.manifest))
        return
    from sealift.flows.finish import finished
    from sealift.flows.ociout import oci_image

    base = _local(shop, source, text)
    ready = ready_to_send(shop, base)
    if shop.request.layers == "steps":
        ready = with_steps(shop, ready, base.tree)
    with finished(shop, ready, layered=True) as made, oci_image(shop, made) as image:
        if ready.above and made.tree != base.tree:
            raise ImageError(f"the steps of `{text}` make another image", hints=("leave out --layers",))
        yield Sendable(image=image, tree=made.tree)


def ready_to_send(shop: Workshop, base: Base) -> Ready:
    """The files as they are; those of a directory that others made get the times that all images have."""
    epoch = choose_epoch(source_date_epoch=shop.request.environment.get("SOURCE_DATE_EPOCH"), base_created=base.created)
    return replace(ready_as_it_was(base, epoch), base_count=0 if base.ours else len(base.packs) - base.own_above)


def _local(shop: Workshop, source: ImageSource | None, text: str) -> Base:
    if source is not None:
        return fetch_base(shop, source)
    return open_local_image(shop, text)


@contextlib.contextmanager
def _copied(shop: Workshop, source: OciSource) -> Iterator[OciImage]:
    from sealift.bases.open import Network, open_image
    from sealift.flows.ocibase import squeezed

    network = Network(env=shop.request.environment, insecure=shop.request.insecure)
    platform = platform_of(shop.architecture)
    with open_image(source, platform, store=shop.store, network=network, events=shop.events) as image:
        if image.manifest:
            manifest = parse_manifest(image.manifest)
            if not isinstance(manifest, Manifest):
                raise ImageError(f"`{source}` has an index where a manifest was")
            found_in = source if isinstance(source, Reference) else None
            layers = tuple(
                ImageLayer(descriptor=descriptor, diff_id=layer.diff_id, opener=layer.open, found_in=found_in)
                for descriptor, layer in zip(manifest.layers, image.layers, strict=True)
            )
            config = Document(media_type=manifest.config.media_type, data=image.config.raw)
            document = Document(media_type=manifest.media_type, data=image.manifest)
        else:
            layers = tuple(squeezed(shop, layer) for layer in image.layers)
            config = Document(media_type=mediatypes.OCI_CONFIG, data=image.config.raw)
            own = {name: text for name, text in image.config.labels.items() if name in OWN_LABELS}
            document = manifest_document(config, [layer.descriptor for layer in layers], own)
        yield OciImage(
            manifest=document,
            config=config,
            layers=layers,
            architecture=image.config.platform.architecture,
            variant=image.config.platform.variant,
        )


def in_ocis_words(image: OciImage) -> OciImage:
    """The image with a manifest of OCI's kind: layouts hold no other. The blobs stay."""
    if image.manifest.media_type == mediatypes.OCI_MANIFEST:
        return image
    config = replace(image.config, media_type=mediatypes.OCI_CONFIG)
    layers = tuple(replace(layer, descriptor=_in_ocis_words(layer.descriptor)) for layer in image.layers)
    document = manifest_document(config, [layer.descriptor for layer in layers], {})
    return replace(image, manifest=document, config=config, layers=layers)


def _in_ocis_words(descriptor: Descriptor) -> Descriptor:
    compression = mediatypes.layer_compression(descriptor.media_type)
    stem = mediatypes.OCI_FOREIGN_LAYER if mediatypes.is_foreign(descriptor.media_type) else mediatypes.OCI_LAYER
    return replace(descriptor, media_type=stem + (f"+{compression}" if compression else ""))


def _noted_tree(manifest: Document) -> str:
    parsed = parse_manifest(manifest.data)
    return parsed.annotations.get(TREE_LABEL, "")
