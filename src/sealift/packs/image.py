"""A merged tree → one squashfs: live bytes copied as they lie, dead ones left behind.

Order of the data area:
  - each base pack in turn: the full blocks of its live files and its fragments in the order in which the pack has
    them; a fragment with a dead member is made anew from its live ones. What a base gives depends on the base alone
    and on which of its files live.
  - above the base: the full blocks of live files in the order of their paths, then their tails, gathered into
    fragments in the same order. Equal files, also equal to one of the base, are stored once. So the bytes are those
    of the final tree, whatever the layers were that it came in.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from array import array
from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass, field
from itertools import accumulate
from typing import BinaryIO, Protocol

from sealift.errors import StoreError
from sealift.packs.blocks import compress_one
from sealift.packs.index import HINTS
from sealift.packs.merge import Merged
from sealift.packs.options import PackOptions
from sealift.packs.pack import DATA_START, Pack
from sealift.packs.tails import cut_before, tail_size
from sealift.squashfs.placement import NO_FRAGMENT, STORED, Fragments, Placement
from sealift.system.files import copy_range

_SIZE = STORED - 1
JOBS_AHEAD = 16
"""Fragments that are being made or wait to be written at once."""
CACHED_FRAGMENTS = 24
"""Plain fragments of packs kept while tails are gathered in the order of paths."""


class FragmentCache(Protocol):
    """Keeps fragments that were made anew, by a key of 64 hex digits; called from several threads at once."""

    def get(self, key: str) -> bytes | None: ...
    def put(self, key: str, data: bytes) -> None: ...


def write_image(
    merged: Merged,
    out: BinaryIO,
    *,
    base_offset: int,
    options: PackOptions,
    mtime: int,
    pool: Executor,
    kept: FragmentCache | None = None,
) -> int:
    """Write the squashfs of `merged` into `out` from byte `base_offset` on; the bytes it uses, without the padding.

    `out` is a regular file opened for reading and writing. `mtime` is the superblock's time. `kept` is asked for
    fragments before they are made anew. The same merged tree, base packs and options give the same bytes, whatever
    `kept` holds. StoreError when a pack turns out damaged.
    """
    from sealift.squashfs.writer import write_tables

    out.flush()
    os.lseek(out.fileno(), base_offset + DATA_START, os.SEEK_SET)
    image = _Image(merged, out.fileno(), options, pool, kept)
    try:
        for number in range(merged.base_count):
            image.copy_base(number)
        image.copy_above()
    except EOFError as error:
        raise StoreError("a pack is cut off", hints=HINTS) from error
    out.seek(base_offset + image.position)
    return write_tables(
        out,
        base=base_offset,
        data_end=image.position,
        tree=merged.tree,
        placement=image.placement(),
        fragments=Fragments(starts=image.fragment_starts, sizes=image.fragment_sizes),
        compression=options.compression,
        block_size=options.block_size,
        mtime=mtime,
    )


@dataclass(slots=True)
class _Where:
    """Where one file's bytes lie in the image, by the row of its pack."""

    starts: dict[int, int] = field(default_factory=dict)
    """New start by row, of files with full blocks."""
    tails: dict[int, tuple[int, int]] = field(default_factory=dict)
    """(fragment, offset) by row."""


