"""A merged tree's difference from what lies below it → the tar stream of one layer, piece by piece."""

from __future__ import annotations

import stat
from collections.abc import Iterator

from sealift.core.tree import parent_of
from sealift.oci.tarheader import END, entry_header, padding, whiteout_header
from sealift.packs.difference import Difference
from sealift.packs.live import FragmentReader
from sealift.packs.merge import Merged
from sealift.squashfs.placement import NO_FRAGMENT


def layer_stream(merged: Merged, difference: Difference, *, mtime: int) -> Iterator[bytes]:
    """The archive: directories before what is in them, whiteouts right behind their directory's entry.

    A function of the tree and the difference alone; `mtime` is the whiteouts'. Memory: a few blocks of the packs.
    StoreError when a pack turns out damaged, ImageError for what no layer can hold.
    """
    tree = merged.tree
    reader = FragmentReader(merged.packs)
    removed: dict[bytes, list[bytes]] = {}
    for path in difference.gone:
        removed.setdefault(parent_of(path), []).append(path)
    firsts: dict[int, bytes] = {}
    for row in difference.rows:
        entry = tree.entry(row)
        first = firsts.setdefault(entry.group, entry.path) if entry.group else entry.path
        if first != entry.path:
            yield entry_header(entry, hard_link_to=first)
            continue
        yield entry_header(entry)
        if stat.S_ISREG(entry.mode):
            if entry.size:
                yield from _content(merged, row, reader)
            yield padding(entry.size)
        for path in removed.get(entry.path, ()):
            yield whiteout_header(path, mtime=mtime)
    yield END


def _content(merged: Merged, row: int, reader: FragmentReader) -> Iterator[bytes]:
    number, own = merged.pack_of[row], merged.row_of[row]
    pack = merged.packs[number]
    size, fragment = pack.tree.sizes[own], pack.placement.fragments[own]
    if fragment == NO_FRAGMENT or size >= pack.block_size:
        yield from pack.read(own)
        return
    # Small files lie many in a fragment, so it is not decompressed for each of them.
    offset = pack.placement.offsets[own]
    yield reader.read(number, fragment)[offset : offset + size]
