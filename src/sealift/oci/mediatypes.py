"""Media types of OCI (image spec 1.1, media-types.md) and of Docker's registry (schema 2)."""

from __future__ import annotations

from typing import Literal

OCI_INDEX = "application/vnd.oci.image.index.v1+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
OCI_CONFIG = "application/vnd.oci.image.config.v1+json"
OCI_LAYER = "application/vnd.oci.image.layer.v1.tar"
OCI_FOREIGN_LAYER = "application/vnd.oci.image.layer.nondistributable.v1.tar"

DOCKER_INDEX = "application/vnd.docker.distribution.manifest.list.v2+json"
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_CONFIG = "application/vnd.docker.container.image.v1+json"
DOCKER_LAYER = "application/vnd.docker.image.rootfs.diff.tar"
DOCKER_FOREIGN_LAYER = "application/vnd.docker.image.rootfs.foreign.diff.tar"

SCHEMA_1 = "application/vnd.docker.distribution.manifest.v1+json"
SCHEMA_1_SIGNED = "application/vnd.docker.distribution.manifest.v1+prettyjws"

SIF_CONFIG = "application/vnd.sylabs.sif.config.v1+json"
SIF_LAYER = "application/vnd.sylabs.sif.layer.v1.sif"
SIF_LAYERS = frozenset({SIF_LAYER, "appliciation/vnd.sylabs.sif.layer.tar"})
"""A SIF as it is; the second, with its misspelling, is what Singularity pushed before 3.6."""

INDEXES = frozenset({OCI_INDEX, DOCKER_INDEX})
MANIFESTS = frozenset({OCI_MANIFEST, DOCKER_MANIFEST})

ACCEPT = f"{OCI_MANIFEST}, {OCI_INDEX}, {DOCKER_MANIFEST}, {DOCKER_INDEX}"
"""What a registry is told we read; without it, some answer with the retired schema 1."""

LayerCompression = Literal["", "gzip", "zstd"]

_LAYER_STEMS = (OCI_LAYER, OCI_FOREIGN_LAYER, DOCKER_LAYER, DOCKER_FOREIGN_LAYER)


def layer_compression(media_type: str) -> LayerCompression | None:
    """How a layer of this type is compressed, `""` for not at all; None when it is no layer type at all."""
    for stem in _LAYER_STEMS:
        if media_type == stem:
            return ""
        if media_type in (f"{stem}+gzip", f"{stem}.gzip"):
            return "gzip"
        if media_type in (f"{stem}+zstd", f"{stem}.zstd"):
            return "zstd"
    return None


def is_foreign(media_type: str) -> bool:
    """Whether a layer of this type may lie outside the registry, at the descriptor's `urls`."""
    return media_type.startswith((OCI_FOREIGN_LAYER, DOCKER_FOREIGN_LAYER))
