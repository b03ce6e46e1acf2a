"""The index at the end of a pack file: a pack's entries and where their bytes lie, as columns.

    the squashfs (mountable, padded to 4096 bytes)
    index: one zstd frame of
        head     6 x u64: rows, path bytes, blocks, fragments, lower links, length of the rest (JSON)
        columns  modes u32, uids u32, gids u32, mtimes u64, rdevs u64, sizes u64, groups u32, xattr sets u32,
                 starts u64, firsts u64, fragments u32, offsets u32, flags u8  (one a row)
                 blocks u32; fragment starts u64, sizes u32, plain sizes u32
        digests  32 bytes a row
        paths    joined by NUL bytes, in canonical order
        rest     JSON: symbolic links' targets, xattr sets, links to lower layers, torn fragments
                 (bytes as latin-1 text)
    footer: 80 bytes
        magic 8 | version u32 | crc32 of the index u32 | index offset u64 | index length u64 | 0 u64 |
        data end u64 | crc32 of the data area u32 | block size u32 | compressor u32 | 20 zero bytes |
        crc32 of the footer so far u32

Everything is little-endian. The data area is checked on request only (`Pack.verify`): that reads all of it.
"""

from __future__ import annotations

import json
import struct
import zlib
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from sealift.core.tree import Tree, Xattrs
from sealift.errors import StoreError
from sealift.packs.columns import bytes_of, column_bytes, path_bytes, path_pieces, read_column, text_of
from sealift.squashfs.placement import Fragments, Placement

MAGIC = b"SLPACK\x1a\n"
VERSION = 2
FOOTER = struct.Struct("<8sIIQQQQIII20s")
FOOTER_SIZE = FOOTER.size + 4
_HEAD = struct.Struct("<6Q")

IMPLIED = 1
"""A directory that the layer does not list, but that its entries need."""
WHITEOUT = 2
"""The layer hides this path in the layers below; the pack's squashfs has a character device 0:0 there, or, with
OPAQUE, the directory that the layer puts in its place."""
OPAQUE = 4
"""A directory under which nothing of the layers below shows."""

HOLLOW = 16
"""With IMPLIED: only whiteouts lie below it, so it adds no directory where the layers below have none."""

_LARGEST = 1 << 34
_ROW_COLUMNS = "IIIQQQIIQQIIB"


@dataclass(frozen=True, slots=True, kw_only=True)
class Footer:
    index_offset: int
    index_length: int
    index_crc: int
    data_end: int
    data_crc: int
    block_size: int
    compressor: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LowerLink:
    """A hard link whose target the layer does not hold: `path` becomes a further name of `target` below."""

    path: bytes
    target: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Index:
    """What a pack's index says; rows as in `tree`, which is complete (parents, whiteouts as devices)."""

    tree: Tree
    placement: Placement
    fragments: Fragments
    fragment_plain: array[int]
    torn: tuple[int, ...]
    """Fragments that hold bytes of no row."""
    flags: array[int]
    lower_links: tuple[LowerLink, ...]


def encode_index(index: Index) -> Iterator[bytes]:
    """The plain index, piece by piece, so that it is never in memory as a whole."""
    tree, placement = index.tree, index.placement
    rest = json.dumps(
        {
            "links": {str(row): text_of(target) for row, target in tree.links.items()},
            "xattrs": [[[text_of(name), text_of(value)] for name, value in pairs] for pairs in tree.xattr_sets],
            "lower": [[text_of(link.path), text_of(link.target)] for link in index.lower_links],
            "torn": index.torn,
        },
        separators=(",", ":"),
    ).encode("ascii")
    yield _HEAD.pack(
        len(tree),
        path_bytes(tree.paths),
        len(placement.blocks),
        len(index.fragments.starts),
        len(index.lower_links),
        len(rest),
    )
    for column in (
        tree.modes, tree.uids, tree.gids, tree.mtimes, tree.rdevs, tree.sizes, tree.groups, tree.xattrs,
        placement.starts, placement.firsts, placement.fragments, placement.offsets, index.flags,
        placement.blocks, index.fragments.starts, index.fragments.sizes, index.fragment_plain,
    ):  # fmt: skip
        yield column_bytes(column)
    yield tree.digests
    yield from path_pieces(tree.paths)
    yield rest


