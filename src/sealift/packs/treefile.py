"""The tree of an image that was written as a directory, kept in it: what the file system could not hold.

    DIR/.singularity.d/sealift-tree, which is no part of the image:
        magic 8 | version u32 | crc32 of the rest u32 | one zstd frame of
            head     4 x u64: rows, path bytes, length of the rest (JSON), 0
            columns  of the image: modes u32, uids u32, gids u32, mtimes u64, rdevs u64, sizes u64, groups u32,
                     xattr sets u32; as found on disk once written: modes u32, uids u32, gids u32, mtimes in
                     nanoseconds i64, xattr sets u32  (one a row)
            digests  32 bytes a row
            paths    joined by NUL bytes, in canonical order
            rest     JSON: symbolic links' targets, xattr sets of the image and of the disk, notes
                     (bytes as latin-1 text)

Everything is little-endian. Owners on disk are the host's numbers. What differs from what was found once written was
changed by somebody else, and counts.
"""

from __future__ import annotations

import json
import struct
import zlib
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, BinaryIO

from sealift.core.tree import Tree, Xattrs
from sealift.errors import ImageError
from sealift.packs.columns import Plain, bytes_of, column_bytes, path_bytes, path_pieces, read_column, text_of

TREE_FILE = b".singularity.d/sealift-tree"
MAGIC = b"SLTREE\x1a\n"
VERSION = 1
_START = struct.Struct("<8sII")
_HEAD = struct.Struct("<4Q")
_LARGEST = 1 << 34
_READ_AT_ONCE = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OnDisk:
    """What `lstat` and `listxattr` say of each row of a tree; `mtimes` in nanoseconds."""

    modes: array[int]  # 'I'
    uids: array[int]  # 'I'
    gids: array[int]  # 'I'
    mtimes: array[int]  # 'q'
    xattrs: array[int]  # 'I'
    xattr_sets: tuple[Xattrs, ...] = ((),)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TreeFile:
    """`notes` are what a SIF notes beside its files: layers, origin, tree digest, and when the image was made."""

    tree: Tree
    disk: OnDisk
    notes: Mapping[str, Any]


def write_tree_file(target: BinaryIO, kept: TreeFile) -> None:
    """Write it to `target`, a new file that can be sought; the same tree gives the same bytes."""
    import zstandard

    target.write(bytes(_START.size))
    compressor = zstandard.ZstdCompressor(level=3).compressobj()
    crc = 0
    for piece in chain(_encode(kept), (None,)):
        packed = compressor.flush() if piece is None else compressor.compress(piece)
        crc = zlib.crc32(packed, crc)
        target.write(packed)
    target.seek(0)
    target.write(_START.pack(MAGIC, VERSION, crc))


def read_tree_file(source: BinaryIO) -> TreeFile:
    """ImageError where it is damaged, cut off or of another version."""
    import zstandard

    start = source.read(_START.size)
    if len(start) != _START.size or not start.startswith(MAGIC):
        raise _damaged()
    _magic, version, crc = _START.unpack(start)
    if version != VERSION:
        raise ImageError(f"the directory's tree file has version {version}, and this Sealift reads {VERSION}")
    found = 0
    while data := source.read(_READ_AT_ONCE):
        found = zlib.crc32(data, found)
    if found != crc:
        raise _damaged()
    source.seek(_START.size)
    try:
        return _decode(zstandard.ZstdDecompressor().stream_reader(source, closefd=False).read)
    except (ValueError, KeyError, IndexError, TypeError, struct.error, zstandard.ZstdError) as error:
        raise _damaged() from error


def _damaged() -> ImageError:
    return ImageError("the directory's tree file is damaged")


def _encode(kept: TreeFile) -> Iterator[bytes]:
    tree, disk = kept.tree, kept.disk
    rest = json.dumps(
        {
            "links": {str(row): text_of(target) for row, target in tree.links.items()},
            "xattrs": _sets_to_json(tree.xattr_sets),
            "disk xattrs": _sets_to_json(disk.xattr_sets),
            "notes": kept.notes,
        },
        sort_keys=True,
        separators=(",", ":"),
    ).encode("ascii")
    yield _HEAD.pack(len(tree), path_bytes(tree.paths), len(rest), 0)
    for column in (
        tree.modes, tree.uids, tree.gids, tree.mtimes, tree.rdevs, tree.sizes, tree.groups, tree.xattrs,
        disk.modes, disk.uids, disk.gids, disk.mtimes, disk.xattrs,
    ):  # fmt: skip
        yield column_bytes(column)
    yield tree.digests
    yield from path_pieces(tree.paths)
    yield rest


def _decode(plain: Plain) -> TreeFile:
    rows, path_length, rest_length, _zero = _HEAD.unpack(plain(_HEAD.size))
    if not rows or max(rows, path_length, rest_length) > _LARGEST:
        raise ValueError("too large")
    modes, uids, gids, mtimes, rdevs, sizes, groups, xattrs = (read_column(plain, code, rows) for code in "IIIQQQII")
    disk_modes, disk_uids, disk_gids, disk_mtimes, disk_xattrs = (read_column(plain, code, rows) for code in "IIIqI")
    digests = plain(32 * rows)
    paths = plain(path_length).split(b"\0")
    rest: dict[str, Any] = json.loads(plain(rest_length))
    sets, disk_sets = _sets_of_json(rest["xattrs"]), _sets_of_json(rest["disk xattrs"])
    if plain(1) or len(paths) != rows or len(digests) != 32 * rows:
        raise ValueError("lengths do not fit")
    if max(xattrs) >= len(sets) or max(disk_xattrs) >= len(disk_sets) or not isinstance(rest["notes"], dict):
        raise ValueError("out of range")
    return TreeFile(
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
        disk=OnDisk(
            modes=disk_modes,
            uids=disk_uids,
            gids=disk_gids,
            mtimes=disk_mtimes,
            xattrs=disk_xattrs,
            xattr_sets=disk_sets,
        ),
        notes=rest["notes"],
    )


def _sets_to_json(sets: tuple[Xattrs, ...]) -> list[list[list[str]]]:
    return [[[text_of(name), text_of(value)] for name, value in pairs] for pairs in sets]


def _sets_of_json(value: Any) -> tuple[Xattrs, ...]:
    return tuple(tuple((bytes_of(name), bytes_of(content)) for name, content in pairs) for pairs in value)
