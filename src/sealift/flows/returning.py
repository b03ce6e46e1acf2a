"""An image of ours that comes back, in whatever form: known by its tree, and nothing is added to it."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from sealift.flows.baseroot import root_of_packs
from sealift.flows.workshop import Workshop, digest_of
from sealift.oci.config import ImageConfig
from sealift.oci.image import TREE_LABEL
from sealift.packs.merge import merge
from sealift.packs.pack import open_pack
from sealift.packs.treedigest import tree_digest
from sealift.sections.draft import Draft
from sealift.sections.inspection import inspect_json
from sealift.sections.metadata import DEFINITION_FILE
from sealift.sections.oci_environment import oci_config_json

if TYPE_CHECKING:
    from sealift.flows.base import Base
    from sealift.flows.ready import Ready


def came_back_whole(shop: Workshop, config: ImageConfig, packs: tuple[str, ...], keys: tuple[str, ...]) -> bool:
    """Whether the image says that it is ours, and has the tree that it had when it was written."""
    label = config.labels.get(TREE_LABEL)
    return label is not None and has_tree(shop, packs, keys, label)


def has_tree(shop: Workshop, packs: tuple[str, ...], keys: tuple[str, ...], digest: str) -> bool:
    """Whether the packs make the tree of this digest; `keys` name what is in them."""
    key = digest_of("tree", list(keys))
    note = shop.store.record("trees", key)
    if note is None:
        with contextlib.ExitStack() as stack:
            opened = [stack.enter_context(open_pack(path)) for path in packs]
            note = {"tree_digest": tree_digest(merge(opened, base_count=len(opened)).tree)}
        shop.store.put_record("trees", key, note)
    return note.get("tree_digest") == digest


def ready_as_it_was(base: Base, epoch: int) -> Ready:
    """The image without any addition; what a SIF holds beside its files is read back from them."""
    from sealift.flows.ready import Ready

    with root_of_packs(base.packs) as root:
        draft = Draft(root=root)
        definition = draft.read(DEFINITION_FILE) or b""
        inspect = inspect_json(draft)
    return Ready(
        packs=base.packs,
        names=tuple(f"layer {number}" for number in range(1, len(base.packs) + 1)) if base.layers else ("base",),
        digests=base.layers or ("",),
        base_count=len(base.packs),
        epoch=epoch,
        definition=definition,
        inspect=inspect,
        oci_config=oci_config_json(base.config) if base.config is not None else base.oci_config,
        origin=base.origin,
        base=base,
        as_it_was=True,
    )
