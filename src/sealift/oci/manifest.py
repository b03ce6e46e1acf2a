"""Manifests and indexes (OCI image spec 1.1, manifest.md and image-index.md; Docker's schema 2) as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sealift.core.digest import Digest
from sealift.errors import ImageError
from sealift.oci import mediatypes
from sealift.oci.jsonvalue import Fields, parse_object

SIZE_LIMIT = 4 << 20
"""Bytes of a manifest, index or layout file: the most that registries must take (distribution spec, "Push")."""
LAYER_LIMIT = 4096
"""More layers than any engine can stack; a bound on what a hostile manifest makes us do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What an image runs on, in OCI's words (`linux`, `arm64`, `v8`)."""

    os: str = "linux"
    architecture: str
    variant: str = ""
    os_version: str = ""

    def __str__(self) -> str:
        return "/".join(part for part in (self.os, self.architecture, self.variant) if part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """A pointer to content: what it is, which bytes exactly, how many."""

    media_type: str
    digest: Digest
    size: int
    urls: tuple[str, ...] = ()
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)
    platform: Platform | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One image for one platform; layers from the lowest up."""

    media_type: str
    config: Descriptor
    layers: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """Manifests (or further indexes) to choose from."""

    media_type: str
    manifests: tuple[Descriptor, ...]
    annotations: Mapping[str, str] = field(default_factory=dict, hash=False)


def parse_manifest(data: bytes, media_type: str = "") -> Manifest | Index:
    """Read what a registry or layout holds under a manifest's digest; ImageError when it is none that we read.

    `media_type` is what the transport called it. The document's own `mediaType` wins: the transport's is lost on the
    way through some proxies. Documents without any are told by their fields, as OCI permits.
    """
    if len(data) > SIZE_LIMIT:
        raise ImageError(f"the manifest is larger than {SIZE_LIMIT >> 20} MiB")
    fields = parse_object(data, "the manifest")
    kind = fields.text("mediaType") or media_type.partition(";")[0].strip()
    version = fields.integer("schemaVersion", 2)
    if version == 1 or kind in (mediatypes.SCHEMA_1, mediatypes.SCHEMA_1_SIGNED):
        raise ImageError(
            "the image has Docker's manifest of schema 1, which was retired in 2019",
            hints=("let its owner push it again with a current Docker, Podman or skopeo",),
        )
    if version != 2:
        raise ImageError(f"the manifest has `schemaVersion` {version}, where 2 is known")
    if fields.has("manifests") and fields.has("layers"):
        # One document with two readings: CVE-2021-41190 asks to refuse it.
        raise ImageError("the manifest has both `layers` and `manifests`, so it could be read in two ways")
    if kind in mediatypes.INDEXES or (kind not in mediatypes.MANIFESTS and fields.has("manifests")):
        if not fields.has("manifests"):
            raise ImageError(f"the index (`{kind}`) has no `manifests`")
        return _index(fields, kind)
    if kind in mediatypes.MANIFESTS or fields.has("config"):
        if not fields.has("config"):
            raise ImageError(f"the manifest (`{kind}`) has no `config`")
        return _manifest(fields, kind)
    raise ImageError(f"this is not the manifest of an image: `{kind or 'no media type'}`")


def _index(fields: Fields, kind: str) -> Index:
    return Index(
        media_type=kind if kind in mediatypes.INDEXES else mediatypes.OCI_INDEX,
        manifests=tuple(_descriptor(item) for item in fields.children("manifests")),
        annotations=fields.mapping("annotations"),
    )


def _manifest(fields: Fields, kind: str) -> Manifest:
    config = fields.child("config")
    if config is None:
        raise ImageError("the manifest has no `config`")
    layers = tuple(_descriptor(item) for item in fields.children("layers"))
    if len(layers) > LAYER_LIMIT:
        raise ImageError(f"the manifest has {len(layers)} layers, more than {LAYER_LIMIT}")
    return Manifest(
        media_type=kind if kind in mediatypes.MANIFESTS else mediatypes.OCI_MANIFEST,
        config=_descriptor(config),
        layers=layers,
        annotations=fields.mapping("annotations"),
    )


def _descriptor(fields: Fields) -> Descriptor:
    platform = fields.child("platform")
    return Descriptor(
        media_type=fields.text("mediaType"),
        digest=fields.digest("digest"),
        size=fields.integer("size"),
        urls=fields.texts("urls"),
        annotations=fields.mapping("annotations"),
        platform=None if platform is None else _platform(platform),
    )


def _platform(fields: Fields) -> Platform:
    return Platform(
        os=fields.text("os"),
        architecture=fields.text("architecture"),
        variant=fields.text("variant"),
        os_version=fields.text("os.version"),
    )


def check_layers(manifest: Manifest) -> None:
    """Refuse what is stored like an image but holds no root filesystem: charts, models, SIF files, encrypted layers."""
    for layer in manifest.layers:
        if mediatypes.layer_compression(layer.media_type) is not None:
            continue
        if "encrypted" in layer.media_type:
            raise ImageError(
                f"layer `{layer.digest}` is encrypted (`{layer.media_type}`)",
                hints=("decrypt it first: skopeo copy --decryption-key KEY docker://… oci:DIR",),
            )
        if "sylabs.sif" in layer.media_type:
            raise ImageError(
                "the registry holds a SIF file under this name, not a container image of layers",
                hints=("write oras:// in the place of docker://, or Bootstrap: oras",),
            )
        raise ImageError(f"layer `{layer.digest}` is not a layer of a container image: `{layer.media_type}`")
