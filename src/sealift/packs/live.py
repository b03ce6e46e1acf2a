"""What of the packs an image shows: live files, and the fragments that hold them, with or without dead bytes."""

from __future__ import annotations

import stat
import threading
from array import array
from collections import OrderedDict
from collections.abc import Sequence
from itertools import accumulate

from sealift.packs.merge import Merged
from sealift.packs.pack import Pack
from sealift.packs.tails import tail_size
from sealift.squashfs.placement import NO_FRAGMENT

CACHED_FRAGMENTS = 24
"""Plain fragments of packs kept while tails are gathered in the order of paths."""


class FragmentReader:
    """Plain fragments of packs, the last few kept; safe for several threads."""

    def __init__(self, packs: Sequence[Pack]) -> None:
        self._packs = packs
        self._kept: OrderedDict[tuple[int, int], bytes] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, pack: int, fragment: int) -> bytes:
        key = pack, fragment
        with self._lock:
            kept = self._kept.get(key)
            if kept is not None:
                self._kept.move_to_end(key)
                return kept
        plain = self._packs[pack].read_fragment(fragment)
        with self._lock:
            self._kept[key] = plain
            if len(self._kept) > CACHED_FRAGMENTS:
                self._kept.popitem(last=False)
        return plain


def live_files(merged: Merged) -> list[array[int]]:
    """For each pack of the base, its rows with content that the image shows; a row for each name of it."""
    live = [array("I") for _pack in range(merged.base_count)]
    tree = merged.tree
    for mode, size, number, row in zip(tree.modes, tree.sizes, merged.pack_of, merged.row_of, strict=True):
        if number < merged.base_count and size and mode & 0o170000 == stat.S_IFREG:
            live[number].append(row)
    return live


def above_files(merged: Merged) -> array[int]:
    """The number of each file with content above the base, in the order of paths."""
    tree = merged.tree
    bases = [0, *accumulate(len(pack.tree) for pack in merged.packs)]
    return array(
        "Q",
        (
            bases[number] + row
            for mode, size, number, row in zip(tree.modes, tree.sizes, merged.pack_of, merged.row_of, strict=True)
            if number >= merged.base_count and size and mode & 0o170000 == stat.S_IFREG
        ),
    )


def fragment_use(pack: Pack, live: array[int], block_size: int) -> tuple[list[int], dict[int, list[tuple[int, int]]]]:
    """The fragments with live bytes; and those of them that hold dead ones, too, with their live members.

    A member is (offset, size).
    """
    placement, sizes = pack.placement, pack.tree.sizes
    alive = bytearray(len(pack.tree))
    used = set()
    for row in live:
        alive[row] = 1
        used.add(placement.fragments[row])
    used.discard(NO_FRAGMENT)
    suspect = {fragment for fragment, lives in zip(placement.fragments, alive, strict=True) if not lives}
    suspect.update(pack.torn)
    suspect &= used
    members: dict[int, dict[int, int]] = {fragment: {} for fragment in suspect}
    if suspect:
        for row in live:
            fragment = placement.fragments[row]
            if fragment in members:
                members[fragment][placement.offsets[row]] = tail_size(sizes[row], block_size)
    dirty = {
        fragment: sorted(slots.items())
        for fragment, slots in members.items()
        if sum(slots.values()) != pack.fragment_plain[fragment]
    }
    return sorted(used), dirty
