"""OCI image layouts made by hand from tar streams, so that a test decides every byte of every layer."""

from __future__ import annotations

import gzip
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

Packing = Literal["gzip", "zstd", "plain"]
MEDIA = {
    "gzip": "application/vnd.oci.image.layer.v1.tar+gzip",
    "zstd": "application/vnd.oci.image.layer.v1.tar+zstd",
    "plain": "application/vnd.oci.image.layer.v1.tar",
}


def write_layout(
    folder: Path,
    tars: Sequence[bytes | Path],
    *,
    tag: str = "latest",
    packing: Packing | Sequence[Packing] = "gzip",
    config: dict[str, Any] | None = None,
    architecture: str = "amd64",
) -> Path:
    """Write one image with the given layers, lowest first, into a new OCI layout `folder`.

    `config` is the image config's own `config` object (`Env`, `Cmd`, `Entrypoint`, …). Every time in it is the epoch.
    """
    packings = [packing] * len(tars) if isinstance(packing, str) else list(packing)
    blobs = folder / "blobs" / "sha256"
    blobs.mkdir(parents=True)

    def put(data: bytes, media: str) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (blobs / digest).write_bytes(data)
        return {"mediaType": media, "digest": f"sha256:{digest}", "size": len(data)}

    layers, diffs = [], []
    for tar, how in zip(tars, packings, strict=True):
        data = tar.read_bytes() if isinstance(tar, Path) else tar
        diffs.append(f"sha256:{hashlib.sha256(data).hexdigest()}")
        layers.append(put(_packed(data, how), MEDIA[how]))
    image = {
        "created": "1970-01-01T00:00:00Z",
        "architecture": architecture,
        "os": "linux",
        "config": config or {},
        "rootfs": {"type": "layers", "diff_ids": diffs},
        "history": [{"created": "1970-01-01T00:00:00Z", "created_by": f"layer {n}"} for n in range(len(tars))],
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": put(json.dumps(image).encode(), "application/vnd.oci.image.config.v1+json"),
        "layers": layers,
    }
    entry = put(json.dumps(manifest).encode(), "application/vnd.oci.image.manifest.v1+json")
    entry["annotations"] = {"org.opencontainers.image.ref.name": tag}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return folder


def _packed(data: bytes, how: Packing) -> bytes:
    if how == "gzip":
        return gzip.compress(data, compresslevel=1, mtime=0)
    if how == "zstd":
        import zstandard

        return zstandard.ZstdCompressor(level=1).compress(data)
    return data
