"""What a layer must say so that one tree becomes another: the entries to write, and the whiteouts.

Both trees are compared by value, so that what a section touched and left as it was costs nothing. A layer stands for
itself: engines unpack it into a folder that does not show the layers below (Docker's and Podman's overlay drivers do),
hence

  - every directory above an entry or a whiteout is listed, with its metadata;
  - of a hard-link group that changed, all names are listed, the first in canonical order with the content, even those
    that the layers below have;
  - removed files are named one by one, which the specification prefers (layer.md, "Opaque Whiteout").
"""

from __future__ import annotations

import stat
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sealift.core.tree import Tree, parent_of, sort_key


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """`rows` are rows of the newer tree, ascending; `gone` are paths of the older one, in canonical order."""

    rows: array[int]
    gone: tuple[bytes, ...]


def difference(older: Tree | None, newer: Tree) -> Difference:
    """What lies between two complete trees; without an older one, all of the newer one."""
    if older is None:
        return Difference(rows=array("I", range(len(newer))), gone=())
    same, twins, missing = _compare(older, newer)
    listed = bytearray(len(newer))
    _list_changed(older, newer, same, twins, listed)
    gone = _topmost(older, newer, missing)
    _list_parents(newer, listed, gone)
    return Difference(rows=array("I", (row for row, yes in enumerate(listed) if yes)), gone=gone)


_NONE = 0xFFFFFFFF


def _compare(older: Tree, newer: Tree) -> tuple[bytearray, array[int], array[int]]:
    """For each newer row whether its value is that of the older one of its path, and that row; older rows without any.

    Hard links are not looked at.
    """
    same = bytearray(len(newer))
    twins = array("I", [_NONE]) * len(newer)
    missing = array("I")
    numbers = {pairs: number for number, pairs in enumerate(newer.xattr_sets)}
    sets = [numbers.get(pairs, -1) for pairs in older.xattr_sets]
    old, count = 0, len(older)
    for row, path in enumerate(newer.paths):
        while old < count and older.paths[old] != path:
            if sort_key(older.paths[old]) > sort_key(path):
                break
            missing.append(old)
            old += 1
        if old < count and older.paths[old] == path:
            twins[row] = old
            same[row] = (
                older.modes[old] == newer.modes[row]
                and older.mtimes[old] == newer.mtimes[row]
                and older.sizes[old] == newer.sizes[row]
                and older.uids[old] == newer.uids[row]
                and older.gids[old] == newer.gids[row]
                and older.rdevs[old] == newer.rdevs[row]
                and sets[older.xattrs[old]] == newer.xattrs[row]
                and older.links.get(old) == newer.links.get(row)
                and older.digest(old) == newer.digest(row)
            )
            old += 1
    missing.extend(range(old, count))
    return same, twins, missing


def _list_changed(older: Tree, newer: Tree, same: bytearray, twins: array[int], listed: bytearray) -> None:
    """Mark the rows that have another value or other names for the same file than below."""
    heirs: dict[int, tuple[int, int]] = {}
    """For a group of the older tree the file that it goes on as: the one with most names, of several the first."""
    kept: list[tuple[int, tuple[int, int], Sequence[int]]] = []
    for rows in _files(newer):
        below = {older.groups[twins[row]] if same[row] else _NONE for row in rows}
        number = below.pop()
        if below or number == _NONE or (number == 0 and len(rows) > 1):
            for row in rows:
                listed[row] = 1
        elif number:
            rank = (-len(rows), rows[0])
            heirs[number] = min(heirs.get(number, rank), rank)
            kept.append((number, rank, rows))
    for number, rank, rows in kept:
        if heirs[number] != rank:
            for row in rows:
                listed[row] = 1


def _files(tree: Tree) -> Iterator[Sequence[int]]:
    """The rows of each inode."""
    groups: dict[int, list[int]] = {}
    for row, group in enumerate(tree.groups):
        if group:
            groups.setdefault(group, []).append(row)
        else:
            yield (row,)
    yield from groups.values()


def _topmost(older: Tree, newer: Tree, missing: array[int]) -> tuple[bytes, ...]:
    """Of the paths that are gone, those whose directory is still one: what lies in another's place hides all below."""
    found: list[bytes] = []
    parents: dict[bytes, bool] = {}
    for row in missing:
        path = older.paths[row]
        parent = parent_of(path)
        if parent not in parents:
            there = newer.find(parent)
            parents[parent] = there is not None and stat.S_ISDIR(newer.modes[there])
        if parents[parent]:
            found.append(path)
    return tuple(found)


def _list_parents(newer: Tree, listed: bytearray, gone: tuple[bytes, ...]) -> None:
    needed = {parent_of(path) for path in gone}
    # From the last row up, a directory comes after all that is in it.
    for row in range(len(newer) - 1, -1, -1):
        path = newer.paths[row]
        if listed[row] or path in needed:
            listed[row] = 1
            needed.add(parent_of(path))
            needed.discard(path)
