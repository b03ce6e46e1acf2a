"""OCI image layouts made by hand from tar streams, so that a test decides every byte of every layer."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

Packing = Literal["gzip", "zstd", "plain"]
MEDIA: dict[Packing, str] = {
    "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
    "plain": "application/vnd.oci.image.layer.v1.tar",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """A layer as it lies in a layout."""

    blob: bytes
    media: str
    diff: str
    """Digest of the tar stream itself."""


def pack(tar: bytes | Path, how: Packing = "gzip", *, level: int = 1) -> Layer:
    """Compress a tar stream; the same stream gives the same blob."""
    data = tar.read_bytes() if isinstance(tar, Path) else tar
    if how == "gzip":
        blob = gzip.compress(data, compresslevel=level, mtime=0)
    elif how == "zstd":
        import zstandard

        blob = zstandard.ZstdCompressor(level=level).compress(data)
    else:
        blob = data
    return Layer(blob=blob, media=MEDIA[how], diff=f"sha256:{hashlib.sha256(data).hexdigest()}")


def write_layout(
    folder: Path,
    layers: Sequence[bytes | Path | Layer],
    *,
    tag: str = "latest",
    packing: Packing | Sequence[Packing] = "gzip",
    config: dict[str, Any] | None = None,
    architecture: str = "amd64",
) -> Path:
    """Write one image with the given layers, lowest first, into an OCI layout; a layout that is there gets one more.

    `config` is the image config's own `config` object (`Env`, `Cmd`, `Entrypoint`, …). Every time in it is the epoch.
    """
    packings: list[Packing] = [packing] * len(layers) if isinstance(packing, str) else list(packing)
    whole = [
        layer if isinstance(layer, Layer) else pack(layer, how) for layer, how in zip(layers, packings, strict=True)
    ]
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)

    def put(data: bytes, media: str) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": media, "digest": f"sha256:{digest}", "size": len(data)}

    created = "1970-01-01T00:00:00Z"
    image = {
        "created": created,
        "architecture": architecture,
        "os": "linux",
        "config": config or {},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff for layer in whole]},
        "history": [{"created": created, "created_by": f"layer {number}"} for number in range(len(whole))],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": put(json.dumps(image).encode(), "application/vnd.oci.image.config.v1+json"),
        "layers": [put(layer.blob, layer.media) for layer in whole],
    }
    entry = put(json.dumps(manifest).encode(), "application/vnd.oci.image.manifest.v1+json")
    entry["annotations"] = {"org.opencontainers.image.ref.name": tag}
    index = folder / "index.json"
    others = json.loads(index.read_bytes())["manifests"] if index.exists() else []
    index.write_text(json.dumps({"schemaVersion": 2, "manifests": [*others, entry]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder
