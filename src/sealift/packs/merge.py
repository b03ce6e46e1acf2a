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

    def is_base(self, row: int) -> bool:
        return self.pack_of[row] < self.base_count

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
    bases = [0]
    for pack in packs:
        bases.append(bases[-1] + len(pack.tree))
    trees = [pack.tree for pack in packs]
    ids = array("Q", map(int.__add__, map(bases.__getitem__, rows.packs), rows.rows))

    def column(code: str, columns: Sequence[array[int]]) -> array[int]:
        whole = columns[0] if len(columns) == 1 else array(code, chain.from_iterable(columns))
        return array(code, map(whole.__getitem__, ids))

    sets, set_numbers = _common_sets(trees)
    links: dict[int, bytes] = {}
    for base, tree in zip(bases, trees, strict=False):
        for row, target in tree.links.items():
            links[base + row] = target
    digests = b"".join([tree.digests for tree in trees])
    modes = column("I", [tree.modes for tree in trees])
    inodes = array("Q", map(_inodes(trees).__getitem__, ids))
    if rows.moved:
        for row, mode in enumerate(modes):
            if stat.S_ISDIR(mode):
                inodes[row] = bases[-1] + row
    return Tree(
        paths=rows.paths,
        modes=modes,
        uids=column("I", [tree.uids for tree in trees]),
        gids=column("I", [tree.gids for tree in trees]),
        mtimes=column("Q", [tree.mtimes for tree in trees]),
        rdevs=column("Q", [tree.rdevs for tree in trees]),
        sizes=column("Q", [tree.sizes for tree in trees]),
        groups=number_groups(inodes, skip=set()),
        xattrs=column("I", set_numbers),
        xattr_sets=sets,
        links={row: links[number] for row, number in enumerate(ids) if number in links} if links else {},
        digests=b"".join([digests[number * 32 : number * 32 + 32] for number in ids]),
    )


def _inodes(trees: Sequence[Tree]) -> array[int]:
    """A number for each row of all trees, the same for rows of one pack that are one inode."""
    found = array("Q")
    for tree in trees:
        base = len(found)
        found.extend(range(base, base + len(tree)))
        first: dict[int, int] = {}
        for row, group in enumerate(tree.groups):
            if group:
                found[base + row] = base + first.setdefault(group, row)
    return found


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
    groups = array("Q", (tree.groups[row] or -row % (1 << 40) + (1 << 33) for row in rows))
    return replace(
        tree,
        paths=[tree.paths[row] for row in rows],
        modes=array("I", map(tree.modes.__getitem__, rows)),
        uids=array("I", map(tree.uids.__getitem__, rows)),
        gids=array("I", map(tree.gids.__getitem__, rows)),
        mtimes=array("Q", map(tree.mtimes.__getitem__, rows)),
        rdevs=array("Q", map(tree.rdevs.__getitem__, rows)),
        sizes=array("Q", map(tree.sizes.__getitem__, rows)),
        groups=number_groups(groups, skip=set()),
        xattrs=array("I", map(tree.xattrs.__getitem__, rows)),
        links={number: tree.links[row] for row, number in place.items()},
        digests=b"".join([tree.digest(row) for row in rows]),
    )
