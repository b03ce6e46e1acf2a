"""A layer's tar stream → pack: read once, never unpacked to disk."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from concurrent.futures import Executor
from typing import BinaryIO

from sealift.errors import ImageError
from sealift.packs.builder import WHOLE_FILE, PackBuilder
from sealift.packs.inflate import Ahead, inflate
from sealift.packs.layer import overlay_free
from sealift.packs.options import PackOptions
from sealift.packs.tarstream import Member, TarReader

WHITEOUT_PREFIX = b".wh."
OPAQUE_MARK = b".wh..wh..opq"
_META_PREFIX = b".wh..wh."
"""AUFS's own files (`.wh..wh.plnk`, `.wh..wh.aufs`): no part of the layer, but hard links may point to them."""
RUN = 1 << 20
"""Bytes of a large file that are taken at once."""


def pack_tar(stream: BinaryIO, target: BinaryIO, *, options: PackOptions, pool: Executor) -> None:
    """Read a layer (gzip, zstd, bzip2, xz or plain tar) from `stream` to its end and write its pack to `target`.

    `target` is a new, empty file that can be sought and read. ImageError when the layer is damaged or cut off.
    """
    builder = PackBuilder(target, options=options, pool=pool)
    ahead = Ahead(inflate(stream))
    try:
        reader = TarReader(iter(ahead))
        for member in reader:
            _add(builder, reader, member, options.block_size)
    finally:
        ahead.close()
    builder.finish()


def _add(builder: PackBuilder, reader: TarReader, member: Member, block_size: int) -> None:
    layer = builder.layer
    path = member.path
    folder, _slash, name = path.rpartition(b"/")
    if name.startswith(WHITEOUT_PREFIX):
        if name == OPAQUE_MARK:
            layer.hide_below(folder)
            return
        if not name.startswith(_META_PREFIX):
            hidden = name[len(WHITEOUT_PREFIX) :]
            if hidden in {b"", b".", b".."}:
                raise ImageError(f"the whiteout `{path.decode('utf-8', 'backslashreplace')}` names no file")
            layer.hide(folder + b"/" + hidden if folder else hidden)
            return
    if member.hard_link is not None:
        inode = layer.put_hard_link(path, member.hard_link)
        if inode is not None:
            # Engines give the link's own owner, mode and time to the inode: the last listing counts.
            layer.uids[inode] = member.uid
            layer.gids[inode] = member.gid
            layer.mtimes[inode] = member.mtime
            if not stat.S_ISLNK(layer.modes[inode]):
                layer.modes[inode] = stat.S_IFMT(layer.modes[inode]) | stat.S_IMODE(member.mode)
        return
    inode = layer.add_inode(
        mode=member.mode,
        uid=member.uid,
        gid=member.gid,
        mtime=member.mtime,
        rdev=member.rdev,
        size=member.size,
        link=member.link,
        xattrs=overlay_free(member.xattrs),
    )
    layer.put(path, inode)
    if stat.S_ISREG(member.mode):
        size = member.size
        if member.segments is not None:
            builder.add_pieces(inode, size, _sparse_pieces(reader, member, block_size))
        elif size <= WHOLE_FILE:
            builder.add_whole(inode, reader.take(size))
        else:
            builder.add_pieces(inode, size, _pieces(reader, size, block_size))


def _pieces(reader: TarReader, size: int, block_size: int) -> Iterator[memoryview]:
    left = size
    while left >= block_size:
        piece = reader.take_run(block_size, max(RUN, block_size))
        left -= len(piece)
        yield piece
    if left:
        yield reader.take(left)


def _sparse_pieces(reader: TarReader, member: Member, block_size: int) -> Iterator[bytes]:
    """Whole blocks of a sparse file, its holes as zeros."""
    zeros = bytes(block_size)
    segments = list(member.segments or ())
    segments.reverse()
    at = 0
    while at < member.size:
        length = min(block_size, member.size - at)
        if not segments or segments[-1][0] >= at + length:
            yield zeros[:length]
            at += length
            continue
        block = bytearray(length)
        while segments and segments[-1][0] < at + length:
            offset, count = segments.pop()
            here = min(count, at + length - offset)
            block[offset - at : offset - at + here] = reader.take(here)
            if here < count:
                segments.append((offset + here, count - here))
                break
        yield bytes(block)
        at += length
