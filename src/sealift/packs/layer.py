"""What unpacking one layer would leave: names, inodes, whiteouts, worked out without touching a disk.

The rules are those of extraction, entry after entry (OCI image-spec layer.md, and what containerd, umoci and Docker do
where it is silent): a later entry of the same path wins; a hard link names the inode that its target has at that
moment; an entry below a symbolic link of this layer goes where the link points, never out of the root; what is put
in the place of a directory removes what was below it. Whiteouts speak of the layers below only, wherever they stand.
"""

from __future__ import annotations

import stat
from array import array
from collections.abc import Iterator
from itertools import chain

from sealift.core.tree import NO_DIGEST, Tree, Xattrs
from sealift.errors import ImageError
from sealift.packs.index import HOLLOW, IMPLIED, OPAQUE, WHITEOUT, LowerLink

IMPLIED_MODE = stat.S_IFDIR | 0o755
WHITEOUT_MODE = stat.S_IFCHR
_IMPLIED_INODE = -1
_AT_ONCE = 4096
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
        self.digests = bytearray()
        """32 bytes an inode."""
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
        self.digests += NO_DIGEST
        self.xattrs.append(self._xattr_sets.setdefault(xattrs, len(self._xattr_sets)) if xattrs else 0)
        if link:
            self.links[inode] = link
        return inode

    def digest(self, inode: int) -> bytes:
        return bytes(self.digests[inode * 32 : inode * 32 + 32])

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
            path = self._place(path)
            self._whiteouts.add(path)
            self._children[path.rpartition(b"/")[0]].append(path)

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
        """Take away what is at `path` and below; its name, and its entry in the parent's list, stay."""
        self._lower_links.pop(path, None)
        folders = [path] if path in self._children else []
        while folders:
            folder = folders.pop()
            self._opaques.discard(folder)
            for child in self._children.pop(folder):
                self._lower_links.pop(child, None)
                self._names.pop(child, None)
                self._whiteouts.discard(child)
                if child in self._children:
                    folders.append(child)

    # -- the result -------------------------------------------------------------------------------------------

    def finish(self) -> tuple[Tree, array[int], array[int]]:
        """The complete tree in canonical order, the flags of each row, and each row's inode; ends the collecting."""
        implied = self.add_inode(mode=IMPLIED_MODE, uid=0, gid=0, mtime=0)
        whiteout = self.add_inode(mode=WHITEOUT_MODE, uid=0, gid=0, mtime=0)
        opaque = dict.fromkeys(self._opaques, OPAQUE)
        opaque.update((path, OPAQUE | WHITEOUT) for path in self._whiteouts if path in self._children)
        full = self._full_folders() if self._whiteouts or opaque else self._children
        paths: list[bytes] = []
        inodes, flags = array("I"), array("B")
        for path in self._in_order():
            inode = self._names.get(path)
            flag = opaque.get(path, 0)
            if inode is None:
                inode, flag = whiteout, WHITEOUT
            elif inode == _IMPLIED_INODE:
                inode = implied
                flag |= IMPLIED if path in full else IMPLIED | HOLLOW
            paths.append(path)
            inodes.append(inode)
            flags.append(flag)
        self._names.clear()
        self._children.clear()

        def column(name: str) -> array[int]:
            """A column by rows; that by inodes is let go, as both at once would be the most that packing ever needs."""
            values: array[int] = getattr(self, name)
            setattr(self, name, values[:0])
            return array(values.typecode, map(values.__getitem__, inodes))

        xattrs = column("xattrs")
        self._mark_opaque(flags, xattrs)
        digests = bytearray()
        for start in range(0, len(inodes), _AT_ONCE):
            digests += b"".join(map(self.digest, inodes[start : start + _AT_ONCE]))
        self.digests = bytearray()
        tree = Tree(
            paths=paths,
            modes=column("modes"),
            uids=column("uids"),
            gids=column("gids"),
            mtimes=column("mtimes"),
            rdevs=column("rdevs"),
            sizes=column("sizes"),
            groups=_link_groups(inodes, skip=(implied, whiteout)),
            xattrs=xattrs,
            xattr_sets=tuple(self._xattr_sets),
            links={row: self.links[inode] for row, inode in enumerate(inodes) if inode in self.links},
            digests=bytes(digests),
        )
        return tree, flags, inodes

    def _in_order(self) -> Iterator[bytes]:
        """Every path with an entry or a whiteout in canonical order: a directory, then what is in it by name."""
        waiting = [b""]
        while waiting:
            path = waiting.pop()
            yield path
            below = self._children.get(path)
            if below:
                # The list may name a path twice, or one that is gone or is a link to below.
                below.sort(reverse=True)
                last = None
                for child in below:
                    here = child in self._names or (child in self._whiteouts and child not in self._lower_links)
                    if child != last and here and not (_META in child and child.rpartition(b"/")[2].startswith(_META)):
                        waiting.append(child)
                    last = child

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

    def _mark_opaque(self, flags: array[int], xattrs: array[int]) -> None:
        sets = list(self._xattr_sets)
        for row, flag in enumerate(flags):
            if flag & OPAQUE:
                marked = tuple(sorted((*sets[xattrs[row]], *_OPAQUE_XATTRS)))
                xattrs[row] = self._xattr_sets.setdefault(marked, len(self._xattr_sets))


def _link_groups(inodes: array[int], *, skip: tuple[int, ...]) -> array[int]:
    """The hard-link group of each row: the inode and one where it has several names, numbered by `number_groups`."""
    count = bytearray(max(inodes) + 1)
    for inode in inodes:
        if count[inode] < 2:
            count[inode] += 1
    for inode in skip:
        if inode < len(count):
            count[inode] = 0
    if 2 not in count:
        return array("I", bytes(4 * len(inodes)))
    return number_groups(array("Q", [inode + 1 if count[inode] > 1 else 0 for inode in inodes]))


def number_groups(groups: array[int]) -> array[int]:
    """Number hard-link groups 1, 2, … by their first rows; a group with one row only becomes 0, as 0 does."""
    rows: dict[int, int] = {}
    for group in groups:
        if group:
            rows[group] = rows.get(group, 0) + 1
    order = {0: 0}
    last = 0
    for group, count in rows.items():  # in the order in which they first came
        last += count > 1
        order[group] = last if count > 1 else 0
    return array("I", map(order.__getitem__, groups))


def overlay_free(xattrs: Xattrs) -> Xattrs:
    """The attributes that a squashfs can hold, without those by which overlay file systems talk to themselves."""
    if not xattrs:
        return xattrs
    return tuple(
        (name, value)
        for name, value in xattrs
        if name.startswith((b"user.", b"trusted.", b"security.")) and not name.startswith(PRIVATE_XATTRS)
    )


_META = b".wh..wh."
"""How names of AUFS's own files begin: hard links may point to them, but they are no part of the tree."""

PRIVATE_XATTRS = (b"trusted.overlay.", b"user.overlay.", b"user.fuseoverlayfs.", b"user.containers.")


def _show(path: bytes) -> str:
    return path.decode("utf-8", "backslashreplace")