def decode_index(plain: Callable[[int], bytes]) -> Index:
    """Read what `encode_index` made by `plain`, which gives as many bytes as it is asked for, fewer at the end only.

    StoreError where the lengths do not fit.
    """
    try:
        return _decode(plain)
    except (ValueError, KeyError, IndexError, TypeError, struct.error) as error:
        raise StoreError("the pack's index is damaged", hints=HINTS) from error


HINTS = ("remove damaged entries: sealift cache verify",)


def _decode(plain: Callable[[int], bytes]) -> Index:
    rows, path_length, blocks, fragments, lower, rest_length = _HEAD.unpack(plain(_HEAD.size))
    if max(rows, path_length, blocks, fragments, rest_length) > _LARGEST:
        raise ValueError("too large")

    modes, uids, gids, mtimes, rdevs, sizes, groups, xattrs, starts, firsts, row_fragments, offsets, flags = (
        read_column(plain, code, rows) for code in _ROW_COLUMNS
    )
    words = read_column(plain, "I", blocks)
    fragment_starts, fragment_sizes, fragment_plain = (read_column(plain, code, fragments) for code in "QII")
    digests = plain(32 * rows)
    paths = plain(path_length).split(b"\0") if rows else []
    rest: dict[str, Any] = json.loads(plain(rest_length))
    if plain(1) or len(paths) != rows or len(digests) != 32 * rows or len(rest["lower"]) != lower:
        raise ValueError("lengths do not fit")
    sets: tuple[Xattrs, ...] = tuple(
        tuple((bytes_of(name), bytes_of(value)) for name, value in pairs) for pairs in rest["xattrs"]
    )
    if xattrs and max(xattrs) >= len(sets):
        raise ValueError("xattr set out of range")
    return Index(
        tree=Tree(
            paths=paths,
            modes=modes,
            uids=uids,
            gids=gids,
            mtimes=mtimes,
            rdevs=rdevs,
            sizes=sizes,
            groups=groups,
            xattrs=xattrs,
            xattr_sets=sets,
            links={int(row): bytes_of(target) for row, target in rest["links"].items()},
            digests=digests,
        ),
        placement=Placement(starts=starts, firsts=firsts, blocks=words, fragments=row_fragments, offsets=offsets),
        fragments=Fragments(starts=fragment_starts, sizes=fragment_sizes),
        fragment_plain=fragment_plain,
        torn=tuple(rest["torn"]),
        flags=flags,
        lower_links=tuple(LowerLink(path=bytes_of(path), target=bytes_of(target)) for path, target in rest["lower"]),
    )


def encode_footer(footer: Footer) -> bytes:
    data = FOOTER.pack(
        MAGIC,
        VERSION,
        footer.index_crc,
        footer.index_offset,
        footer.index_length,
        0,
        footer.data_end,
        footer.data_crc,
        footer.block_size,
        footer.compressor,
        bytes(20),
    )
    return data + zlib.crc32(data).to_bytes(4, "little")


def decode_footer(data: bytes) -> Footer:
    """Read the last bytes of a pack file; StoreError when they are no footer of ours."""
    if len(data) != FOOTER_SIZE or not data.startswith(MAGIC):
        raise StoreError("the file is not a whole pack", hints=HINTS)
    if zlib.crc32(data[:-4]).to_bytes(4, "little") != data[-4:]:
        raise StoreError("the pack's footer is damaged", hints=HINTS)
    _magic, version, crc, offset, length, _zero, data_end, data_crc, block, compressor, _zeros = FOOTER.unpack(
        data[:-4]
    )
    if version != VERSION:
        raise StoreError(f"the pack has version {version}, and this Sealift reads {VERSION}", hints=HINTS)
    return Footer(
        index_offset=offset,
        index_length=length,
        index_crc=crc,
        data_end=data_end,
        data_crc=data_crc,
        block_size=block,
        compressor=compressor,
    )
