"""What runs inside a sandbox for a build: it is called by name, see `Sandbox.call`."""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sealift.packs.directory import pack_directory
from sealift.packs.merge import merge
from sealift.packs.options import PackOptions
from sealift.packs.pack import open_pack
from sealift.sandbox.inside import Inside
from sealift.sandbox.owners import Owner
from sealift.sections import inner
from sealift.squashfs.compression import parse_compression
from sealift.system.mounts import mount_squashfs
from sealift.system.process import cpu_count


def pack_upper(inside: Inside, *, compression: str, block_size: int, base: Sequence[str]) -> None:
    """Pack the upper layer into the file whose descriptor was handed over.

    In a namespace with one id, an entry that nobody gave an owner has the one that the base's entry of its path has:
    there the base is shown as root's throughout, so copying up has lost it.
    """
    options = PackOptions(compression=parse_compression(compression), block_size=block_size)
    owners = dict(inside.overrides)
    if inside.footing.mode == "single" and base:
        owners |= _owners_of_the_base(inside.upper, base, owners)
    with (
        os.fdopen(os.dup(inside.descriptors[0]), "r+b") as file,
        ThreadPoolExecutor(max_workers=cpu_count()) as pool,
    ):
        pack_directory(inside.upper, file, options=options, pool=pool, owners=owners, overlay=True)


def _owners_of_the_base(upper: str, base: Sequence[str], recorded: Mapping[int, Owner]) -> dict[int, Owner]:
    """By inode: what stands at the same path in the base, for entries of the same type that have no record."""
    with contextlib.ExitStack() as stack:
        packs = [stack.enter_context(open_pack(path)) for path in base]
        tree = merge(packs, base_count=len(packs)).tree
        rows = {path: row for row, path in enumerate(tree.paths) if tree.uids[row] or tree.gids[row]}
        owners: dict[int, Owner] = {}
        root = os.fsencode(upper)
        for folder, folders, files in os.walk(root):
            for name in (b"", *folders, *files) if folder == root else (*folders, *files):
                path = os.path.join(folder, name) if name else folder
                row = rows.get(os.path.relpath(path, root) if name else b"")
                if row is None:
                    continue
                found = os.lstat(path)
                if found.st_ino not in recorded and stat.S_IFMT(found.st_mode) == stat.S_IFMT(tree.modes[row]):
                    owners[found.st_ino] = Owner(
                        uid=tree.uids[row], gid=tree.gids[row], mode=found.st_mode, rdev=found.st_rdev
                    )
        return owners


def copy_from_image(inside: Inside, *, image: str, copies: Sequence[Sequence[Any]], umask: int) -> list[list[Any]]:
    """`%files from STAGE`: mount the stage's squashfs beside the root, copy, and take it away again."""
    place = os.path.join(inside.work, "stage")
    os.makedirs(place, exist_ok=True)
    owner = 0 if inside.footing.mode == "single" else None
    mounted = mount_squashfs(
        image, place, uid=owner, gid=owner, by="fuse" if inside.footing.squashfs == "fuse" else "any"
    )
    try:
        return inner.copy_from_stage(inside, root=place, copies=copies, umask=umask)
    finally:
        mounted.unmount()
