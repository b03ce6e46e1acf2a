"""What a sandbox mounts of packs: one squashfs that shows what they make."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Sequence
from dataclasses import replace
from typing import BinaryIO

from sealift.core.digest import Digest, from_raw
from sealift.flows.workshop import Workshop
from sealift.packs.capabilities import capabilities_of, without_capabilities
from sealift.packs.image import write_image
from sealift.packs.merge import merge
from sealift.packs.pack import open_pack
from sealift.sandbox.spec import Footing


def mounted_form(shop: Workshop, packs: Sequence[str], keys: Sequence[str]) -> str:
    """A single pack as it is, else the merged image of all, kept in the store under their `keys`."""
    if len(packs) == 1 and _shows_itself(packs[0]):
        return packs[0]
    return _merged_form(shop, packs, shop.key("image of", list(keys)), capabilities=True)


def form_to_change(shop: Workshop, packs: Sequence[str], keys: Sequence[str], footing: Footing) -> str:
    """The same for the base that sections change: without file capabilities where FUSE may serve it.

    squashfuse 0.1 lists them under a name by which it does not give them, and then no overlay can change such a file,
    not even its mode. `flows.upper` gives them back to what keeps its content.
    """
    if footing.mode == "root" and footing.squashfs != "fuse":
        return mounted_form(shop, packs, keys)
    with contextlib.ExitStack() as stack:
        if not any(capabilities_of(stack.enter_context(open_pack(path)).tree) for path in packs):
            return mounted_form(shop, packs, keys)
    return _merged_form(shop, packs, shop.key("image without capabilities of", list(keys)), capabilities=False)


def _merged_form(shop: Workshop, packs: Sequence[str], key: str, *, capabilities: bool) -> str:
    def make(file: BinaryIO) -> Digest:
        with contextlib.ExitStack() as stack:
            opened = [stack.enter_context(open_pack(path)) for path in packs]
            merged = merge(opened, base_count=len(opened))
            if not capabilities:
                merged = replace(merged, tree=without_capabilities(merged.tree))
            write_image(merged, file, base_offset=0, options=shop.options, mtime=0, pool=shop.pool)
        file.seek(0)
        return from_raw(hashlib.file_digest(file, "sha256").digest())  # type: ignore[arg-type]  # it is a real file

    with shop.watch.measure("base image"):
        return shop.store.entry("images", key, make, what="the base's image")


def _shows_itself(path: str) -> bool:
    """Has the pack nothing that speaks of layers below it? A mount would show a whiteout as a device."""
    with open_pack(path) as pack:
        return not pack.whiteouts and not pack.lower_links
