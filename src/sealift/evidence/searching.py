"""Finds files of an image by their names, and reads pieces of them: names first, content only of what counts."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sealift.errors import ImageError
from sealift.evidence.opening import OpenImage
from sealift.sections.root import follow
from sealift.squashfs.layout import DIRECTORY
from sealift.squashfs.pieces import FilePieces
from sealift.squashfs.reader import SquashfsReader

Read = Callable[[int, int], bytes]
DEPTH_LIMIT = 64
NAMES_LIMIT = 20_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A regular file: `path` is where it is when all links are followed, `read` gives pieces of it."""

    path: str
    size: int
    mode: int
    read: Read


def find_names(image: OpenImage, wanted: Callable[[str], bool]) -> Iterator[str]:
    """The paths, from `/` on, of all files and links whose name is `wanted`. No link is followed, no file opened.

    ImageError for an image with more names, or folders in folders, than there can be.
    """
    names = _squashfs_names(image.squashfs) if image.squashfs is not None else _folder_names(image.path)
    for folder, name in names:
        if wanted(name):
            yield f"{folder}/{name}"


def open_file(image: OpenImage, path: str) -> Found | None:
    """The regular file that `path` leads to inside the image; None where there is none."""
    try:
        if image.squashfs is None:
            return _of_folder(image.path, path)
        real = image.squashfs.resolve(os.fsencode(path))
        inode = image.squashfs.find(real) if real is not None else None
    except OSError:  # links in a circle
        return None
    if real is None or inode is None or not stat.S_ISREG(inode.mode):
        return None
    pieces = FilePieces(image.squashfs, inode)
    return Found(path="/" + os.fsdecode(real), size=inode.size, mode=stat.S_IMODE(inode.mode), read=pieces.read)


def _squashfs_names(reader: SquashfsReader) -> Iterator[tuple[str, str]]:
    """Folder and name of all that is no folder. Only folders' inodes are read, so that a large image takes little."""
    todo = [("", reader.superblock.root)]
    folders = {reader.superblock.root}
    seen = 0
    while todo:
        path, reference = todo.pop()
        if path.count("/") > DEPTH_LIMIT:
            raise ImageError("the squashfs is damaged: its directories are nested too deeply")
        for name, below, kind in reader.listing(reader.inode(reference)):
            seen += 1
            if seen > NAMES_LIMIT:
                raise ImageError(f"the squashfs has more than {NAMES_LIMIT} names")
            text = os.fsdecode(name)
            if kind == DIRECTORY:
                if below in folders:
                    raise ImageError(f"the squashfs is damaged: the directory `{path}/{text}` stands in two places")
                folders.add(below)
                todo.append((f"{path}/{text}", below))
            else:
                yield path, text


def _folder_names(top: str) -> Iterator[tuple[str, str]]:
    """The same of a folder of this machine; what may not be read is passed over."""
    todo = [""]
    while todo:
        path = todo.pop()
        try:
            with os.scandir(f"{top}/{path}") as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        todo.append(f"{path}/{entry.name}")
                    else:
                        yield path, entry.name
        except OSError:
            continue


def _of_folder(top: str, path: str) -> Found | None:
    def link(inside: str) -> str | None:
        try:
            return os.readlink(top + inside)
        except OSError:
            return None

    real = follow(path, link)
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
