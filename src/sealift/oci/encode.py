"""Manifests, configs and layout files as bytes: one canonical JSON, so that equal values are equal bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sealift.core.digest import Digest, sha256
from sealift.oci import mediatypes
from sealift.oci.layout import REF_NAME
from sealift.oci.manifest import Descriptor

LAYOUT_FILE = b'{"imageLayoutVersion":"1.0.0"}'


def canonical_json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A small blob at hand."""

    media_type: str
    data: bytes

    @property
    def descriptor(self) -> Descriptor:
        return Descriptor(media_type=self.media_type, digest=sha256(self.data), size=len(self.data))


def manifest_document(config: Document, layers: Sequence[Descriptor], annotations: Mapping[str, str]) -> Document:
    """The manifest of one image (image spec 1.1, manifest.md)."""
    value: dict[str, Any] = {
        "schemaVersion": 2,
        "mediaType": mediatypes.OCI_MANIFEST,
        "config": descriptor_json(config.descriptor),
        "layers": [descriptor_json(layer) for layer in layers],
    }
    if annotations:
        value["annotations"] = dict(annotations)
    return Document(media_type=mediatypes.OCI_MANIFEST, data=canonical_json(value))


def config_document(
    *,
    base: Mapping[str, Any],
    architecture: str,
    variant: str,
    run: Mapping[str, Any],
    created: str,
    diff_ids: Sequence[Digest],
    history: Sequence[Mapping[str, Any]],
) -> Document:
    """The config of an image (config.md). Of the `base`'s config only the author and the system's version stay."""
    value: dict[str, Any] = {key: base[key] for key in ("author", "os.version", "os.features") if base.get(key)}
    value |= {
        "created": created,
        "architecture": architecture,
        "os": "linux",
        "config": {key: item for key, item in run.items() if item not in (None, "", [], {}, False)},
        "rootfs": {"type": "layers", "diff_ids": list(diff_ids)},
        "history": [dict(item) for item in history],
    }
    if variant:
        value["variant"] = variant
    return Document(media_type=mediatypes.OCI_CONFIG, data=canonical_json(value))


def index_json(manifests: Sequence[Mapping[str, Any]], kept: Mapping[str, Any]) -> bytes:
    """A layout's `index.json`. `kept` are further fields of the one that it takes the place of."""
    rest = {key: item for key, item in kept.items() if key not in ("schemaVersion", "manifests")}
    return canonical_json({"schemaVersion": 2, **rest, "manifests": [dict(item) for item in manifests]})


def index_entry(manifest: Document, *, tag: str, architecture: str, variant: str) -> dict[str, Any]:
    value = descriptor_json(manifest.descriptor)
    value["platform"] = {"architecture": architecture, "os": "linux"} | ({"variant": variant} if variant else {})
    if tag:
        value["annotations"] = {REF_NAME: tag}
    return value


def descriptor_json(descriptor: Descriptor) -> dict[str, Any]:
    return {"mediaType": descriptor.media_type, "digest": descriptor.digest, "size": descriptor.size}
