"""`oras://`: a SIF that lies in a registry as it is, as one layer of an OCI artifact.

manifest   config   application/vnd.sylabs.sif.config.v1+json, empty; older programs wrote other types here
           layers   exactly one: application/vnd.sylabs.sif.layer.v1.sif, the file's own bytes
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

from sealift.bases.docker import Downloads
from sealift.bases.open import Network, opened_registry
from sealift.core.digest import Digest
from sealift.core.event import Events, Said, ignore
from sealift.core.reference import OrasSource
from sealift.errors import ImageError, StoreError
from sealift.oci.manifest import Descriptor, Manifest, Platform
from sealift.oci.mediatypes import SIF_LAYERS, layer_compression
from sealift.store import Store
from sealift.store.hashing import digest_file


@dataclass(frozen=True, slots=True, kw_only=True)
class FetchedSif:
    """A SIF in the store, verified: its path, the file's own digest, and the canonical text of where it came from."""

    path: str
    digest: Digest
    origin: str


def fetch_sif(
    source: OrasSource, platform: Platform, *, store: Store, network: Network, events: Events = ignore
) -> FetchedSif:
    """Bring the SIF into the store; one that is there is not fetched again. Raises FetchError's kinds and ImageError.

    The store keeps the file until it is closed.
    """
    reference = source.reference
    cancelled = threading.Event()
    with opened_registry(network, cancelled, events) as (registry, web):
        found = registry.find_manifest(reference, platform, known=store.read_blob)
        for digest, data in found.documents.items():
            store.put_blob(data, digest)
        layer = _only_layer(found.manifest, str(source))
        path = store.blob(layer.digest, layer.size)
        if path is not None and digest_file(path, layer.digest.partition(":")[0]) != layer.digest:
            events(Said(text=f"the cached {source} is damaged and is fetched anew", level="warning"))
            store.drop_blob(layer.digest)
            path = None
        if path is None:
            downloads = Downloads(
                reference.pinned(found.digest),
                registry=registry,
                store=store,
                cancelled=cancelled,
                elsewhere=web,
                events=events,
                at_once=1,
            )
            try:
                downloads.opener(layer, f"SIF {layer.digest[7:19]}")
                downloads.arrival(layer.digest).wait()
            finally:
                downloads.close()
            path = store.blob(layer.digest, layer.size)
    if path is None:
        raise StoreError(f"`{source}` vanished from the cache while it was used", hints=("fetch it again",))
    return FetchedSif(path=path, digest=layer.digest, origin=f"oras://{reference.pinned(found.digest)}")


def _only_layer(manifest: Manifest, name: str) -> Descriptor:
    # The config's type is not looked at: what pushes SIFs has not been of one mind about it.
    if len(manifest.layers) == 1 and manifest.layers[0].media_type in SIF_LAYERS:
        return manifest.layers[0]
    if manifest.layers and all(layer_compression(each.media_type) is not None for each in manifest.layers):
        rest = name.removeprefix("oras://")
        raise ImageError(
            f"`{name}` is a container image of layers, not a SIF",
            hints=(f"try docker://{rest}", f"in a definition file: Bootstrap: docker, From: {rest}"),
        )
    kinds = ", ".join(sorted({each.media_type for each in manifest.layers})) or "no layers"
    raise ImageError(f"`{name}` is an artifact of another kind, not a SIF: {kinds}")
