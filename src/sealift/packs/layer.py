"""What unpacking one layer would leave: names, inodes, whiteouts, worked out without touching a disk.

The rules are those of extraction, entry after entry (OCI image-spec layer.md, and what containerd, umoci and Docker do
where it is silent): a later entry of the same path wins; a hard link names the inode that its target has at that
moment; an entry below a symbolic link of this layer goes where the link points, never out of the root; what is put
in the place of a directory removes what was below it. Whiteouts speak of the layers below only, wherever they stand.
"""

from __future__ import annotations

import re
import stat
from array import array
from itertools import chain

from sealift.core.tree import NO_DIGEST, Tree, Xattrs, sort_key
from sealift.errors import ImageError
from sealift.packs.index import HOLLOW, IMPLIED, OPAQUE, WHITEOUT, LowerLink

IMPLIED_MODE = stat.S_IFDIR | 0o755
WHITEOUT_MODE = stat.S_IFCHR
_IMPLIED_INODE = -1
MOST_LINKS = 40
"""Symbolic links followed in one path before Linux says ELOOP."""

_OPAQUE_XATTRS: Xattrs = ((b"trusted.overlay.opaque", b"y"), (b"user.overlay.opaque", b"y"))


class Layer:
    """Collects a layer's entries; inodes are numbers, columns of which are filled by `add_inode`."""

    def __init__(self) -> None:
        self.modes = array("I")
        self.uids = array("I")
        self.gids = array("I")
        self.mtimes = array("Q")
        self.rdevs = array("Q")
        self.sizes = array("Q")
        self.xattrs = array("I")
        self.links: dict[int, bytes] = {}
        self.digests: dict[int, bytes] = {}
        self._xattr_sets: dict[Xattrs, int] = {(): 0}
        self._names: dict[bytes, int] = {b"": _IMPLIED_INODE}
        self._children: dict[bytes, list[bytes]] = {b"": []}
        """Every directory with the paths below it; may name paths that are gone."""
        self._whiteouts: set[bytes] = set()
        self._opaques: set[bytes] = set()
        self._lower_links: dict[bytes, bytes] = {}

    def add_inode(
        self,
        *,
        mode: int,
        uid: int,
        gid: int,
        mtime: int,
        rdev: int = 0,
        size: int = 0,
        link: bytes = b"",
        xattrs: Xattrs = (),
    ) -> int:
        inode = len(self.modes)
        self.modes.append(mode)
        self.uids.append(uid)
        self.gids.append(gid)
        self.mtimes.append(mtime)
        self.rdevs.append(rdev)
        self.sizes.append(size)
        self.xattrs.append(self._xattr_sets.setdefault(xattrs, len(self._xattr_sets)) if xattrs else 0)
        if link:
            self.links[inode] = link
        return inode

    def put(self, path: bytes, inode: int) -> None:
        """Give `inode` the name `path`, as extracting it now would."""
        path = self._place(path)
        if stat.S_ISDIR(self.modes[inode]):
            if path not in self._children:
                self._remove(path)
                self._children[path] = []
                if path in self._names:
                    # A file that this layer listed before has hidden the directory below, and so does this.
                    self._opaques.add(path)
        elif not path:
            raise ImageError("the layer's root is not a directory")
        else:
            self._remove(path)
        if path in self._names:
            self._names[path] = inode
            return
        self._names[path] = inode
        self._children[path.rpartition(b"/")[0]].append(path)

    def put_hard_link(self, path: bytes, target: bytes) -> int | None:
        """Make `path` a further name of what `target` is now; the inode, or None where the layer has no such path."""
        target = self._place(target, make=False)
        inode = self._names.get(target)
        if inode == _IMPLIED_INODE:
            inode = None  # a file of the layers below may have had the name until now
        if inode is not None and stat.S_ISDIR(self.modes[inode]):
            raise ImageError(f"the hard link `{_show(path)}` points to the directory `{_show(target)}`")
        if target in self._lower_links:
            inode, target = None, self._lower_links[target]
        if inode is not None:
            if self._place(path) != target:
                self.put(path, inode)
            return inode
        path = self._place(path)
        self._remove(path)
        self._names.pop(path, None)
        self._lower_links[path] = target
        self._children[path.rpartition(b"/")[0]].append(path)
        return None

    def hide(self, path: bytes) -> None:
        """A whiteout: what the layers below have at `path` is gone."""
        if not self._is_below_a_file(path):
            self._whiteouts.add(self._place(path))

    def hide_below(self, path: bytes) -> None:
        """An opaque mark: what the layers below have under the directory `path` is gone."""
        if not self._is_below_a_file(path + b"/."):
            self._opaques.add(self._directory(path, make=True))

    def _is_below_a_file(self, path: bytes) -> bool:
        """Whether the layer has something else than a directory above `path`; then all below it is hidden anyway."""
        here = self._place(path, make=False)
        while here:
            here = here.rpartition(b"/")[0]
            if here in self._names and here not in self._children:
                return True
        return False

    # -- names ------------------------------------------------------------------------------------------------

    def _place(self, path: bytes, *, make: bool = True) -> bytes:
        """Where `path` really lies in this layer: parents that are symbolic links followed, missing ones made."""
        parent, slash, name = path.rpartition(b"/")
        if parent in self._children:
            return path
        real = self._directory(parent, make=make)
        return real + slash + name if real else name

    def _directory(self, path: bytes, *, make: bool) -> bytes:
        parts = path.split(b"/")
        parts.reverse()
        here = b""
        followed = 0
        while parts:
            part = parts.pop()
            if not part or part == b".":
                continue
            if part == b"..":
                here = here.rpartition(b"/")[0]
                continue
            there = here + b"/" + part if here else part
            if there not in self._children:
                inode = self._names.get(there)
                if inode is not None and stat.S_ISLNK(self.modes[inode]):
                    followed += 1
                    if followed > MOST_LINKS:
                        raise ImageError(f"the symbolic links at `{_show(path)}` in the layer point in a circle")
                    target = self.links[inode]
                    if target.startswith(b"/"):
                        here = b""
                    parts.extend(reversed(target.split(b"/")))
                    continue
                if make:
                    if inode is None and there not in self._lower_links:
                        self._names[there] = _IMPLIED_INODE
                        self._children[here].append(there)
                    else:
                        # The layer itself lists a file there: a directory in its place hides what is below, too.
                        self._remove(there)
                        self._names[there] = self.add_inode(mode=IMPLIED_MODE, uid=0, gid=0, mtime=0)
                        self._opaques.add(there)
                    self._children[there] = []
            here = there
        return here

    def _remove(self, path: bytes) -> None:
        """Take away what is at `path` and below; the entry of the parent's list stays and is looked through later."""
        self._lower_links.pop(path, None)
        below = self._children.pop(path, None)
        if below is not None:
            self._opaques.discard(path)
            for child in below:
                self._remove(child)
                self._names.pop(child, None)
                self._whiteouts.discard(child)

    # -- the result -------------------------------------------------------------------------------------------

    def finish(self) -> tuple[Tree, array[int], array[int]]:
        """The complete tree in canonical order, the flags of each row, and each row's inode (2³²−1: none of ours)."""
        names = self._names
        flags = dict.fromkeys(self._opaques, OPAQUE)
        white: list[bytes] = []
        for path in self._whiteouts:
            if path in self._children:
                flags[path] = OPAQUE | WHITEOUT
            elif path.rpartition(b"/")[0] in self._children and path not in names and path not in self._lower_links:
                white.append(path)
        no_inode = 0xFFFFFFFF
        paths = sorted((path for path in (*names, *white) if not _META.search(path)), key=sort_key)
        implied = self.add_inode(mode=IMPLIED_MODE, uid=0, gid=0, mtime=0)
        whiteout = self.add_inode(mode=WHITEOUT_MODE, uid=0, gid=0, mtime=0)
        inodes = array("I", [names.get(path, whiteout) & no_inode for path in paths])
        row_flags = array("B", bytes(len(paths)))
        full = self._full_folders() if white or flags else self._children
        for row, inode in enumerate(inodes):
            if inode == whiteout:
                row_flags[row] = WHITEOUT
            elif inode == no_inode:
                row_flags[row] = IMPLIED | (HOLLOW if paths[row] not in full else 0)
                inodes[row] = implied
        xattrs = array("I", map(self.xattrs.__getitem__, inodes))
        if flags:
            self._mark_opaque(paths, flags, row_flags, xattrs)
        digests = self.digests
        tree = Tree(
            paths=paths,
            modes=array("I", map(self.modes.__getitem__, inodes)),
            uids=array("I", map(self.uids.__getitem__, inodes)),
            gids=array("I", map(self.gids.__getitem__, inodes)),
            mtimes=array("Q", map(self.mtimes.__getitem__, inodes)),
            rdevs=array("Q", map(self.rdevs.__getitem__, inodes)),
            sizes=array("Q", map(self.sizes.__getitem__, inodes)),
            groups=number_groups(inodes, skip={implied, whiteout}),
            xattrs=xattrs,
            xattr_sets=tuple(self._xattr_sets),
            links={row: self.links[inode] for row, inode in enumerate(inodes) if inode in self.links},
            digests=b"".join([digests.get(inode, NO_DIGEST) for inode in inodes]),
        )
        return tree, row_flags, inodes

    def _full_folders(self) -> set[bytes]:
        """Directories that hold more than whiteouts, at any depth; the root is always one."""
        full = {b""}
        for path, inode in chain(self._names.items(), ((path, 0) for path in self._lower_links)):
            if inode != _IMPLIED_INODE:
                parent = path.rpartition(b"/")[0]
                while parent not in full:
                    full.add(parent)
                    parent = parent.rpartition(b"/")[0]
        return full

    def lower_links(self) -> tuple[LowerLink, ...]:
        return tuple(LowerLink(path=path, target=target) for path, target in sorted(self._lower_links.items()))

    def _mark_opaque(
        self, paths: list[bytes], flags: dict[bytes, int], row_flags: array[int], xattrs: array[int]
    ) -> None:
        sets = list(self._xattr_sets)
        for row, path in enumerate(paths):
            if path in flags and path in self._children:
                row_flags[row] |= flags[path]
                marked = tuple(sorted((*sets[xattrs[row]], *_OPAQUE_XATTRS)))
                xattrs[row] = self._xattr_sets.setdefault(marked, len(self._xattr_sets))


