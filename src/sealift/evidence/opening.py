"""Opens an image of any form for reading: SIF, bare squashfs, directory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from sealift.errors import ImageError
from sealift.sif.reader import SifImage, is_sif, read_sif
from sealift.squashfs.reader import SquashfsReader

Form = Literal["sif", "squashfs", "directory"]
_SQUASHFS_MAGIC = b"hsqs"


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenImage:
    """An image that is open for reading; `read` follows symbolic links inside the image and never leads out of it."""

    path: str
    form: Form
    sif: SifImage | None = None
    squashfs: SquashfsReader | None = None

    def read(self, path: str, limit: int = 16 << 20) -> bytes | None:
        """The content of a file of the image, None when there is none at `path`."""
        if self.squashfs is not None:
            real = self.squashfs.resolve(os.fsencode(path.lstrip("/")))
            if real is None:
                return None
            entry = self.squashfs.lookup(real)
            return self.squashfs.read_file(real, limit) if entry is not None and entry.is_file else None
        real_path = _inside(self.path, path)
        if not os.path.isfile(real_path):
            return None
        with open(real_path, "rb") as file:
            return file.read(limit)

    def names(self, path: str) -> tuple[str, ...]:
        """The names in a directory of the image; empty when it is not there."""
        if self.squashfs is not None:
            real = self.squashfs.resolve(os.fsencode(path.lstrip("/")))
            return tuple(os.fsdecode(n) for n in self.squashfs.children(real)) if real is not None else ()
        real_path = _inside(self.path, path)
        return tuple(sorted(os.listdir(real_path))) if os.path.isdir(real_path) else ()


def _inside(root: str, path: str) -> str:
    """`path` below `root`, with symbolic links followed as a process whose root is `root` would."""
    done: list[str] = []
    todo = path.strip("/").split("/")[::-1]
    for _ in range(1000):
        if not todo:
            break
        name = todo.pop()
        if name in ("", "."):
            continue
        if name == "..":
            del done[-1:]
            continue
        here = os.path.join(root, *done, name)
        if os.path.islink(here):
            link = os.readlink(here)
            if link.startswith("/"):
                done.clear()
            todo += link.strip("/").split("/")[::-1]
        else:
            done.append(name)
    return os.path.join(root, *done)


@contextmanager
def open_image(path: str) -> Iterator[OpenImage]:
    """Open an image; ImageError when it is none, or damaged."""
    if os.path.isdir(path):
        yield OpenImage(path=path, form="directory")
        return
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise ImageError(f"there is no image `{path}`", hints=(f"build it: sealift build {path} FILE.def",)) from error
    except OSError as error:
        raise ImageError(f"`{path}` cannot be read: {(error.strerror or '').lower()}") from error
    try:
        start = os.pread(descriptor, 64, 0)
        if is_sif(start):
            sif = read_sif(descriptor)
            offset = sif.root_squashfs.offset
            yield OpenImage(path=path, form="sif", sif=sif, squashfs=SquashfsReader(descriptor, offset))
        elif start.startswith(_SQUASHFS_MAGIC):
            yield OpenImage(path=path, form="squashfs", squashfs=SquashfsReader(descriptor, 0))
        else:
            raise ImageError(f"`{path}` is no image: neither a SIF nor a squashfs", hints=(f"see: file {path}",))
    finally:
        os.close(descriptor)
