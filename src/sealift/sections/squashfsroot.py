"""The root that is in a squashfs, seen without mounting it."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from sealift.sections.root import CONTENT_LIMIT, Kind, Look, follow
from sealift.squashfs.reader import SquashfsReader


@dataclass(frozen=True, slots=True, kw_only=True)
class SquashfsRoot:
    squashfs: SquashfsReader

    def look(self, path: str) -> Look:
        real = follow(path, self.link)
        entry = self.squashfs.lookup(os.fsencode(real[1:]))
        if entry is None:
            return Look(real=real)
        kind: Kind = "directory" if entry.is_dir else "file" if entry.is_file else "other"
        content = self.squashfs.read_file(entry.path, CONTENT_LIMIT) if entry.is_file else b""
        return Look(real=real, kind=kind, mode=stat.S_IMODE(entry.mode), content=content)

    def names(self, path: str) -> tuple[str, ...]:
        real = follow(path, self.link)
        return tuple(os.fsdecode(name) for name in self.squashfs.children(os.fsencode(real[1:])))

    def link(self, path: str) -> str | None:
        inode = self.squashfs.find(os.fsencode(path[1:]))
        return os.fsdecode(inode.link) if inode is not None and stat.S_ISLNK(inode.mode) else None
