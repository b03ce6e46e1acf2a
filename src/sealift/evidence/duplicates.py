"""Equal contents that lie in an image several times under different inodes; hard links are one."""

from __future__ import annotations

import hashlib
import stat
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import islice

from sealift.evidence.files import ImageFiles

LEAST = 4096
"""Bytes of the smallest file that counts: smaller ones are many, cost much reading and gain nothing."""
_PIECE = 4096
"""The smallest block of a squashfs: a file that is not larger comes in one piece."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Duplicate:
    """Files of one content. `rows` are one an inode, in canonical order; `spare` is what all but one of them hold.

    `stored` is what all but the first take in the image file: nothing where a squashfs keeps equal contents once. None
    for a folder.
    """

    digest: str
    size: int
    rows: tuple[int, ...]
    spare: int
    stored: int | None


def find_duplicates(files: ImageFiles) -> tuple[Duplicate, ...]:
    """Groups of equal contents of at least `LEAST` bytes, those that spare most first.

    Only files of one size are read; and of those that begin alike, all. ImageError where the image is damaged.
    """
    tree = files.tree
    rows = [
        row
        for row, (mode, size) in enumerate(zip(tree.modes, tree.sizes, strict=True))
        if size >= LEAST and stat.S_ISREG(mode) and files.firsts[row] == row
    ]
    found = []
    for digest, alike in _alike(files, rows, pieces=1):
        size = tree.sizes[alike[0]]
        whole = [(digest, alike)] if size <= _PIECE else _alike(files, alike, pieces=None)
        found += [_duplicate(files, digest, size, equal) for digest, equal in whole]
    return tuple(sorted(found, key=lambda one: (-one.spare, one.rows)))


def _alike(files: ImageFiles, rows: list[int], *, pieces: int | None) -> list[tuple[str, list[int]]]:
    """The rows of one size whose first pieces are equal, by what these hash to; those that are like no other left out.

    Read in the order of the rows, in which a squashfs has small files beside each other.
    """
    sizes = files.tree.sizes
    several = Counter(sizes[row] for row in rows)
    found: dict[tuple[int, str], list[int]] = defaultdict(list)
    for row in rows:
        if several[sizes[row]] > 1:
            hasher = hashlib.sha256()
            for piece in islice(files.pieces(row), pieces):
                hasher.update(piece)
            found[sizes[row], hasher.hexdigest()].append(row)
    return [(digest, equal) for (_, digest), equal in found.items() if len(equal) > 1]


def _duplicate(files: ImageFiles, digest: str, size: int, rows: list[int]) -> Duplicate:
    return Duplicate(
        digest=f"sha256:{digest}",
        size=size,
        rows=tuple(rows),
        spare=size * (len(rows) - 1),
        stored=None if files.stored is None else sum(files.stored[row] for row in rows[1:]),
    )
