"""Writes an image as a directory that engines run as it is, and that a person can change.

Root's has the owners, devices and attributes of the image. Any other user's is the user's own throughout, so that it
can be changed and removed without help; what its files cannot hold is in the tree file beside them.
"""

from __future__ import annotations

import os

from sealift.core.event import Advanced, Said
from sealift.errors import SealiftError, UsageError
from sealift.flows.base import base_notes
from sealift.flows.ready import Finished, Written
from sealift.flows.targets import Target
from sealift.flows.workshop import Workshop
from sealift.packs.extract import extract, size_of
from sealift.packs.treefile import TREE_FILE, TreeFile, write_tree_file
from sealift.system.files import explain_oserror
from sealift.system.folders import atomic_folder, remove_folder


def write_directory(shop: Workshop, finished: Finished, target: Target) -> Written:
    """Write it whole or not at all. HostError when the disk is full or the folder cannot be written."""

    def progress(amount: int) -> None:
        shop.events(Advanced(task="write", amount=amount))

    replace = shop.request.force or shop.request.flags.update
    try:
        with atomic_folder(target.place, replace=replace, remove=lambda folder: _remove(shop, folder)) as folder:
            root = os.fsencode(folder)
            disk = extract(finished.merged, root, pool=shop.pool, as_root=os.geteuid() == 0, progress=progress)
            with open(os.path.join(root, TREE_FILE), "r+b") as file:
                write_tree_file(file, TreeFile(tree=finished.merged.tree, disk=disk, notes=_notes(finished)))
    except FileExistsError as error:
        raise UsageError(f"`{target.text}` appeared while it was made", hints=("replace it: add -F",)) from error
    except OSError as error:
        raise explain_oserror(error, f"writing {target.text}") from error
    return Written(size=size_of(finished.merged.tree))


def _notes(finished: Finished) -> dict[str, object]:
    ready = finished.ready
    return {
        "layers": [dict(layer) for layer in finished.layers],
        "origin": ready.origin,
        "tree_digest": finished.tree,
        "epoch": ready.epoch,
        "oci_config": ready.oci_config.decode(),
        **base_notes(ready.base),
    }


def _remove(shop: Workshop, folder: str) -> None:
    """Remove a folder; as root of a namespace where it holds what a program made there under other ids."""
    remove_folder(folder)
    if not os.path.lexists(folder):
        return
    from sealift.flows.rooms import find_footing, opened_sandbox

    try:
        with opened_sandbox(shop, find_footing(shop), (), bare=True) as sandbox:
            sandbox.call("sealift.flows.directoryin:remove", folder=folder)
    except SealiftError as error:
        shop.events(Said(text=f"`{folder}` could not be removed: {error.message}", level="debug"))
    if os.path.lexists(folder):
        shop.events(
            Said(
                text=f"the old directory could not be removed and lies in `{folder}`",
                level="warning",
                hint=f"files of other users are in it: sudo rm -r {folder}",
            )
        )
