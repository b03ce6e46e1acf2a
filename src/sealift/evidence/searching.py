"""Finds files of an image by their names, and reads pieces of them: names first, content only of what counts."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sealift.evidence.opening import OpenImage
from sealift.sections.root import follow
from sealift.squashfs.pieces import FilePieces
from sealift.squashfs.reader import SquashfsReader

Read = Callable[[int, int], bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A regular file: `path` is where it is when all links are followed, `read` gives pieces of it."""

    path: str
    size: int
    mode: int
    read: Read


def find_names(image: OpenImage, wanted: Callable[[str], bool]) -> Iterator[str]:
    """The paths, from `/` on, of all files and links whose name is `wanted`. No link is followed, no file opened.

    ImageError where the image is damaged.
    """
    names = image.squashfs.names() if image.squashfs is not None else _names_in_folder(os.fsencode(image.path))
    for folder, name in names:
        if wanted(os.fsdecode(name)):
            yield "/" + os.fsdecode(folder + name)


def open_file(image: OpenImage, path: str) -> Found | None:
    """The regular file that `path` leads to inside the image; None where there is none."""
    try:
        real = follow(path, image.root.link)
    except OSError:  # links in a circle
        return None
    return _in_folder(image.path, real) if image.squashfs is None else _in_squashfs(image.squashfs, real)


def _names_in_folder(top: bytes) -> Iterator[tuple[bytes, bytes]]:
    """As `SquashfsReader.names`, of a folder of this machine; what may not be read is passed over."""
    todo = [b""]
    while todo:
        prefix = todo.pop()
        try:
            with os.scandir(os.path.join(top, prefix)) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(prefix + entry.name + b"/")
                    else:
                        yield prefix, entry.name
        except OSError:
            continue


def _in_squashfs(reader: SquashfsReader, real: str) -> Found | None:
    inode = reader.find(os.fsencode(real[1:]))
    if inode is None or not stat.S_ISREG(inode.mode):
        return None
    return Found(path=real, size=inode.size, mode=stat.S_IMODE(inode.mode), read=FilePieces(reader, inode).read)


def _in_folder(top: str, real: str) -> Found | None:
    place = top + real
    try:
        status = os.lstat(place)
    except OSError:
        return None
    if not stat.S_ISREG(status.st_mode):
        return None

    def read(offset: int, size: int) -> bytes:
        descriptor = os.open(place, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
        try:
            return os.pread(descriptor, size, offset)
        finally:
            os.close(descriptor)

    return Found(path=real, size=status.st_size, mode=stat.S_IMODE(status.st_mode), read=read)
