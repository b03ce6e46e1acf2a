"""A few files with new content as a pack of their own, to be laid over the packs that hold the old ones."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import Executor
from typing import BinaryIO

from sealift.core.tree import Entry
from sealift.packs.builder import PackBuilder
from sealift.packs.options import PackOptions


def pack_contents(
    files: Iterable[tuple[Entry, bytes]], target: BinaryIO, *, options: PackOptions, pool: Executor
) -> None:
    """Write a pack of regular files, each with the metadata of its entry and the given content.

    Their folders are implied: laid over others, the pack changes nothing of them.
    """
    builder = PackBuilder(target, options=options, pool=pool)
    for entry, content in files:
        inode = builder.layer.add_inode(
            mode=entry.mode,
            uid=entry.uid,
            gid=entry.gid,
            mtime=entry.mtime,
            size=len(content),
            xattrs=entry.xattrs,
        )
        builder.layer.put(entry.path, inode)
        builder.add_whole(inode, content)
    builder.finish()
