"""What an OCI image of ours stands on: the layers of its base byte for byte, under their own digests.

A SIF of ours holds no layers, but the note of where its base came from and which layers that had. They are looked up
there again: what is in the cache is not fetched, and where they cannot be had all files go into one layer.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, BinaryIO

from sealift.core.event import Said
from sealift.core.reference import (
    DockerArchiveSource,
    DockerDaemonSource,
    OciSource,
    OrasSource,
    Reference,
    parse_reference,
    parse_source,
)
from sealift.errors import ImageError, SealiftError
from sealift.flows.base import Base, fetch_base
from sealift.flows.ready import Finished
from sealift.flows.workshop import Workshop, digest_of
from sealift.oci import mediatypes
from sealift.oci.config import ImageConfig, parse_config
from sealift.oci.encode import canonical_json
from sealift.oci.image import TREE_LABEL, ImageLayer
from sealift.oci.manifest import Descriptor
from sealift.oci.platforms import platform_of
from sealift.packs.pack import Pack, open_pack

if TYPE_CHECKING:
    from sealift.bases.image import Layer
    from sealift.packs.squeeze import Squeezed

_PIECE = 1 << 20
_IMAGE_ID = re.compile(r" \(image ID sha256:[0-9a-f]{64}\)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Below:
    """`packs` are the layers' contents. `whole`: there is nothing above, and the config is the image's own."""

    layers: tuple[ImageLayer, ...] = ()
    packs: tuple[Pack, ...] = field(default=(), repr=False)
    config: ImageConfig | None = None
    whole: bool = False


@contextlib.contextmanager
def below(shop: Workshop, finished: Finished) -> Iterator[Below]:
    """What lies below our own layers; no layers for a base that is not made of any. ImageError where a base that was
    named by a path is another image now.
    """
    ready = finished.ready
    base = ready.base
    if base is None:
        yield Below()
    elif base.source is not None:
        with base_layers(shop, base) as layers:
            yield Below(
                layers=layers,
                packs=finished.merged.packs[: len(layers)],
                config=base.config,
                whole=ready.as_it_was and base.config is not None,
            )
    else:
        origin = _base_of_origin(shop, base)
        if origin is None:
            yield Below(config=_noted_config(shop, base))
            return
        with contextlib.ExitStack() as stack:
            layers = stack.enter_context(base_layers(shop, origin))
            packs = tuple(stack.enter_context(open_pack(path)) for path in origin.packs[: len(layers)])
            config = origin.config
            whole = origin.complete and config is not None and config.labels.get(TREE_LABEL) == finished.tree
            yield Below(layers=layers, packs=packs, config=config, whole=whole)


def _base_of_origin(shop: Workshop, base: Base) -> Base | None:
    """Where an image of ours says that its own base came from, had again; None, with a word, where it cannot be."""
    source = source_of_origin(base.origin) if base.complete else None
    if source is None:
        return None
    try:
        found = fetch_base(shop, source)
        if base.noted and found.layers != base.noted:
            raise ImageError(f"`{source}` is another image than it was")
        if not base.noted and not (isinstance(source, Reference) and source.digest):
            return None
    except SealiftError as error:
        shop.events(
            Said(
                text=f"the layers of {source} cannot be had again ({error.message}): all files go into one layer",
                level="warning",
            )
        )
        return None
    return found


def source_of_origin(origin: str) -> OciSource | None:
    """The image of layers that `Base.origin` names; None where it names another thing, or no certain one."""
    text = _IMAGE_ID.sub("", origin)
    try:
        if re.search(r"@sha256:[0-9a-f]{64}$", text) and "://" not in text:
            return parse_reference(text)
        source = parse_source(text)
    except SealiftError:
        return None
    return None if isinstance(source, OrasSource | Reference) else source


def _noted_config(shop: Workshop, base: Base) -> ImageConfig | None:
    """What an image that was made of layers keeps of their config; None for others."""
    if not base.oci_config:
        return base.config
    run = json.loads(base.oci_config)
    return parse_config(canonical_json({"architecture": shop.architecture.oci, "os": "linux", "config": run}))


@contextlib.contextmanager
def base_layers(shop: Workshop, base: Base) -> Iterator[tuple[ImageLayer, ...]]:
    """The layers that the base had, the lowest first.

    A registry's are in the cache or are fetched again when they are opened; a local image is read where it lies.
    ImageError when there is another image now.
    """
    if base.source is None:
        yield ()
        return
    from sealift.bases.open import Network, open_image

    network = Network(env=shop.request.environment, insecure=shop.request.insecure)
    with open_image(
        base.source, platform_of(shop.architecture), store=shop.store, network=network, events=shop.events
    ) as image:
        if tuple(layer.digest for layer in image.layers) != base.layers:
            raise ImageError(f"`{base.source}` became another image while it was read", hints=("build once more",))
        if isinstance(base.source, DockerArchiveSource | DockerDaemonSource):
            yield tuple(squeezed(shop, layer) for layer in image.layers)
        else:
            yield tuple(layer_as_it_is(layer, base.source) for layer in image.layers)


def layer_as_it_is(layer: Layer, source: OciSource) -> ImageLayer:
    """A layer of `source`, under OCI's name for its kind."""
    compression = mediatypes.layer_compression(layer.media_type)
    # An OCI manifest speaks OCI's words for layers; the bytes are the same.
    media_type = mediatypes.OCI_LAYER + (f"+{compression}" if compression else "")
    return ImageLayer(
        descriptor=Descriptor(media_type=media_type, digest=layer.digest, size=layer.size),
        diff_id=layer.diff_id,
        opener=layer.open,
        found_in=source if isinstance(source, Reference) else None,
    )


def squeezed(shop: Workshop, layer: Layer) -> ImageLayer:
    """A layer of `docker save`, which holds layers uncompressed: as it would be in a registry."""
    from sealift.flows.ocilayers import kept_layer, layer_compression, layer_task
    from sealift.packs.squeeze import FORMAT, squeeze

    compression = layer_compression(shop)
    label = f"layer {layer.diff_id[7:19]}"

    def make(file: BinaryIO) -> Squeezed:
        def write(stream: BinaryIO) -> Squeezed:
            file.seek(0)
            file.truncate()
            with layer_task(shop, label, layer.size) as counted:
                return squeeze(counted(_pieces(stream.read)), file, compression=compression, pool=shop.pool)

        return layer.read(write)

    key = digest_of("layer of docker", FORMAT, compression.identity, layer.diff_id)
    return kept_layer(shop, key, make, compression, label=label)


def _pieces(read: Callable[[int], bytes]) -> Iterator[bytes]:
    while piece := read(_PIECE):
        yield piece
