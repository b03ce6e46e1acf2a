"""Packs on top of each other → the tree of the image, by the OCI rules for layers (image-spec, layer.md).

A later layer hides what earlier ones have: by listing the same path (a directory again keeps what is in it, and takes
the new metadata), by a whiteout, by an opaque mark, or by something else than a directory in a directory's place.
Where a layer lists files below a path that is a symbolic link in the layers below, they go where it points, inside
the root, as containerd and umoci have it (and Docker where it unpacks onto the whole tree).

Works on columns and on sorted runs: one pass over all rows in canonical order, nothing per entry but a few numbers.
"""

from __future__ import annotations

import stat
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain

from sealift.core.tree import Tree, Xattrs
from sealift.errors import ImageError
from sealift.packs.index import IMPLIED
from sealift.packs.layer import PRIVATE_XATTRS, number_groups
from sealift.packs.overlap import Rows, lay_over
from sealift.packs.pack import Pack


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Merged:
    """The tree of an image, and for each row where it comes from: a pack's number, and the row in that pack.

    The first `base_count` packs are the base. For a further name of a file that a layer took from below, the origin
    is where the file's bytes lie.
    """

    packs: tuple[Pack, ...]
    base_count: int
    tree: Tree
    pack_of: array[int]
    row_of: array[int]

    def select(self, rows: Sequence[int]) -> Merged:
        """The same image with only `rows` of it, ascending; hard-link groups are numbered anew."""
        return replace(
            self,
            tree=take_rows(self.tree, rows),
            pack_of=array("I", map(self.pack_of.__getitem__, rows)),
            row_of=array("I", map(self.row_of.__getitem__, rows)),
        )


def merge(packs: Sequence[Pack], *, base_count: int) -> Merged:
    """Lay `packs` over each other, the lowest first.

    ImageError when they do not fit together: unequal block sizes or compressors, a hard link to what no layer has.
    """
    if not packs:
        raise ValueError("an image is made of at least one pack")
    first = packs[0]
    for pack in packs:
        if (pack.block_size, pack.compressor) != (first.block_size, first.compressor):
            raise ImageError("the packs of an image must be made with one compressor and one block size")
    rows = lay_over(packs)
    return Merged(
        packs=tuple(packs),
        base_count=base_count,
        tree=_gather(packs, rows),
        pack_of=rows.packs,
        row_of=rows.rows,
    )


def _gather(packs: Sequence[Pack], rows: Rows) -> Tree:
    """The columns of the merged rows."""
    if len(packs) == 1 and len(rows.paths) == len(packs[0].tree) and max(packs[0].flags) <= IMPLIED:
        return packs[0].tree
    bases = [0]
    for pack in packs:
        bases.append(bases[-1] + len(pack.tree))
    trees = [pack.tree for pack in packs]
    ids = array("Q", map(int.__add__, map(bases.__getitem__, rows.packs), rows.rows))

    def column(columns: Sequence[array[int]]) -> array[int]:
        whole = columns[0] if len(columns) == 1 else array(columns[0].typecode, chain.from_iterable(columns))
        return array(whole.typecode, map(whole.__getitem__, ids))

    sets, set_numbers = _common_sets(trees)
    links: dict[int, bytes] = {}
    for base, tree in zip(bases, trees, strict=False):
        for row, target in tree.links.items():
            links[base + row] = target
    modes = column([tree.modes for tree in trees])
    return Tree(
        paths=rows.paths,
        modes=modes,
        uids=column([tree.uids for tree in trees]),
        gids=column([tree.gids for tree in trees]),
        mtimes=column([tree.mtimes for tree in trees]),
        rdevs=column([tree.rdevs for tree in trees]),
        sizes=column([tree.sizes for tree in trees]),
        groups=_groups(trees, rows, ids, modes),
        xattrs=column(set_numbers),
        xattr_sets=sets,
        links={row: links[number] for row, number in enumerate(ids) if number in links} if links else {},
        digests=_digests(trees, rows),
    )


def _digests(trees: Sequence[Tree], rows: Rows) -> bytes:
    """The digests of all rows; most lie behind each other in one pack, so they are copied in runs."""
    found = bytearray()
    number = start = end = -1
    for pack, row in zip(rows.packs, rows.rows, strict=True):
        if pack == number and row == end:
            end += 1
            continue
        if number >= 0:
            found += trees[number].digests[start * 32 : end * 32]
        number, start, end = pack, row, row + 1
    if number >= 0:
        found += trees[number].digests[start * 32 : end * 32]
    return bytes(found)


def _groups(trees: Sequence[Tree], rows: Rows, ids: array[int], modes: array[int]) -> array[int]:
    """Hard-link groups: rows of one inode of one pack, and rows that show one row of a pack."""
    shift = 1
    shifts = []
    for tree in trees:
        shifts.append(shift)
        shift += max(tree.groups, default=0)
    groups = array("Q", bytes(8 * len(ids)))
    for at, (pack, row) in enumerate(zip(rows.packs, rows.rows, strict=True)):
        group = trees[pack].groups[row]
        if group:
            groups[at] = shifts[pack] + group
    if rows.moved:
        first: dict[int, int] = {}
        for at, number in enumerate(ids):
            other = first.setdefault(number, at)
            if other != at and not groups[at] and not stat.S_ISDIR(modes[at]):
                groups[at] = groups[other] = shift + 1 + number
    return number_groups(groups)


def _common_sets(trees: Sequence[Tree]) -> tuple[tuple[Xattrs, ...], list[array[int]]]:
    """All xattr sets under one numbering, overlay's own marks left out."""
    common: dict[Xattrs, int] = {(): 0}
    columns = []
    for tree in trees:
        numbers = [
            common.setdefault(tuple(pair for pair in pairs if not pair[0].startswith(PRIVATE_XATTRS)), len(common))
            for pairs in tree.xattr_sets
        ]
        columns.append(array("I", map(numbers.__getitem__, tree.xattrs)) if any(numbers) else _zeros(len(tree)))
    return tuple(common), columns


def _zeros(count: int) -> array[int]:
    return array("I", bytes(4 * count))


def take_rows(tree: Tree, rows: Sequence[int]) -> Tree:
    """The tree of some rows, ascending; a hard-link group that shrinks to one name is none."""
    place = {row: number for number, row in enumerate(rows) if row in tree.links}
    return replace(
        tree,
        paths=[tree.paths[row] for row in rows],
        modes=array("I", map(tree.modes.__getitem__, rows)),
        uids=array("I", map(tree.uids.__getitem__, rows)),
        gids=array("I", map(tree.gids.__getitem__, rows)),
        mtimes=array("Q", map(tree.mtimes.__getitem__, rows)),
        rdevs=array("Q", map(tree.rdevs.__getitem__, rows)),
        sizes=array("Q", map(tree.sizes.__getitem__, rows)),
        groups=number_groups(array("I", map(tree.groups.__getitem__, rows))),
        xattrs=array("I", map(tree.xattrs.__getitem__, rows)),
        links={number: tree.links[row] for row, number in place.items()},
        digests=b"".join(map(tree.digest, rows)),
    )
