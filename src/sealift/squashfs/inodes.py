"""Inodes: the records of the inode table, written from plain values and read into one.

Every record begins with the same 16 bytes:

    u16 type · u16 permissions · u16 index of the uid · u16 index of the gid · u32 mtime · u32 number

and goes on by type; the extended types add what the basic ones have no room for:

    directory   u32 listing's block · u32 nlink · u16 listing's size + 3 · u16 listing's offset · u32 parent's number
      extended  u32 nlink · u32 size + 3 · u32 block · u32 parent · u16 indexes · u16 offset · u32 xattr; the indexes
    file        u32 start · u32 fragment · u32 offset in it · u32 size; u32 size word of each block
      extended  u64 start · u64 size · u64 bytes in holes · u32 nlink · u32 fragment · u32 offset · u32 xattr; the words
    symlink     u32 nlink · u32 length; the target           extended: u32 xattr behind the target
    device      u32 nlink · u32 device number                extended: u32 xattr
    fifo/socket u32 nlink                                    extended: u32 xattr

Source: Linux fs/squashfs/squashfs_fs.h.
"""

from __future__ import annotations

import stat
import struct
from array import array
from dataclasses import dataclass, field

from sealift.errors import ImageError
from sealift.squashfs.layout import (
    BLOCK,
    CHARACTER,
    DIRECTORY,
    EXTENDED,
    FIFO,
    FILE,
    METADATA_SIZE,
    NO_XATTR,
    SOCKET,
    SYMLINK,
    from_little_endian,
    to_little_endian,
)
from sealift.squashfs.metadata import MetadataReader
from sealift.squashfs.placement import NO_FRAGMENT, block_count

_NO_WORDS: array[int] = array("I")

Head = tuple[int, int, int, int, int]
"""Permissions, index of the uid, index of the gid, mtime, number."""

TYPES = {
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFREG: FILE,
    stat.S_IFLNK: SYMLINK,
    stat.S_IFBLK: BLOCK,
    stat.S_IFCHR: CHARACTER,
    stat.S_IFIFO: FIFO,
    stat.S_IFSOCK: SOCKET,
}
_FORMATS = {number: kind for kind, number in TYPES.items()}

_HEAD = struct.Struct("<HHHHII")
_DIRECTORY = struct.Struct("<HHHHIIIIHHI")
_EXTENDED_DIRECTORY = struct.Struct("<HHHHIIIIIIHHI")
_FILE = struct.Struct("<HHHHIIIIII")
_EXTENDED_FILE = struct.Struct("<HHHHIIQQQIIII")
_SYMLINK = struct.Struct("<HHHHIIII")
_DEVICE = struct.Struct("<HHHHIIII")
_PIPE = struct.Struct("<HHHHIII")
_XATTR = struct.Struct("<I")

_BODIES = {
    DIRECTORY: struct.Struct("<IIHHI"),
    FILE: struct.Struct("<IIII"),
    SYMLINK: struct.Struct("<II"),
    BLOCK: struct.Struct("<II"),
    CHARACTER: struct.Struct("<II"),
    FIFO: struct.Struct("<I"),
    SOCKET: struct.Struct("<I"),
    DIRECTORY + EXTENDED: struct.Struct("<IIIIHHI"),
    FILE + EXTENDED: struct.Struct("<QQQIIII"),
    SYMLINK + EXTENDED: struct.Struct("<II"),
    BLOCK + EXTENDED: struct.Struct("<III"),
    CHARACTER + EXTENDED: struct.Struct("<III"),
    FIFO + EXTENDED: struct.Struct("<II"),
    SOCKET + EXTENDED: struct.Struct("<II"),
}
_LONGEST_BODY = max(body.size for body in _BODIES.values())


def pack_directory(
    head: Head, *, listing: int, size: int, nlink: int, parent: int, xattr: int, indexes: bytes, index_count: int
) -> bytes:
    """`listing` is a reference into the directory table, `size` the listing's bytes."""
    size += 3  # for `.` and `..`, which no listing holds
    if xattr == NO_XATTR and not indexes and size <= 0xFFFF:
        return _DIRECTORY.pack(DIRECTORY, *head, listing >> 16, nlink, size, listing & 0xFFFF, parent)
    return (
        _EXTENDED_DIRECTORY.pack(
            DIRECTORY + EXTENDED,
            *head,
            nlink,
            size,
            listing >> 16,
            parent,
            index_count,
            listing & 0xFFFF,
            xattr,
        )
        + indexes
    )


def pack_file(
    head: Head,
    *,
    start: int,
    size: int,
    words: array[int],
    fragment: int,
    offset: int,
    nlink: int,
    xattr: int,
    block_size: int,
) -> bytes:
    sparse = _bytes_in_holes(words, size, block_size) if words and 0 in words else 0
    if sparse == 0 and nlink == 1 and xattr == NO_XATTR and start < 1 << 32 and size < 1 << 32:
        record = _FILE.pack(FILE, *head, start, fragment, offset, size)
    else:
        record = _EXTENDED_FILE.pack(FILE + EXTENDED, *head, start, size, sparse, nlink, fragment, offset, xattr)
    return record + to_little_endian(words) if words else record


def pack_symlink(head: Head, *, target: bytes, nlink: int, xattr: int) -> bytes:
    if xattr == NO_XATTR:
        return _SYMLINK.pack(SYMLINK, *head, nlink, len(target)) + target
    return _SYMLINK.pack(SYMLINK + EXTENDED, *head, nlink, len(target)) + target + _XATTR.pack(xattr)


def pack_device(head: Head, *, kind: int, rdev: int, nlink: int, xattr: int) -> bytes:
    """`kind` is BLOCK or CHARACTER."""
    if xattr == NO_XATTR:
        return _DEVICE.pack(kind, *head, nlink, rdev)
    return _DEVICE.pack(kind + EXTENDED, *head, nlink, rdev) + _XATTR.pack(xattr)


