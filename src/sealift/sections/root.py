"""What lies in a root filesystem, seen without leaving it: a directory, a tree, or a record of the files that count.

Paths begin with `/` and are text with `surrogateescape`. Symbolic links are followed as a process with this root would
follow them, so that no link of an image leads to the host.
"""

from __future__ import annotations

import base64
import errno
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from sealift.core.tree import Tree
from sealift.errors import ImageError

Kind = Literal["directory", "file", "other"]

CONTENT_LIMIT = 4 << 20
"""Bytes of a script or of labels that are read; larger ones are no such thing."""

_LINK_LIMIT = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """`real` is where the path leads when all links are followed; `kind` is None when nothing is there."""

    real: str
    kind: Kind | None = None
    mode: int = 0
    content: bytes = b""


class Root(Protocol):
    def look(self, path: str) -> Look:
        """What is at `path`; content only of regular files. OSError (ELOOP) for links in a circle."""

    def names(self, path: str) -> tuple[str, ...]:
        """The sorted names in a directory; none where it is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryRoot:
    """A root that is a directory of this machine."""

    path: str

    def look(self, path: str) -> Look:
        real = follow(path, self.link)
        place = self.path + real
        try:
            found = os.lstat(place)
        except (FileNotFoundError, NotADirectoryError):
            return Look(real=real)
        kind = _kind(found.st_mode)
        content = b""
        if kind == "file":
            _check_size(path, found.st_size)
            with open(place, "rb") as file:
                content = file.read()
        return Look(real=real, kind=kind, mode=stat.S_IMODE(found.st_mode), content=content)

    def names(self, path: str) -> tuple[str, ...]:
        try:
            return tuple(sorted(os.listdir(self.path + follow(path, self.link))))
        except (FileNotFoundError, NotADirectoryError):
            return ()

    def link(self, path: str) -> str | None:
        """The target of the symbolic link at `path`, None for all else; no link on the way is followed."""
        try:
            return os.readlink(self.path + path)
        except OSError:
            return None


@dataclass(frozen=True, slots=True, kw_only=True)
class TreeRoot:
    """A root that is a tree; `read` gives the content of the file in a row, never more than CONTENT_LIMIT bytes."""

    tree: Tree
    read: Callable[[int], bytes]

    def look(self, path: str) -> Look:
        real = follow(path, self._link)
        row = self.tree.find(os.fsencode(real[1:]))
        if row is None:
            return Look(real=real)
        mode = self.tree.modes[row]
        kind = _kind(mode)
        content = b""
        if kind == "file":
            _check_size(path, self.tree.sizes[row])
            content = self.read(row)
        return Look(real=real, kind=kind, mode=stat.S_IMODE(mode), content=content)

    def names(self, path: str) -> tuple[str, ...]:
        first = self.tree.find(os.fsencode(follow(path, self._link)[1:]))
        return tuple(map(os.fsdecode, self.tree.names(first))) if first is not None else ()

    def _link(self, path: str) -> str | None:
        row = self.tree.find(os.fsencode(path[1:]))
        link = self.tree.links.get(row) if row is not None else None
        return os.fsdecode(link) if link else None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmptyRoot:
    """Nothing at all, not even the root directory's entries."""

    def look(self, path: str) -> Look:
        return Look(real=path)

    def names(self, path: str) -> tuple[str, ...]:  # noqa: ARG002 -- the protocol's parameter
        return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedRoot:
    """What another root showed, as a value that can travel as JSON. Paths that were not recorded are absent."""

    looks: Mapping[str, Look]
    listings: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def look(self, path: str) -> Look:
        found = self.looks.get(path)
        if found is not None:
            return found
        parent, _, name = path.rpartition("/")
        return Look(real=(self.look(parent).real if parent else "") + "/" + name)

    def names(self, path: str) -> tuple[str, ...]:
        return self.listings.get(path, ())

    def to_json(self) -> dict[str, Any]:
        return {
            "looks": {
                path: [look.real, look.kind, look.mode, base64.b64encode(look.content).decode()]
                for path, look in self.looks.items()
            },
            "listings": {path: list(names) for path, names in self.listings.items()},
        }


def recorded_from_json(data: Mapping[str, Any]) -> RecordedRoot:
    return RecordedRoot(
        looks={
            path: Look(real=real, kind=kind, mode=mode, content=base64.b64decode(content))
            for path, (real, kind, mode, content) in data["looks"].items()
        },
        listings={path: tuple(names) for path, names in data["listings"].items()},
    )


def record(root: Root, paths: Iterable[str], listings: Iterable[str]) -> RecordedRoot:
    return RecordedRoot(
        looks={path: root.look(path) for path in paths}, listings={path: root.names(path) for path in listings}
    )


def follow(path: str, read_link: Callable[[str], str | None]) -> str:
    """Where `path` leads when every symbolic link in it is followed inside the root; it need not exist.

    `read_link` gives the target of a link and None for all else. `..` at the root stays there, as the kernel has it.
    OSError (ELOOP) after forty links.
    """
    todo = [part for part in path.split("/") if part not in ("", ".")][::-1]
    done: list[str] = []
    links = 0
    while todo:
        part = todo.pop()
        if part == "..":
            del done[-1:]
            continue
        target = read_link("/" + "/".join([*done, part]))
        if target is None:
            done.append(part)
            continue
        links += 1
        if links > _LINK_LIMIT:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        if target.startswith("/"):
            done = []
        todo += [each for each in target.split("/") if each not in ("", ".")][::-1]
    return "/" + "/".join(done)


def _kind(mode: int) -> Kind:
    return "directory" if stat.S_ISDIR(mode) else "file" if stat.S_ISREG(mode) else "other"


def _check_size(path: str, size: int) -> None:
    if size > CONTENT_LIMIT:
        raise ImageError(f"`{path}` of the image is larger than {CONTENT_LIMIT >> 20} MiB")
