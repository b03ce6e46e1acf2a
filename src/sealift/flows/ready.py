"""What an image is made of, before and after its packs are merged, and what came of writing it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sealift.core.digest import Digest
from sealift.flows.base import Base
from sealift.packs.merge import Merged


@dataclass(frozen=True, slots=True, kw_only=True)
class Ready:
    """Everything that an image is made of. `names` call the packs for people; `digests` are the layers' where known.

    `above` of the packs, the last ones, are what was made on the base. `as_it_was` says that nothing was added to the
    `base`, which is an image of ours already.
    """

    packs: tuple[str, ...]
    names: tuple[str, ...]
    digests: tuple[str, ...]
    base_count: int
    epoch: int
    definition: bytes
    inspect: bytes
    oci_config: bytes = b""
    origin: str = ""
    base: Base | None = None
    above: int = 0
    as_it_was: bool = False


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Finished:
    """An image that wants only writing: `merged` is normalised, `tree` its digest, `layers` what each pack gave."""

    ready: Ready
    merged: Merged
    tree: Digest
    layers: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """`size` in bytes on disk; `digest` where the writer knows it without reading again: OCI's is the manifest's."""

    size: int
    digest: str = ""
