"""Content digests in the form `sha256:<64 hex digits>` (OCI image spec, descriptor.md, "Digests")."""

from __future__ import annotations

import hashlib
import re
from typing import NewType

Digest = NewType("Digest", str)
"""A checked digest string; make one with `parse_digest`, `sha256` or `from_raw`."""

_SHAPE = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}")


def parse_digest(text: str) -> Digest:
    """Return `text` as a digest, or raise ValueError: only sha256 and sha512, lower-case hex."""
    if not _SHAPE.fullmatch(text):
        raise ValueError(f"not a sha256 or sha512 digest: {text!r}")
    return Digest(text)


def sha256(data: bytes) -> Digest:
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def from_raw(raw: bytes) -> Digest:
    """Return the digest whose 32 raw SHA-256 bytes are `raw`."""
    if len(raw) != 32:
        raise ValueError(f"a SHA-256 digest has 32 bytes, not {len(raw)}")
    return Digest("sha256:" + raw.hex())


def hex_part(digest: Digest) -> str:
    return digest.partition(":")[2]
