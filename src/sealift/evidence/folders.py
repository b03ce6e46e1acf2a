"""Which folders of an image are worth a line: the large ones, at the depth where they part."""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sealift.core.tree import parent_of
from sealift.evidence.files import ImageFiles

_SAME = 0.95
"""A folder that holds so much of the one above it is shown instead of it."""
_WORTH = 0.005
"""The share of the whole below which no folder is shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """`size` is all below it, `own` what is in no other folder of the list: the `own` of all add up to the whole.

    `depth` counts the folders of the list that it lies in.
    """

    path: bytes
    depth: int
    files: int
    size: int
    own: int


def sums(files: ImageFiles, rows: Sequence[int]) -> dict[bytes, tuple[int, int]]:
    """How many of the files in `rows` lie below each folder, and their bytes; the root is `b""`."""
    tree = files.tree
    counted = set(rows)
    counts: dict[bytes, int] = defaultdict(int)
    sizes: dict[bytes, int] = defaultdict(int)
    # From the last row to the first: a folder's sum is whole before it is added to the one above.
    for row in range(len(tree) - 1, 0, -1):
        path = tree.paths[row]
        above = parent_of(path)
        if row in counted:
            counts[above] += 1
            sizes[above] += tree.sizes[row]
        elif counts.get(path):
            counts[above] += counts[path]
            sizes[above] += sizes[path]
    return {folder: (count, sizes[folder]) for folder, count in counts.items()}


def notable(totals: Mapping[bytes, tuple[int, int]], most: int) -> tuple[Folder, ...]:
    """The root and up to `most` folders below it, those with the most bytes, in the order of a tree, largest first."""
    whole = totals.get(b"", (0, 0))[1]
    below: dict[bytes, list[bytes]] = defaultdict(list)
    for folder in totals:
        if folder:
            below[parent_of(folder)].append(folder)
    above: dict[bytes, bytes] = {}
    waiting = [(-totals[each][1], each, b"") for each in below[b""]]
    heapq.heapify(waiting)
    while waiting and len(above) < most:
        size, folder, shown_in = heapq.heappop(waiting)
        if -size <= whole * _WORTH:
            break
        while (next_one := max(below[folder], key=lambda each: totals[each][1], default=None)) is not None:
            if totals[next_one][1] < totals[folder][1] * _SAME:
                break
            folder = next_one
        above[folder] = shown_in
        for each in below[folder]:
            heapq.heappush(waiting, (-totals[each][1], each, folder))
    inside: dict[bytes, list[bytes]] = defaultdict(list)
    for folder, shown_in in above.items():
        inside[shown_in].append(folder)
    return tuple(_listed(b"", 0, inside, totals))


def _listed(
    folder: bytes, depth: int, inside: Mapping[bytes, list[bytes]], totals: Mapping[bytes, tuple[int, int]]
) -> list[Folder]:
    files, size = totals.get(folder, (0, 0))
    children = sorted(inside.get(folder, ()), key=lambda each: (-totals[each][1], each))
    own = size - sum(totals[each][1] for each in children)
    found = [Folder(path=folder, depth=depth, files=files, size=size, own=own)]
    for child in children:
        found += _listed(child, depth + 1, inside, totals)
    return found
