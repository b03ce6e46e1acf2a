"""Entries to be added to a root, and the root as it will be with them."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Literal

from sealift.sections.root import Look, Root


@dataclass(frozen=True, slots=True, kw_only=True)
class Added:
    """One entry of the layer that is added: its path from `/`, its permission bits, owner always root."""

    path: str
    kind: Literal["directory", "file", "symlink"]
    mode: int
    content: bytes = b""
    link: str = ""


@dataclass(slots=True, kw_only=True)
class Draft:
    """Collects entries above `root`; what was added is seen from then on. Follows links only inside the root."""

    root: Root
    added: dict[str, Added] = field(default_factory=dict)

    def look(self, path: str) -> Look:
        own = self.added.get(path)
        if own is not None and own.kind == "symlink":
            return self.look(os.path.normpath(os.path.join(os.path.dirname(path), own.link)))
        found = self.root.look(path)
        own = self.added.get(found.real)
        if own is None:
            return found
        return Look(
            real=found.real,
            kind="directory" if own.kind == "directory" else "file",
            mode=own.mode,
            content=own.content,
        )

    def exists(self, path: str) -> bool:
        return self.look(path).kind is not None

    def read(self, path: str) -> bytes | None:
        """The content of a regular file, None where there is none."""
        found = self.look(path)
        return found.content if found.kind == "file" else None

    def names(self, path: str) -> tuple[str, ...]:
        here = {*self.root.names(path)}
        here |= {os.path.basename(one) for one in self.added if os.path.dirname(one) == path}
        return tuple(sorted(here))

    def make_directory(self, path: str) -> None:
        """With its parents; one that exists stays as it is."""
        found = self.look(path)
        parent = os.path.dirname(found.real)
        if found.kind == "directory" or parent == found.real:
            return
        self.make_directory(parent)
        self.added[found.real] = Added(path=found.real, kind="directory", mode=0o755)

    def write(self, path: str, content: bytes, mode: int) -> None:
        """Make or replace a file, where `path` leads; its directory is made when it is missing."""
        real = self.look(path).real
        self.make_directory(os.path.dirname(real))
        self.added[real] = Added(path=real, kind="file", mode=mode, content=content)

    def append(self, path: str, content: bytes) -> None:
        """Append to a file that exists; its permission bits stay."""
        found = self.look(path)
        self.write(path, found.content + content, found.mode)

    def link(self, path: str, target: str) -> None:
        """Make a symbolic link where nothing is, or one that leads nowhere."""
        if not self.exists(path):
            self.make_directory(os.path.dirname(path))
            self.added[path] = Added(path=path, kind="symlink", mode=0o777, link=target)

    def finish(self) -> tuple[Added, ...]:
        """The entries, a directory before what is in it, names compared as bytes."""
        return tuple(self.added[path] for path in sorted(self.added, key=lambda one: os.fsencode(one).split(b"/")))
