"""The tree of an image as an engine holds it, read by Python's own tarfile: what `save` and `export` give."""

from __future__ import annotations

import hashlib
import io
import json
import os
import stat
import tarfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO

from sealift.core.tree import NO_DIGEST, Entry, sort_key

_KINDS = {
    tarfile.REGTYPE: stat.S_IFREG,
    tarfile.AREGTYPE: stat.S_IFREG,
    tarfile.DIRTYPE: stat.S_IFDIR,
    tarfile.SYMTYPE: stat.S_IFLNK,
    tarfile.FIFOTYPE: stat.S_IFIFO,
    tarfile.CHRTYPE: stat.S_IFCHR,
    tarfile.BLKTYPE: stat.S_IFBLK,
}
_ATTRIBUTE = "SCHILY.xattr."

Tree = dict[bytes, Entry]
Links = dict[bytes, bytes]
"""Path → the path that it is another name of."""


def saved_trees(archive: IO[bytes]) -> Iterator[tuple[str, Tree]]:
    """Name and tree of each image of an archive by `docker save`; layers are applied as the OCI specification says."""
    with tarfile.open(fileobj=archive) as tar:
        members = {member.name.removeprefix("./"): member for member in tar}

        def read(name: str) -> bytes:
            member = members[name]
            while member.issym():
                place = name.rpartition("/")[0]
                name = f"{place}/{member.linkname}".replace(f"{place}/../", "")
                member = members[name]
            file = tar.extractfile(member)
            assert file is not None
            return file.read()

        layers: dict[str, tuple[Tree, Links]] = {}
        for image in json.loads(read("manifest.json")):
            tree: Tree = {}
            links: Links = {}
            for name in image["Layers"]:
                if name not in layers:
                    layers[name] = read_tar(io.BytesIO(read(name)))
                apply(tree, links, *layers[name])
            yield image["RepoTags"][0], grouped(tree, links)


def exported_tree(archive: Path) -> Tree:
    """The tree of a container by `docker export`."""
    with archive.open("rb") as file:
        return grouped(*read_tar(file))


def read_tar(file: IO[bytes]) -> tuple[Tree, Links]:
    """The entries of a tar by their paths, and which of them are other names of one that comes before."""
    tree: Tree = {}
    links: Links = {}
    with tarfile.open(fileobj=file, mode="r:", encoding="utf-8", errors="surrogateescape") as tar:
        for member in tar:
            path = _path(member.name)
            # A later entry replaces an earlier one.
            tree.pop(path, None)
            links.pop(path, None)
            if member.islnk():
                links[path] = _path(member.linkname)
                tree[path] = replace(tree[_path(member.linkname)], path=path)
                continue
            data = tar.extractfile(member) if member.isreg() else None
            content = data.read() if data is not None else b""
            tree[path] = Entry(
                path=path,
                mode=_KINDS[member.type] | member.mode,
                uid=member.uid,
                gid=member.gid,
                mtime=int(member.mtime),
                rdev=_device(member),
                size=len(content),
                link=member.linkname.encode("utf-8", "surrogateescape") if member.issym() else b"",
                xattrs=tuple(sorted(_attributes(member.pax_headers))),
                digest=hashlib.sha256(content).digest() if member.isreg() else NO_DIGEST,
            )
    return tree, links


def apply(tree: Tree, links: Links, layer: Tree, layer_links: Links) -> None:
    """Put a layer on what lies below; whiteouts first, for they are about what lies below alone."""
    for path in layer:
        folder, _, name = path.rpartition(b"/")
        if name == b".wh..wh..opq":
            _remove(tree, links, folder, itself=False)
        elif name.startswith(b".wh."):
            _remove(tree, links, _join(folder, name.removeprefix(b".wh.")), itself=True)
    for path, entry in layer.items():
        if path.rpartition(b"/")[2].startswith(b".wh."):
            continue
        if not entry.is_dir:
            _remove(tree, links, path, itself=True)
        tree[path] = entry
        links.pop(path, None)
        if path in layer_links:
            links[path] = layer_links[path]


def grouped(tree: Tree, links: Links) -> Tree:
    """With the numbers of the groups of names that are one file, as `full_listing` counts them."""
    first: dict[bytes, bytes] = {path: _first(path, links) for path in links}
    several = set(first.values())
    numbers: dict[bytes, int] = {}
    found: Tree = {}
    for path in sorted(tree, key=sort_key):
        name = first.get(path, path)
        group = numbers.setdefault(name, len(numbers) + 1) if name in several or path in first else 0
        found[path] = replace(tree[path], group=group)
    return found


def _first(path: bytes, links: Mapping[bytes, bytes]) -> bytes:
    while path in links:
        path = links[path]
    return path


def _remove(tree: Tree, links: Links, path: bytes, *, itself: bool) -> None:
    gone = [each for each in tree if each.startswith(path + b"/" if path else b"") and each != path]
    for each in (*gone, *([path] if itself and path in tree else [])):
        _forget(tree, links, each)


def _forget(tree: Tree, links: Links, path: bytes) -> None:
    """Drop a name; its file's other names stay one file."""
    del tree[path]
    target = links.pop(path, None)
    others = [each for each, first in links.items() if first == path]
    heir = target
    if heir is None and others:
        heir = others[0]
        del links[heir]
    for each in others:
        if each != heir and heir is not None:
            links[each] = heir


def _path(name: str) -> bytes:
    path = name.encode("utf-8", "surrogateescape").strip(b"/")
    path = path.removeprefix(b"./")
    return b"" if path == b"." else path


def _join(folder: bytes, name: bytes) -> bytes:
    return folder + b"/" + name if folder else name


def _device(member: tarfile.TarInfo) -> int:
    return os.makedev(member.devmajor, member.devminor) if member.ischr() or member.isblk() else 0


def _attributes(headers: Mapping[str, str]) -> Iterable[tuple[bytes, bytes]]:
    for key, value in headers.items():
        if key.startswith(_ATTRIBUTE):
            yield key.removeprefix(_ATTRIBUTE).encode(), value.encode("utf-8", "surrogateescape")
