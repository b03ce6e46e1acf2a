"""Opens an image of any form for reading: SIF, bare squashfs, directory."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from sealift.core.tree import Entry
from sealift.errors import ImageError
from sealift.sections.root import CONTENT_LIMIT, DirectoryRoot, Kind, Look, Root, follow
from sealift.sif.reader import SifImage, is_sif, read_sif
from sealift.squashfs.reader import SquashfsReader

Form = Literal["sif", "squashfs", "directory"]
SQUASHFS_MAGIC = b"hsqs"
EXT_MAGIC = b"\x53\xef"
EXT_MAGIC_AT = 1080
"""In the superblock of ext2, ext3 and ext4, which begins at byte 1024."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenImage:
    """An image that is open for reading; `root` shows its files and never leads out of it."""

    path: str
    form: Form
    root: Root
    sif: SifImage | None = None
    squashfs: SquashfsReader | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SquashfsRoot:
    """The root that is in a squashfs."""

    squashfs: SquashfsReader

    def look(self, path: str) -> Look:
        real = follow(path, self._link)
        entry = self._entry(real)
        if entry is None:
            return Look(real=real)
        kind: Kind = "directory" if entry.is_dir else "file" if entry.is_file else "other"
        content = self.squashfs.read_file(entry.path, CONTENT_LIMIT) if entry.is_file else b""
        return Look(real=real, kind=kind, mode=stat.S_IMODE(entry.mode), content=content)

    def names(self, path: str) -> tuple[str, ...]:
        real = follow(path, self._link)
        return tuple(os.fsdecode(name) for name in self.squashfs.children(os.fsencode(real[1:])))

    def _entry(self, path: str) -> Entry | None:
        return self.squashfs.lookup(os.fsencode(path[1:]))

    def _link(self, path: str) -> str | None:
        entry = self._entry(path)
        return os.fsdecode(entry.link) if entry is not None and entry.is_symlink else None


@contextmanager
def open_image(path: str) -> Iterator[OpenImage]:
    """Open an image; ImageError when it is none, or damaged."""
    if os.path.isdir(path):
        yield OpenImage(path=path, form="directory", root=DirectoryRoot(path=path))
        return
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        hint = f"build it: sealift build {path} FILE.def"
        if path.startswith("~"):
            hint = "`~` is expanded by shells alone: write the whole path"
        raise ImageError(f"there is no image `{path}`", hints=(hint,)) from error
    except OSError as error:
        raise ImageError(f"`{path}` cannot be read: {(error.strerror or '').lower()}") from error
    try:
        start = os.pread(descriptor, 64, 0)
        if is_sif(start):
            sif = read_sif(descriptor)
            squashfs = SquashfsReader(descriptor, sif.root_squashfs.offset)
            yield OpenImage(path=path, form="sif", root=SquashfsRoot(squashfs=squashfs), sif=sif, squashfs=squashfs)
        elif start.startswith(SQUASHFS_MAGIC):
            squashfs = SquashfsReader(descriptor, 0)
            yield OpenImage(path=path, form="squashfs", root=SquashfsRoot(squashfs=squashfs), squashfs=squashfs)
        elif os.pread(descriptor, 2, EXT_MAGIC_AT) == EXT_MAGIC:
            raise ImageError(
                f"`{path}` is an ext3 image, which Sealift does not read",
                hints=(f"convert it with Apptainer: apptainer build NEW.sif {path}",),
            )
        else:
            raise ImageError(f"`{path}` is no image: neither a SIF nor a squashfs", hints=(f"see: file {path}",))
    finally:
        os.close(descriptor)