def pack_pipe(head: Head, *, kind: int, nlink: int, xattr: int) -> bytes:
    """`kind` is FIFO or SOCKET."""
    if xattr == NO_XATTR:
        return _PIPE.pack(kind, *head, nlink)
    return _PIPE.pack(kind + EXTENDED, *head, nlink) + _XATTR.pack(xattr)


def _bytes_in_holes(words: array[int], size: int, block_size: int) -> int:
    """A tail in a fragment is no hole; the last block, where it is one, counts for what the file has of it."""
    holes = words.count(0) * block_size
    excess = len(words) * block_size - size
    return holes - excess if words[-1] == 0 and excess > 0 else holes


@dataclass(frozen=True, slots=True, kw_only=True)
class Inode:
    """One inode as it was read; only what its type has means anything.

    `mode` has the type's bits; `uid` and `gid` are still indexes into the id table, `xattr` is a set's number or
    NO_XATTR. `listing` is a reference into the directory table and `size` then the listing's bytes; `indexes` are the
    raw indexes of an extended directory. `words`, `fragment` and `offset` place a file's bytes, as in `Placement`.
    """

    mode: int
    uid: int
    gid: int
    mtime: int
    number: int
    nlink: int = 1
    size: int = 0
    xattr: int = NO_XATTR
    listing: int = 0
    start: int = 0
    fragment: int = NO_FRAGMENT
    offset: int = 0
    words: array[int] = field(default_factory=lambda: _NO_WORDS)
    rdev: int = 0
    link: bytes = b""

    @property
    def is_dir(self) -> bool:
        return stat.S_ISDIR(self.mode)


def read_inode(table: MetadataReader, reference: int, *, block_size: int, words_limit: int) -> Inode:
    """Read the inode at `reference`; a file with more than `words_limit` blocks is taken for damage."""
    raw, position = table.block(reference >> 16)[0], reference & 0xFFFF
    if position + _HEAD.size + _LONGEST_BODY <= len(raw):
        kind, mode, uid, gid, mtime, number = _HEAD.unpack_from(raw, position)
        body = _body(kind)
        fields = body.unpack_from(raw, position + _HEAD.size)
        reference += _HEAD.size + body.size
    else:
        # Near its end: the inode may go on in the next block.
        raw, reference = table.read(reference, _HEAD.size)
        kind, mode, uid, gid, mtime, number = _HEAD.unpack(raw)
        body = _body(kind)
        raw, reference = table.read(reference, body.size)
        fields = body.unpack(raw)
    basic = kind if kind <= EXTENDED else kind - EXTENDED
    mode = mode & 0o7777 | _FORMATS[basic]
    match kind:
        case 1:
            block, nlink, size, offset, _parent = fields
            return _directory(mode, uid, gid, mtime, number, nlink, size, block, offset, NO_XATTR)
        case 8:
            nlink, size, block, _parent, _indexes, offset, xattr = fields
            return _directory(mode, uid, gid, mtime, number, nlink, size, block, offset, xattr)
        case 2 | 9:
            if kind == FILE:
                start, fragment, offset, size = fields
                nlink, xattr = 1, NO_XATTR
            else:
                start, size, _sparse, nlink, fragment, offset, xattr = fields
            count = block_count(size, fragment, block_size)
            if count > words_limit:
                raise _damaged(f"a file of {size} bytes has more blocks than the image can hold")
            words = from_little_endian("I", table.read(reference, 4 * count)[0]) if count else _NO_WORDS
            return Inode(
                mode=mode,
                uid=uid,
                gid=gid,
                mtime=mtime,
                number=number,
                nlink=nlink,
                size=size,
                xattr=xattr,
                start=start,
                fragment=fragment,
                offset=offset,
                words=words,
            )
        case 3 | 10:
            nlink, size = fields
            if size > 0xFFFF:
                raise _damaged(f"a symbolic link has {size} bytes")
            link, reference = table.read(reference, size)
            xattr = NO_XATTR if kind == SYMLINK else _XATTR.unpack(table.read(reference, 4)[0])[0]
            return Inode(
                mode=mode, uid=uid, gid=gid, mtime=mtime, number=number, nlink=nlink, size=size, xattr=xattr, link=link
            )
        case 4 | 5 | 11 | 12:
            nlink, rdev, xattr = fields if kind > EXTENDED else (*fields, NO_XATTR)
            return Inode(mode=mode, uid=uid, gid=gid, mtime=mtime, number=number, nlink=nlink, xattr=xattr, rdev=rdev)
        case _:
            nlink, xattr = fields if kind > EXTENDED else (*fields, NO_XATTR)
            return Inode(mode=mode, uid=uid, gid=gid, mtime=mtime, number=number, nlink=nlink, xattr=xattr)


def _body(kind: int) -> struct.Struct:
    body = _BODIES.get(kind)
    if body is None:
        raise _damaged(f"there is no inode type {kind}")
    return body


def _directory(
    mode: int, uid: int, gid: int, mtime: int, number: int, nlink: int, size: int, block: int, offset: int, xattr: int
) -> Inode:
    if offset > METADATA_SIZE:
        raise _damaged("a directory's listing lies outside its block")
    return Inode(
        mode=mode,
        uid=uid,
        gid=gid,
        mtime=mtime,
        number=number,
        nlink=nlink,
        size=max(size - 3, 0),
        xattr=xattr,
        listing=block << 16 | offset,
    )


def _damaged(what: str) -> ImageError:
    return ImageError(f"the squashfs is damaged in its inode table: {what}", hints=("fetch or build the image again",))
