"""The layers of a base, as an OCI image of ours takes them over: byte for byte, under their own digests."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO

from sealift.core.reference import DockerArchiveSource, DockerDaemonSource
from sealift.errors import ImageError
from sealift.flows.base import Base
from sealift.flows.workshop import Workshop, digest_of
from sealift.oci import mediatypes
from sealift.oci.image import ImageLayer
from sealift.oci.manifest import Descriptor
from sealift.oci.platforms import platform_of

if TYPE_CHECKING:
    from sealift.bases.image import Layer
    from sealift.packs.squeeze import Squeezed

_PIECE = 1 << 20


@contextlib.contextmanager
def base_layers(shop: Workshop, base: Base | None) -> Iterator[tuple[ImageLayer, ...]]:
    """The layers that the base had, the lowest first; none for a base that is not made of layers.

    A registry's are in the cache or are fetched again when they are opened; a local image is read where it lies.
    ImageError when there is another image now.
    """
    if base is None or base.source is None:
        yield ()
        return
    from sealift.bases.open import Network, open_image

    network = Network(env=shop.request.environment, insecure=shop.request.insecure)
    with open_image(
        base.source, platform_of(shop.architecture), store=shop.store, network=network, events=shop.events
    ) as image:
        if tuple(layer.digest for layer in image.layers) != base.layers:
            raise ImageError(f"`{base.source}` became another image while it was read", hints=("build once more",))
        loose = isinstance(base.source, DockerArchiveSource | DockerDaemonSource)
        yield tuple(_squeezed(shop, layer) if loose else _as_it_is(layer) for layer in image.layers)


def _as_it_is(layer: Layer) -> ImageLayer:
    compression = mediatypes.layer_compression(layer.media_type)
    # An OCI manifest speaks OCI's words for layers; the bytes are the same.
    media_type = mediatypes.OCI_LAYER + (f"+{compression}" if compression else "")
    return ImageLayer(
        descriptor=Descriptor(media_type=media_type, digest=layer.digest, size=layer.size),
        diff_id=layer.diff_id,
        opener=layer.open,
    )


def _squeezed(shop: Workshop, layer: Layer) -> ImageLayer:
    """A layer of `docker save`, which holds layers uncompressed: as it would be in a registry."""
    from sealift.flows.ociout import kept_layer, layer_compression, layer_task
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
