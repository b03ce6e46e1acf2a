"""A squashfs image, for instance a SIF's, as a base → pack."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from concurrent.futures import Executor
from typing import BinaryIO

from sealift.core.tree import Tree
from sealift.packs.builder import WHOLE_FILE, PackBuilder
from sealift.packs.layer import overlay_free
from sealift.packs.options import PackOptions
from sealift.squashfs.placement import Placement
from sealift.squashfs.reader import SquashfsReader


def pack_squashfs(reader: SquashfsReader, target: BinaryIO, *, options: PackOptions, pool: Executor) -> None:
    """Write the pack of a whole image to `target`, a new, empty file that can be sought and read.

    Its blocks are compressed anew by `options`: only so are its bytes a function of the tree. ImageError when the
    image is damaged.
    """
    tree, placement, _fragments = reader.tree()
    builder = PackBuilder(target, options=options, pool=pool)
    layer = builder.layer
    groups: dict[int, int] = {}
    for row, path in enumerate(tree.paths):
        group = tree.groups[row]
        if group and group in groups:
            layer.put(path, groups[group])
            continue
        mode, size = tree.modes[row], tree.sizes[row]
        regular = stat.S_ISREG(mode)
        inode = layer.add_inode(
            mode=mode,
            uid=tree.uids[row],
            gid=tree.gids[row],
            mtime=tree.mtimes[row],
            rdev=tree.rdevs[row],
            size=size if regular else 0,
            link=tree.links.get(row, b""),
            xattrs=overlay_free(tree.xattr_sets[tree.xattrs[row]]),
        )
        if group:
            groups[group] = inode
        layer.put(path, inode)
        if regular:
            if size <= WHOLE_FILE:
                builder.add_whole(inode, b"".join(reader.row_data(tree, placement, row)))
            else:
                pieces = _whole_blocks(reader, tree, placement, row, options.block_size)
                builder.add_pieces(inode, size, pieces)
    builder.finish()


def _whole_blocks(
    reader: SquashfsReader, tree: Tree, placement: Placement, row: int, block_size: int
) -> Iterator[bytes]:
    """The file's bytes in pieces of whole blocks of ours, whatever the image's own block size is."""
    held = b""
    for piece in reader.row_data(tree, placement, row):
        held = held + piece if held else piece
        whole = len(held) - len(held) % block_size
        if whole:
            yield held[:whole]
            held = held[whole:]
    if held:
        yield held
