"""`--fix-perms`: the owner may read and write all that an OCI image brings, and enter its folders, as Apptainer has it.

Modes become what is left of the nine plain bits, with rw (rwx for folders) added: like Apptainer's, set-id and sticky
bits go. What changes is a pack of its own above the layers, which stay as they are.
"""

from __future__ import annotations

import contextlib
import stat
from dataclasses import replace
from typing import BinaryIO

from sealift.flows.base import Base
from sealift.flows.workshop import Workshop, check_pack, verify_pack
from sealift.packs.builder import PackBuilder
from sealift.packs.merge import Merged, merge
from sealift.packs.pack import open_pack


def with_owner_rights(shop: Workshop, base: Base) -> Base:
    """The base with the pack of changed modes above it; the base itself where there is nothing to change."""
    with contextlib.ExitStack() as stack:
        packs = [stack.enter_context(open_pack(path)) for path in base.packs]
        merged = merge(packs, base_count=len(packs))
        changed = {row: mode for row, old in enumerate(merged.tree.modes) if (mode := fixed_mode(old)) != old}
        if not changed:
            return base
        key = shop.key("owner's rights", list(base.keys))
        path = shop.store.entry(
            "packs",
            key,
            lambda file: _pack(shop, merged, changed, file),
            check=check_pack,
            whole=verify_pack,
        )
    shop.say(f"--fix-perms: {len(changed)} modes of the base changed")
    return replace(
        base, packs=(*base.packs, path), keys=(*base.keys, key), own_above=base.own_above + 1, complete=False
    )


def fixed_mode(mode: int) -> int:
    """The mode that Apptainer gives an entry (pkg/build/types/bundle.go, `FixPerms`); links and devices keep theirs."""
    if stat.S_ISDIR(mode):
        return stat.S_IFDIR | mode & 0o777 | 0o700
    if stat.S_ISREG(mode):
        return stat.S_IFREG | mode & 0o777 | 0o600
    return mode


def _pack(shop: Workshop, merged: Merged, changed: dict[int, int], file: BinaryIO) -> None:
    builder = PackBuilder(file, options=shop.options, pool=shop.pool)
    groups: dict[int, int] = {}
    for row, mode in changed.items():
        entry = merged.tree.entry(row)
        if entry.group in groups and entry.group:
            builder.layer.put(entry.path, groups[entry.group])
            continue
        inode = builder.layer.add_inode(
            mode=mode, uid=entry.uid, gid=entry.gid, mtime=entry.mtime, size=entry.size, xattrs=entry.xattrs
        )
        builder.layer.put(entry.path, inode)
        if entry.group:
            groups[entry.group] = inode
        if stat.S_ISREG(mode):
            pack = merged.packs[merged.pack_of[row]]
            builder.add_pieces(inode, entry.size, pack.read(merged.row_of[row]))
    builder.finish()