class _Image:
    """The data area as it grows; offsets are relative to the start of the squashfs."""

    def __init__(
        self, merged: Merged, descriptor: int, options: PackOptions, pool: Executor, kept: FragmentCache | None
    ) -> None:
        self._kept = kept
        self._merged = merged
        self._out = descriptor
        self._options = options
        self._block_size = options.block_size
        self._pool = pool
        self.position = DATA_START
        self.fragment_starts = array("Q")
        self.fragment_sizes = array("I")
        count = len(merged.packs)
        self._where = [_Where() for _pack in range(count)]
        self._live = _live_files(merged)
        self._twins: dict[tuple[int, int], tuple[int, int]] = {}
        """Files whose bytes are those of another: (pack, row) by (pack, row)."""
        self._large: dict[bytes, tuple[int, int]] = {}
        """Files of the base with full blocks, by content."""
        self._run: tuple[int, int, int] = (0, 0, 0)
        self._disk = [list(accumulate((w & _SIZE for w in p.placement.blocks), initial=0)) for p in merged.packs]

    # -- base ---------------------------------------------------------------------------------------------------

    def copy_base(self, number: int) -> None:
        pack = self._merged.packs[number]
        live = self._live[number]
        where = self._where[number]
        placement, sizes = pack.placement, pack.tree.sizes
        extents: dict[int, int] = {}
        for row in live:
            if sizes[row] == self._tail(pack, row):
                continue
            twin = self._large.setdefault(pack.tree.digest(row), (number, row))
            if twin[0] != number:
                self._twins[number, row] = twin
                continue
            length = self._block_bytes(number, row)
            if length:
                extents[placement.starts[row]] = length
        dirty, used = _fragment_use(pack, live, self._block_size)
        pieces = [(start, length, -1) for start, length in extents.items()]
        pieces += [(pack.fragments.starts[f], pack.fragments.sizes[f] & _SIZE, f) for f in used]
        new_start: dict[int, int] = {}
        new_fragment: dict[int, int] = {}
        moved: dict[tuple[int, int], int] = {}
        for start, length, fragment in sorted(pieces):
            if fragment < 0:
                new_start[start] = self.position
                self._copy(pack, start, length)
                continue
            new_fragment[fragment] = len(self.fragment_starts)
            self.fragment_starts.append(self.position)
            if fragment not in dirty:
                self.fragment_sizes.append(pack.fragments.sizes[fragment])
                self._copy(pack, start, length)
                continue
            plain = pack.read_fragment(fragment)
            data = bytearray()
            for offset, size in dirty[fragment]:
                moved[fragment, offset] = len(data)
                data += plain[offset : offset + size]
            word, packed = compress_one(bytes(data), self._options.compression)
            self.fragment_sizes.append(word)
            self._write(packed)
        self._flush()
        for row in live:
            if sizes[row] - self._tail(pack, row):
                where.starts[row] = new_start.get(placement.starts[row], 0)
            fragment = placement.fragments[row]
            if fragment != NO_FRAGMENT:
                offset = placement.offsets[row]
                where.tails[row] = (new_fragment[fragment], moved.get((fragment, offset), offset))

    # -- above the base -----------------------------------------------------------------------------------------

    def copy_above(self) -> None:
        merged = self._merged
        above = _above_files(merged)
        if not above:
            return
        known: dict[bytes, tuple[int, int]] = {}
        for number in range(merged.base_count):
            tree = merged.packs[number].tree
            for row in self._live[number]:
                known.setdefault(tree.digest(row), self._twins.get((number, row), (number, row)))
        tails: list[tuple[int, int]] = []
        for origin in above:
            number, row = origin
            if origin in self._twins:
                continue
            pack = merged.packs[number]
            twin = known.setdefault(pack.tree.digest(row), origin)
            if twin != origin:
                self._twins[origin] = twin
                continue
            self._twins[origin] = origin
            tail = self._tail(pack, row)
            if pack.tree.sizes[row] != tail:
                length = self._block_bytes(number, row)
                self._where[number].starts[row] = self.position if length else 0
                if length:
                    self._copy(pack, pack.placement.starts[row], length)
            if tail:
                tails.append(origin)
        self._flush()
        self._gather_tails(tails)

    def _gather_tails(self, tails: list[tuple[int, int]]) -> None:
        reader = _FragmentReader(self._merged.packs)
        pending: deque[Future[tuple[int, bytes]] | tuple[int, int]] = deque()

        def write_oldest() -> None:
            item = pending.popleft()
            if isinstance(item, tuple):
                self._copy_fragment(*item)
                return
            word, packed = item.result()
            self._flush()
            self.fragment_starts.append(self.position)
            self.fragment_sizes.append(word)
            self._write(packed)

        number = len(self.fragment_starts)
        for members in self._cut(tails):
            offset = 0
            for pack, row in members:
                self._where[pack].tails[row] = (number, offset)
                offset += self._tail(self._merged.packs[pack], row)
            number += 1
            same = self._same_fragment(members, offset)
            if same is not None:
                pending.append(same)
            else:
                pending.append(self._pool.submit(self._make_fragment, members, reader))
            while len(pending) > JOBS_AHEAD:
                write_oldest()
        while pending:
            write_oldest()
        self._flush()

    def _cut(self, tails: list[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
        """The members of each fragment, by the rule of `tails`."""
        members: list[tuple[int, int]] = []
        fill = 0
        for origin in tails:
            pack = self._merged.packs[origin[0]]
            length = self._tail(pack, origin[1])
            if members and cut_before(fill, length, pack.tree.digest(origin[1]), self._block_size):
                yield members
                members, fill = [], 0
            members.append(origin)
            fill += length
        if members:
            yield members

    def _same_fragment(self, members: list[tuple[int, int]], length: int) -> tuple[int, int] | None:
        """The pack and number of a fragment that holds exactly these members, in this order."""
        number, row = members[0]
        placement = self._merged.packs[number].placement
        fragment = placement.fragments[row]
        if self._merged.packs[number].fragment_plain[fragment] != length:
            return None
        offset = 0
        for pack, member in members:
            if pack != number or placement.fragments[member] != fragment or placement.offsets[member] != offset:
                return None
            offset += self._tail(self._merged.packs[pack], member)
        return number, fragment

    def _copy_fragment(self, number: int, fragment: int) -> None:
        pack = self._merged.packs[number]
        word = pack.fragments.sizes[fragment]
        self.fragment_starts.append(self.position)
        self.fragment_sizes.append(word)
        self._copy(pack, pack.fragments.starts[fragment], word & _SIZE)

    def _make_fragment(self, members: list[tuple[int, int]], reader: _FragmentReader) -> tuple[int, bytes]:
        if self._kept is None:
            return self._compress_members(members, reader)
        digests = b"".join([self._merged.packs[number].tree.digest(row) for number, row in members])
        key = hashlib.sha256(self._options.identity.encode() + digests).hexdigest()
        known = self._kept.get(key)
        if known is not None:
            return int.from_bytes(known[:4], "little"), known[4:]
        word, packed = self._compress_members(members, reader)
        self._kept.put(key, word.to_bytes(4, "little") + packed)
        return word, packed

    def _compress_members(self, members: list[tuple[int, int]], reader: _FragmentReader) -> tuple[int, bytes]:
        data = bytearray()
        for number, row in members:
            pack = self._merged.packs[number]
            plain = reader.read(number, pack.placement.fragments[row])
            offset = pack.placement.offsets[row]
            data += plain[offset : offset + self._tail(pack, row)]
        return compress_one(bytes(data), self._options.compression)

    # -- bytes --------------------------------------------------------------------------------------------------

    def _tail(self, pack: Pack, row: int) -> int:
        if pack.placement.fragments[row] == NO_FRAGMENT:
            return 0
        return tail_size(pack.tree.sizes[row], self._block_size)

    def _block_bytes(self, number: int, row: int) -> int:
        """How many bytes the full blocks of a file take on disk."""
        pack = self._merged.packs[number]
        size = pack.tree.sizes[row] - self._tail(pack, row)
        first = pack.placement.firsts[row]
        disk = self._disk[number]
        return disk[first + -(-size // self._block_size)] - disk[first]

    def _copy(self, pack: Pack, start: int, length: int) -> None:
        """Append bytes of a pack, together with those before when they lie together there too."""
        descriptor, end, pending = self._run
        if pending and descriptor == pack.descriptor and end == start:
            self._run = (descriptor, end + length, pending + length)
        else:
            self._flush()
            self._run = (pack.descriptor, start + length, length)
        self.position += length

    def _flush(self) -> None:
        descriptor, end, pending = self._run
        if pending:
            copy_range(descriptor, end - pending, self._out, pending)
        self._run = (0, 0, 0)

    def _write(self, data: bytes) -> None:
        self._flush()
        self.position += len(data)
        view = memoryview(data)
        while view:
            view = view[os.write(self._out, view) :]

    # -- the result ---------------------------------------------------------------------------------------------

    def placement(self) -> Placement:
        merged = self._merged
        tree = merged.tree
        rows = len(tree)
        starts = array("Q", bytes(8 * rows))
        firsts = array("Q", bytes(8 * rows))
        fragments = array("I", [NO_FRAGMENT]) * rows
        offsets = array("I", bytes(4 * rows))
        blocks = array("I")
        bases = []
        for pack in merged.packs:
            bases.append(len(blocks))
            blocks.extend(pack.placement.blocks)
        twins = self._twins
        where = self._where
        regular = stat.S_IFREG
        modes, sizes, packs, pack_rows = tree.modes, tree.sizes, merged.pack_of, merged.row_of
        for row in range(rows):
            if not sizes[row] or modes[row] & 0o170000 != regular:
                continue
            number, own = packs[row], pack_rows[row]
            if twins and (number, own) in twins:
                number, own = twins[number, own]
            starts[row] = where[number].starts.get(own, 0)
            firsts[row] = bases[number] + merged.packs[number].placement.firsts[own]
            tail = where[number].tails.get(own)
            if tail:
                fragments[row], offsets[row] = tail
        return Placement(starts=starts, firsts=firsts, blocks=blocks, fragments=fragments, offsets=offsets)


class _FragmentReader:
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


def _live_files(merged: Merged) -> list[list[int]]:
    """For each pack, its rows with content that the image shows; a row for each name of it."""
    live: list[list[int]] = [[] for _pack in merged.packs]
    tree = merged.tree
    regular = stat.S_IFREG
    for mode, size, number, row in zip(tree.modes, tree.sizes, merged.pack_of, merged.row_of, strict=True):
        if size and mode & 0o170000 == regular:
            live[number].append(row)
    return live


def _above_files(merged: Merged) -> list[tuple[int, int]]:
    """Pack and row of each file with content above the base, in the order of paths."""
    tree = merged.tree
    regular = stat.S_IFREG
    base = merged.base_count
    return [
        (number, row)
        for mode, size, number, row in zip(tree.modes, tree.sizes, merged.pack_of, merged.row_of, strict=True)
        if number >= base and size and mode & 0o170000 == regular
    ]


def _fragment_use(pack: Pack, live: list[int], block_size: int) -> tuple[dict[int, list[tuple[int, int]]], list[int]]:
    """The fragments that hold dead bytes, each with its live members (offset, size); and all that hold live ones."""
    placement, sizes, plain = pack.placement, pack.tree.sizes, pack.fragment_plain
    members: dict[int, dict[int, int]] = {}
    for row in live:
        fragment = placement.fragments[row]
        if fragment != NO_FRAGMENT:
            members.setdefault(fragment, {})[placement.offsets[row]] = tail_size(sizes[row], block_size)
    dirty = {
        fragment: sorted(slots.items()) for fragment, slots in members.items() if sum(slots.values()) != plain[fragment]
    }
    return dirty, sorted(members)
