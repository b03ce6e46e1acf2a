"""What layers make, the slow and plain way: unpacked one after another into a dictionary."""

from __future__ import annotations

import hashlib
import stat
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field

from sealift.core.tree import NO_DIGEST, Entry, sort_key
from tests.packs.layers import Part

_KINDS = {
    tarfile.DIRTYPE: stat.S_IFDIR,
    tarfile.REGTYPE: stat.S_IFREG,
    tarfile.SYMTYPE: stat.S_IFLNK,
    tarfile.CHRTYPE: stat.S_IFCHR,
    tarfile.FIFOTYPE: stat.S_IFIFO,
}


@dataclass(eq=False)
class Node:
    """An inode."""

    mode: int = stat.S_IFDIR | 0o755
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    link: bytes = b""
    data: bytes = b""

    @property
    def is_dir(self) -> bool:
        return stat.S_ISDIR(self.mode)


@dataclass
class Root:
    """A root filesystem; ValueError where a layer asks for what cannot be done."""

    nodes: dict[bytes, Node] = field(default_factory=lambda: {b"": Node()})
    new: set[int] = field(default_factory=set)
    """Inodes of the layer that is being unpacked."""
    listed: set[bytes] = field(default_factory=set)
    """Paths that it lists."""

    def apply(self, parts: Sequence[Part]) -> None:
        """Whiteouts first, as they speak of what is below; then entry after entry."""
        for info, _data in parts:
            parent, _slash, name = info.name.encode().rpartition(b"/")
            if name == b".wh..wh..opq":
                self.remove_below(self.real(parent, make=False))
            elif name.startswith(b".wh."):
                parent = self.real(parent, make=False)
                self.remove(parent + b"/" + name[4:] if parent else name[4:])
        self.new = set()
        self.listed = set()
        for info, data in parts:
            if not info.name.rpartition("/")[2].startswith(".wh."):
                self._put(info, data)

    def _put(self, info: tarfile.TarInfo, data: bytes) -> None:
        path = self._place(info.name.encode(), make=True)
        self.listed.add(path)
        if info.type == tarfile.LNKTYPE:
            target = self._place(info.linkname.encode(), make=False)
            node = self.nodes.get(target)
            if node is None or node.is_dir:
                raise ValueError(f"no file {target!r}")
            if target == path:
                return
            if id(node) in self.new:
                node.uid, node.gid, node.mtime = info.uid, info.gid, int(info.mtime)
                if not stat.S_ISLNK(node.mode):
                    node.mode = stat.S_IFMT(node.mode) | info.mode
        else:
            mode = _KINDS[info.type] | info.mode
            node = Node(mode, info.uid, info.gid, int(info.mtime), info.linkname.encode(), data)
            self.new.add(id(node))
        old = self.nodes.get(path)
        if old is not None and not (old.is_dir and node.is_dir):
            self.remove(path)
        self.nodes[path] = node

    def _place(self, path: bytes, *, make: bool) -> bytes:
        parent, _slash, name = path.rpartition(b"/")
        parent = self.real(parent, make=make)
        return parent + b"/" + name if parent else name

    def real(self, path: bytes, *, make: bool) -> bytes:
        here = b""
        parts = path.split(b"/")[::-1]
        for _step in range(200):
            if not parts:
                return here
            part = parts.pop()
            if part in {b"", b"."}:
                continue
            if part == b"..":
                here = here.rpartition(b"/")[0]
                continue
            there = here + b"/" + part if here else part
            node = self.nodes.get(there)
            if node is not None and node.link:
                if node.link.startswith(b"/"):
                    here = b""
                parts.extend(node.link.split(b"/")[::-1])
                continue
            if make and node is not None and there in self.listed and not node.is_dir:
                raise ValueError(f"{there!r} is a file of this layer")
            if make and (node is None or not node.is_dir):
                self.remove(there)
                self.nodes[there] = Node()
            here = there
        raise ValueError("a circle of symbolic links")

    def remove(self, path: bytes) -> None:
        self.nodes.pop(path, None)
        self.remove_below(path)

    def remove_below(self, path: bytes) -> None:
        for other in [other for other in self.nodes if other.startswith(path + b"/" if path else b"") and other]:
            del self.nodes[other]

    def entries(self) -> dict[bytes, Entry]:
        """In the form of a merged tree."""
        names: dict[int, int] = {}
        for node in self.nodes.values():
            names[id(node)] = names.get(id(node), 0) + 1
        groups: dict[int, int] = {}
        found = {}
        for path in sorted(self.nodes, key=sort_key):
            node = self.nodes[path]
            regular = stat.S_ISREG(node.mode)
            found[path] = Entry(
                path=path,
                mode=node.mode,
                uid=node.uid,
                gid=node.gid,
                mtime=node.mtime,
                size=len(node.data),
                link=node.link,
                group=groups.setdefault(id(node), len(groups) + 1) if names[id(node)] > 1 else 0,
                digest=hashlib.sha256(node.data).digest() if regular else NO_DIGEST,
            )
        return found

    def contents(self) -> dict[bytes, bytes]:
        return {path: node.data for path, node in self.nodes.items() if stat.S_ISREG(node.mode)}
