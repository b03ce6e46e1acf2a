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
from array import array
from bisect import bisect_right
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from itertools import accumulate
from typing import BinaryIO, Protocol

from sealift.errors import StoreError
from sealift.packs.blocks import compress_one
from sealift.packs.contents import Contents
from sealift.packs.index import HINTS
from sealift.packs.live import FragmentReader, above_files, fragment_use, live_files
from sealift.packs.merge import Merged
from sealift.packs.options import PackOptions
from sealift.packs.pack import DATA_START, Pack
from sealift.packs.tails import cut_before, tail_size
from sealift.squashfs.placement import NO_FRAGMENT, STORED, Fragments, Placement
from sealift.system.files import copy_range

_SIZE = STORED - 1
JOBS_AHEAD = 16
"""Fragments that are being made or wait to be written at once."""


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
    placement, end = image.placement(), image.position
    fragments = Fragments(starts=image.fragment_starts, sizes=image.fragment_sizes)
    del image  # its columns are not needed while the tables are made
    out.seek(base_offset + end)
    return write_tables(
        out,
        base=base_offset,
        data_end=end,
        tree=merged.tree,
        placement=placement,
        fragments=fragments,
        compression=options.compression,
        block_size=options.block_size,
        mtime=mtime,
    )


class _Image:
    """The data area as it grows; offsets are relative to the start of the squashfs.

    A file is known by its number: the packs' rows counted through. What is known of files is kept in columns by that
    number, as a million of them must not cost a million objects.
    """

    def __init__(
        self, merged: Merged, descriptor: int, options: PackOptions, pool: Executor, kept: FragmentCache | None
    ) -> None:
        self._merged = merged
        self._packs = merged.packs
        self._out = descriptor
        self._options = options
        self._block_size = options.block_size
        self._pool = pool
        self._kept = kept
        self._run: tuple[int, int, int] = (0, 0, 0)
        self.position = DATA_START
        self.fragment_starts = array("Q")
        self.fragment_sizes = array("I")
        self._bases = [0, *accumulate(len(pack.tree) for pack in merged.packs)]
        count = self._bases[-1]
        self._starts = array("Q", bytes(8 * count))
        self._tail_fragments = array("I", [NO_FRAGMENT]) * count
        self._tail_offsets = array("I", bytes(4 * count))
        self._twins: dict[int, int] = {}
        """Files whose bytes are those of another file."""
        self._large = Contents(self._digest)
        """Files of the base with full blocks, by content."""
        self._disk = [array("Q", accumulate((w & _SIZE for w in p.placement.blocks), initial=0)) for p in merged.packs]
        self._live = live_files(merged)

    # -- base ---------------------------------------------------------------------------------------------------

    def copy_base(self, number: int) -> None:
        pack = self._packs[number]
        base = self._bases[number]
        live = self._live[number]
        placement, sizes = pack.placement, pack.tree.sizes
        extents: dict[int, int] = {}
        large = []
        for row in live:
            if placement.fragments[row] != NO_FRAGMENT and sizes[row] == self._tail(pack, row):
                continue
            twin = self._large.setdefault(pack.tree.digest(row), base + row)
            if twin < base:
                self._twins[base + row] = twin
                continue
            large.append(row)
            length = self._block_bytes(number, row)
            if length:
                extents[placement.starts[row]] = length
        used, dirty = fragment_use(pack, live, self._block_size)
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
            if fragment not in dirty:
                self._copy_fragment(number, fragment)
                continue
            plain = pack.read_fragment(fragment)
            data = bytearray()
            for offset, size in dirty[fragment]:
                moved[fragment, offset] = len(data)
                data += plain[offset : offset + size]
            self._write_fragment(*compress_one(memoryview(data), self._options.compression))
        self._flush()
        for row in large:
            self._starts[base + row] = new_start.get(placement.starts[row], 0)
        for row in live:
            fragment = placement.fragments[row]
            if fragment != NO_FRAGMENT:
                offset = placement.offsets[row]
                self._tail_fragments[base + row] = new_fragment[fragment]
                self._tail_offsets[base + row] = moved.get((fragment, offset), offset) if moved else offset

    # -- above the base -----------------------------------------------------------------------------------------

    def copy_above(self) -> None:
        above = above_files(self._merged)
        if not above:
            return
        known = Contents(self._digest)
        for number in range(self._merged.base_count):
            tree, base = self._packs[number].tree, self._bases[number]
            for row in self._live[number]:
                known.setdefault(tree.digest(row), self._twins.get(base + row, base + row))
        tails = array("Q")
        for file in above:
            number, row = self._origin(file)
            pack = self._packs[number]
            twin = known.setdefault(pack.tree.digest(row), file)
            if twin != file:
                self._twins[file] = twin
                continue
            if self._tail_fragments[file] != NO_FRAGMENT or self._starts[file]:
                continue  # a further name of a file that was met before
            tail = self._tail(pack, row)
            if tail:
                # Known for now by any number but that of none.
                self._tail_fragments[file] = 0
                tails.append(file)
            if pack.tree.sizes[row] != tail:
                length = self._block_bytes(number, row)
                self._starts[file] = self.position
                if length:
                    self._copy(pack, pack.placement.starts[row], length)
        self._flush()
        self._gather_tails(tails)

    def _gather_tails(self, tails: array[int]) -> None:
        reader = FragmentReader(self._packs)
        pending: deque[Future[tuple[int, bytes]] | tuple[int, int]] = deque()

        def write_oldest() -> None:
            item = pending.popleft()
            if isinstance(item, tuple):
                self._copy_fragment(*item)
            else:
                self._write_fragment(*item.result())

        fragment = len(self.fragment_starts)
        for members in self._cut(tails):
            offset = 0
            for file in members:
                self._tail_fragments[file] = fragment
                self._tail_offsets[file] = offset
                number, row = self._origin(file)
                offset += self._tail(self._packs[number], row)
            fragment += 1
            same = self._same_fragment(members, offset)
            pending.append(same if same is not None else self._pool.submit(self._make_fragment, members, reader))
            while len(pending) > JOBS_AHEAD:
                write_oldest()
        while pending:
            write_oldest()
        self._flush()

    def _cut(self, tails: array[int]) -> Iterator[list[int]]:
        """The members of each fragment, by the rule of `tails`."""
        members: list[int] = []
        fill = 0
        for file in tails:
            number, row = self._origin(file)
            pack = self._packs[number]
            length = self._tail(pack, row)
            if members and cut_before(fill, length, pack.tree.digest(row), self._block_size):
                yield members
                members, fill = [], 0
            members.append(file)
            fill += length
        if members:
            yield members

    def _same_fragment(self, members: list[int], length: int) -> tuple[int, int] | None:
        """The pack and number of a fragment that holds exactly these members, in this order."""
        number, row = self._origin(members[0])
        pack, base = self._packs[number], self._bases[number]
        end = self._bases[number + 1]
        placement = pack.placement
        fragment = placement.fragments[row]
        if pack.fragment_plain[fragment] != length:
            return None
        offset = 0
        for file in members:
            row = file - base
            if not base <= file < end or placement.fragments[row] != fragment or placement.offsets[row] != offset:
                return None
            offset += self._tail(pack, row)
        return number, fragment

    def _make_fragment(self, members: list[int], reader: FragmentReader) -> tuple[int, bytes]:
        if self._kept is None:
            return self._compress_members(members, reader)
        hasher = hashlib.sha256(self._options.identity.encode())
        for file in members:
            number, row = self._origin(file)
            hasher.update(self._packs[number].tree.digest(row))
        key = hasher.hexdigest()
        known = self._kept.get(key)
        if known is not None:
            return int.from_bytes(known[:4], "little"), known[4:]
        word, packed = self._compress_members(members, reader)
        self._kept.put(key, word.to_bytes(4, "little") + packed)
        return word, packed

    def _compress_members(self, members: list[int], reader: FragmentReader) -> tuple[int, bytes]:
        data = bytearray()
        for file in members:
            number, row = self._origin(file)
            pack = self._packs[number]
            plain = reader.read(number, pack.placement.fragments[row])
            offset = pack.placement.offsets[row]
            data += plain[offset : offset + self._tail(pack, row)]
        return compress_one(memoryview(data), self._options.compression)

    # -- bytes --------------------------------------------------------------------------------------------------

    def _origin(self, file: int) -> tuple[int, int]:
        """The pack and the row of a file."""
        number = bisect_right(self._bases, file) - 1
        return number, file - self._bases[number]

    def _digest(self, file: int) -> bytes:
        number, row = self._origin(file)
        return self._packs[number].tree.digest(row)

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

    def _copy_fragment(self, number: int, fragment: int) -> None:
        pack = self._packs[number]
        word = pack.fragments.sizes[fragment]
        self.fragment_starts.append(self.position)
        self.fragment_sizes.append(word)
        self._copy(pack, pack.fragments.starts[fragment], word & _SIZE)

    def _write_fragment(self, word: int, packed: bytes) -> None:
        self.fragment_starts.append(self.position)
        self.fragment_sizes.append(word)
        self._write(packed)

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
        merged, tree = self._merged, self._merged.tree
        rows = len(tree)
        starts = array("Q", bytes(8 * rows))
        firsts = array("Q", bytes(8 * rows))
        fragments = array("I", [NO_FRAGMENT]) * rows
        offsets = array("I", bytes(4 * rows))
        blocks = array("I")
        words = []
        for pack in self._packs:
            words.append(len(blocks))
            blocks.extend(pack.placement.blocks)
        bases, twins = self._bases, self._twins
        for row, (mode, size, number, own) in enumerate(
            zip(tree.modes, tree.sizes, merged.pack_of, merged.row_of, strict=True)
        ):
            if not size or mode & 0o170000 != stat.S_IFREG:
                continue
            file = bases[number] + own
            here, there = number, own
            if file in twins:
                file = twins[file]
                here, there = self._origin(file)
            starts[row] = self._starts[file]
            firsts[row] = words[here] + self._packs[here].placement.firsts[there]
            fragments[row] = self._tail_fragments[file]
            offsets[row] = self._tail_offsets[file]
        return Placement(starts=starts, firsts=firsts, blocks=blocks, fragments=fragments, offsets=offsets)
