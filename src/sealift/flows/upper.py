"""What runs inside a sandbox for a build: it is called by name, see `Sandbox.call`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sealift.packs.directory import pack_directory
from sealift.packs.merge import merge
from sealift.packs.options import PackOptions
from sealift.packs.pack import open_pack
from sealift.sandbox.inside import Inside
from sealift.sandbox.owners import BaseOwner
from sealift.sections import inner
from sealift.squashfs.compression import parse_compression
from sealift.system.mounts import mount_squashfs
from sealift.system.process import cpu_count


def pack_upper(inside: Inside, *, compression: str, block_size: int, base: Sequence[str]) -> None:
    """Pack the upper layer into the file whose descriptor was handed over.

    In a namespace with one id the base is shown as root's throughout, so its true owners come from its packs.
    """
    options = PackOptions(compression=parse_compression(compression), block_size=block_size)
    with (
        os.fdopen(os.dup(inside.descriptors[0]), "r+b") as file,
        ThreadPoolExecutor(max_workers=cpu_count()) as pool,
        _owners_of(base if inside.footing.mode == "single" else ()) as below,
    ):
        pack_directory(inside.upper, file, options=options, pool=pool, owners=inside.owners(below), overlay=True)


@contextlib.contextmanager
def _owners_of(packs: Sequence[str]) -> Iterator[BaseOwner]:
    with contextlib.ExitStack() as stack:
        opened = [stack.enter_context(open_pack(path)) for path in packs]
        tree = merge(opened, base_count=len(opened)).tree if opened else None

        def below(path: bytes) -> tuple[int, int, int] | None:
            row = tree.find(path) if tree is not None else None
            if tree is None or row is None:
                return None
            return tree.modes[row], tree.uids[row], tree.gids[row]

        yield below


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