def number_groups(inodes: array[int], *, skip: set[int]) -> array[int]:
    """Hard-link groups of rows that share an inode: 1, 2, … by their first rows, 0 where a row is alone."""
    groups = array("I", bytes(4 * len(inodes)))
    first: dict[int, int] = {}
    count = 0
    for row, inode in enumerate(inodes):
        if inode in first:
            if inode in skip:
                continue
            other = first[inode]
            if not groups[other]:
                count += 1
                groups[other] = count
            groups[row] = groups[other]
        else:
            first[inode] = row
    # Numbered when the second name was met: bring that into the order of the first names.
    order: dict[int, int] = {}
    return array("I", [order.setdefault(group, len(order) + 1) if group else 0 for group in groups])


def overlay_free(xattrs: Xattrs) -> Xattrs:
    """The attributes that a squashfs can hold, without those by which overlay file systems talk to themselves."""
    if not xattrs:
        return xattrs
    return tuple(
        (name, value)
        for name, value in xattrs
        if name.startswith((b"user.", b"trusted.", b"security.")) and not name.startswith(PRIVATE_XATTRS)
    )


_META = re.compile(rb"(?:\A|/)\.wh\.\.wh\.")
"""AUFS's own files: hard links may point to them, but they are no part of the tree."""

PRIVATE_XATTRS = (b"trusted.overlay.", b"user.overlay.", b"user.fuseoverlayfs.", b"user.containers.")


def _show(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
