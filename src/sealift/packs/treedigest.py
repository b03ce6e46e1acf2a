r"""The tree digest: the identity of a tree of files, whatever container format it lies in.

SHA-256 over the canonical listing: one record an entry, in canonical order (depth first, a directory before what is
in it, names compared as bytes), the root included. A record is

    PATH NUL KIND MODE UID GID MTIME [ DETAIL] [ =FIRST] [ @NAME VALUE]… LF

    PATH     without a leading slash; empty for the root
    KIND     one letter as in find's `-type`: d f l c b p s
    MODE     permission bits with set-id and sticky bits, octal, no leading zeros
    UID GID MTIME   decimal; mtime in whole seconds
    DETAIL   of a file: SIZE and the SHA-256 of its content in hex; of a symbolic link: its target; of a device:
             MAJOR and MINOR, decimal
    =FIRST   of a hard-link group with several names: the group's first path in canonical order (in every member)
    @NAME VALUE   an extended attribute, sorted by full name; without those private to overlay file systems

Fields are separated by one space. The target, FIRST, NAME and VALUE are net strings (`LENGTH:BYTES`), as they may
hold any byte; so no two trees have one listing.
"""

from __future__ import annotations

import hashlib
import stat
from collections.abc import Iterator
from itertools import islice

from sealift.core.digest import Digest, from_raw
from sealift.core.tree import NO_DIGEST, Tree, Xattrs, show_path
from sealift.packs.layer import PRIVATE_XATTRS

_KINDS = {
    stat.S_IFDIR: b"d",
    stat.S_IFREG: b"f",
    stat.S_IFLNK: b"l",
    stat.S_IFCHR: b"c",
    stat.S_IFBLK: b"b",
    stat.S_IFIFO: b"p",
    stat.S_IFSOCK: b"s",
}
_AT_ONCE = 2048
_EMPTY = hashlib.sha256(b"").hexdigest()


def tree_digest(tree: Tree) -> Digest:
    """The digest of a complete tree; ValueError where a file's content digest is not known."""
    hasher = hashlib.sha256()
    records = listing(tree)
    while part := b"".join(islice(records, _AT_ONCE)):
        hasher.update(part)
    return from_raw(hasher.digest())


def listing(tree: Tree) -> Iterator[bytes]:
    """The records of the canonical listing, in order."""
    firsts = _group_firsts(tree)
    attributes = [_attributes(pairs) for pairs in tree.xattr_sets]
    heads: dict[int, tuple[bytes, int]] = {}
    digests = tree.digests
    columns = zip(
        tree.paths, tree.modes, tree.uids, tree.gids, tree.mtimes, tree.sizes, tree.groups, tree.xattrs, strict=True
    )
    for row, (path, mode, uid, gid, mtime, size, group, xattrs) in enumerate(columns):
        head = heads.get(mode)
        if head is None:
            kind = stat.S_IFMT(mode)
            head = heads[mode] = (b"%b %o" % (_KINDS[kind], stat.S_IMODE(mode)), kind)
        record = b"%b\0%b %d %d %d" % (path, head[0], uid, gid, mtime)
        kind = head[1]
        if kind == stat.S_IFREG:
            digest = digests[row * 32 : row * 32 + 32]
            if digest == NO_DIGEST:
                if size:
                    raise ValueError(f"the content digest of {show_path(path)} is not known")
                record += b" 0 " + _EMPTY.encode()
            else:
                record += b" %d %b" % (size, digest.hex().encode())
        elif kind == stat.S_IFLNK:
            record += b" " + _net_string(tree.links[row])
        elif kind in (stat.S_IFCHR, stat.S_IFBLK):
            rdev = tree.rdevs[row]
            major = (rdev >> 8) & 0xFFF | (rdev >> 32) & ~0xFFF
            minor = rdev & 0xFF | (rdev >> 12) & ~0xFF & 0xFFFFFFFF
            record += b" %d %d" % (major, minor)
        if group and group in firsts:
            record += b" =" + _net_string(firsts[group])
        if xattrs:
            record += attributes[xattrs]
        yield record + b"\n"


def _group_firsts(tree: Tree) -> dict[int, bytes]:
    """The first path of each group that has several names."""
    first: dict[int, bytes] = {}
    several: set[int] = set()
    for path, group in zip(tree.paths, tree.groups, strict=True):
        if group:
            if group in first:
                several.add(group)
            else:
                first[group] = path
    return {group: first[group] for group in several}


def _attributes(pairs: Xattrs) -> bytes:
    return b"".join(
        b" @%b %b" % (_net_string(name), _net_string(value))
        for name, value in sorted(pairs)
        if not name.startswith(PRIVATE_XATTRS)
    )


def _net_string(data: bytes) -> bytes:
    return b"%d:%b" % (len(data), data)
