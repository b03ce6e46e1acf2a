"""The files of an open image as columns: what each holds, and what it takes in the image file."""

from __future__ import annotations

import os
import shlex
import stat
from array import array
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

from sealift.core.tree import Entry, Tree, show_path, tree_of
from sealift.errors import HostError, ImageError
from sealift.evidence.opening import OpenImage
from sealift.packs.treefile import TREE_FILE
from sealift.sections.root import follow
from sealift.squashfs.placement import NO_FRAGMENT, STORED, Fragments, Placement, block_count
from sealift.squashfs.reader import SquashfsReader

DATABASE_LIMIT = 1 << 30
"""Bytes of the largest file that is read whole: RPM's database of a full distribution has some hundred megabytes."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageFiles:
    """`tree` without digests; `stored` has a number for each row, or is None for directories.

    `stored` counts what the row's bytes take in the image file. What several rows share is counted for the first of
    them; a fragment is shared out among its files by their tails. So the sum is what all contents take.
    """

    tree: Tree
    pieces: Callable[[int], Iterator[bytes]]
    """The content of the regular file in a row. ImageError where the image is damaged."""
    stored: array[int] | None = None  # 'Q'

    def read(self, row: int, limit: int = DATABASE_LIMIT) -> bytes:
        """The content of a regular file; ImageError where it is larger than `limit`."""
        if self.tree.sizes[row] > limit:
            raise ImageError(f"`{show_path(self.tree.paths[row])}` of the image is larger than {limit >> 20} MiB")
        return b"".join(self.pieces(row))

    def row(self, path: str) -> int | None:
        """The row of what lies at `path` in the image, links of its folders followed, its own not."""
        folder, _, name = path.rpartition("/")
        real = self._real_folders.get(folder)
        if real is None:
            real = self._real_folders[folder] = self._followed(folder)
        return self._rows.get(os.fsencode(f"{real}/{name}")) if real else self._rows.get(os.fsencode(name))

    def file(self, path: str) -> int | None:
        """The row of the regular file that `path` leads to in the image, all links followed."""
        row = self._rows.get(os.fsencode(self._followed(path)))
        return row if row is not None and stat.S_ISREG(self.tree.modes[row]) else None

    def names(self, path: str) -> tuple[str, ...]:
        """The names in the folder that `path` leads to, sorted; none where it is none."""
        row = self._rows.get(os.fsencode(self._followed(path)))
        return tuple(map(os.fsdecode, self.tree.names(row))) if row is not None else ()

    def real(self, path: str) -> str:
        """Where `path` leads in the image when all links are followed; nothing need be there."""
        return "/" + self._followed(path)

    @cached_property
    def firsts(self) -> array[int]:
        """For each row the first row of its inode: of hard links the first name, of all else itself."""
        first: dict[int, int] = {}
        groups = enumerate(self.tree.groups)
        return array("Q", (first.setdefault(group, row) if group else row for row, group in groups))

    @cached_property
    def _rows(self) -> dict[bytes, int]:
        return {path: row for row, path in enumerate(self.tree.paths)}

    @cached_property
    def _real_folders(self) -> dict[str, str]:
        return {}

    def _followed(self, path: str) -> str:
        """Without the leading slash; links in a circle lead nowhere."""
        try:
            return follow(path, self._link)[1:]
        except OSError:
            return path.lstrip("/")

    def _link(self, path: str) -> str | None:
        row = self._rows.get(os.fsencode(path[1:]))
        target = self.tree.links.get(row) if row is not None else None
        return os.fsdecode(target) if target else None


def files_of(image: OpenImage) -> ImageFiles:
    """Every entry of an image of any form. ImageError where it is damaged, HostError where it may not be read."""
    if image.squashfs is None:
        return _files_of_folder(os.fsencode(image.path))
    squashfs: SquashfsReader = image.squashfs
    tree, placement, fragments = squashfs.tree()
    return ImageFiles(
        tree=tree,
        pieces=lambda row: squashfs.row_data(tree, placement, row),
        stored=_stored(tree, placement, fragments, squashfs.superblock.block_size),
    )


def _stored(tree: Tree, placement: Placement, fragments: Fragments, block_size: int) -> array[int]:
    stored = array("Q", bytes(8 * len(tree)))
    starts: set[tuple[int, int]] = set()
    tails: dict[int, dict[int, tuple[int, int]]] = {}
    for row, (mode, size) in enumerate(zip(tree.modes, tree.sizes, strict=True)):
        if not size or not stat.S_ISREG(mode):
            continue
        first, fragment = placement.firsts[row], placement.fragments[row]
        count = block_count(size, fragment, block_size)
        length = sum(word & ~STORED for word in placement.blocks[first : first + count])
        place = placement.starts[row], length
        if length and place not in starts:
            starts.add(place)
            stored[row] = length
        if fragment != NO_FRAGMENT:
            tail = size - count * block_size
            tails.setdefault(fragment, {}).setdefault(placement.offsets[row], (row, tail))
    for fragment, members in tails.items():
        whole = fragments.sizes[fragment] & ~STORED
        plain = sum(size for _, size in members.values()) or 1
        before = 0
        for _, (row, size) in sorted(members.items()):
            # Differences of rounded sums: so the shares add up to the whole.
            stored[row] += whole * (before + size) // plain - whole * before // plain
            before += size
    return stored


def _files_of_folder(root: bytes) -> ImageFiles:
    tree = tree_of(list(_walk(root)))

    def pieces(row: int) -> Iterator[bytes]:
        place = os.path.join(root, tree.paths[row])
        try:
            descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            raise _closed(root, place, error) from error
        with open(descriptor, "rb") as file:
            while piece := file.read(1 << 20):
                yield piece

    return ImageFiles(tree=tree, pieces=pieces)


def _walk(root: bytes) -> Iterator[Entry]:
    """In canonical order: depth first, names compared as bytes."""
    inodes: dict[tuple[int, int], int] = {}
    todo = [b""]
    while todo:
        path = todo.pop()
        place = os.path.join(root, path) if path else root
        try:
            found = os.stat(place, follow_symlinks=not path)
            names = sorted(os.listdir(place), reverse=True) if stat.S_ISDIR(found.st_mode) else []
            link = os.readlink(place) if stat.S_ISLNK(found.st_mode) else b""
        except FileNotFoundError:
            continue
        except OSError as error:
            raise _closed(root, place, error) from error
        linked = found.st_nlink > 1 and not stat.S_ISDIR(found.st_mode)
        inode = found.st_dev, found.st_ino
        yield Entry(
            path=path,
            mode=found.st_mode,
            uid=found.st_uid,
            gid=found.st_gid,
            size=found.st_size if stat.S_ISREG(found.st_mode) else 0,
            link=link,
            group=inodes.setdefault(inode, len(inodes) + 1) if linked else 0,
        )
        below = (path + b"/" + name if path else name for name in names)
        todo += [each for each in below if each != TREE_FILE]


def _closed(root: bytes, place: bytes, error: OSError) -> HostError:
    line = shlex.join(("sealift", "build", "new.sif", os.fsdecode(root)))
    return HostError(
        f"`{os.fsdecode(place)}` cannot be read: {(error.strerror or '').lower()}",
        hints=(f"make a SIF of the folder, which a sandbox may read, and ask that: {line}",),
    )
