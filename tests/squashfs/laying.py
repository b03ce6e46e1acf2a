"""Lays file contents as blocks and fragments, so that the tables can be tested without the packer."""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import BinaryIO

from sealift.core.tree import Entry, Tree, TreeBuilder
from sealift.squashfs.compression import Compression, parse_compression
from sealift.squashfs.layout import SUPERBLOCK_SIZE
from sealift.squashfs.placement import NO_FRAGMENT, STORED, Fragments, Placement
from sealift.squashfs.writer import write_tables

ZSTD = parse_compression("zstd:3")
GZIP = parse_compression("gzip:6")


@dataclass(frozen=True, slots=True, kw_only=True)
class Laid:
    tree: Tree
    placement: Placement
    fragments: Fragments
    data_end: int


def build_tree(entries: Sequence[Entry], contents: Mapping[bytes, bytes]) -> Tree:
    """The tree of `entries`, whose files get their sizes and digests from `contents`; a file without any is empty."""
    builder = TreeBuilder()
    for entry in entries:
        if entry.is_file:
            content = contents.get(entry.path, b"")
            entry = replace(entry, size=len(content), digest=hashlib.sha256(content).digest())  # noqa: PLW2901
        builder.add(entry)
    return builder.finish()


def lay(
    out: BinaryIO, tree: Tree, contents: Mapping[bytes, bytes], *, compression: Compression, block_size: int, base: int
) -> Laid:
    """Write the blocks at `base` + 96 and say where they are; blocks of zeros become holes."""
    out.seek(base + SUPERBLOCK_SIZE)
    position = SUPERBLOCK_SIZE
    starts, firsts, blocks = array("Q"), array("Q"), array("I")
    fragments, offsets = array("I"), array("I")
    fragment_starts, fragment_sizes = array("Q"), array("I")
    pending = bytearray()

    def put(plain: bytes) -> int:
        nonlocal position
        packed = compression.compress(plain)
        word = len(packed)
        if len(packed) >= len(plain):
            packed, word = plain, len(plain) | STORED
        out.write(packed)
        position += len(packed)
        return word

    def flush() -> None:
        fragment_starts.append(position)
        fragment_sizes.append(put(bytes(pending)))
        pending.clear()

    for row, path in enumerate(tree.paths):
        content = contents.get(path, b"")[: tree.sizes[row]] if tree.entry(row).is_file else b""
        starts.append(position)
        firsts.append(len(blocks))
        whole = len(content) - len(content) % block_size
        for begin in range(0, whole, block_size):
            plain = content[begin : begin + block_size]
            blocks.append(put(plain) if plain.strip(b"\0") else 0)
        tail = content[whole:]
        if tail and not tail.strip(b"\0") and whole:
            blocks.append(0)
            tail = b""
        if not tail:
            fragments.append(NO_FRAGMENT)
            offsets.append(0)
            continue
        if len(pending) + len(tail) > block_size:
            flush()
        fragments.append(len(fragment_starts))
        offsets.append(len(pending))
        pending += tail
    if pending:
        flush()
    return Laid(
        tree=tree,
        placement=Placement(starts=starts, firsts=firsts, blocks=blocks, fragments=fragments, offsets=offsets),
        fragments=Fragments(starts=fragment_starts, sizes=fragment_sizes),
        data_end=position,
    )


def write_image(
    out: BinaryIO,
    entries: Sequence[Entry],
    contents: Mapping[bytes, bytes] | None = None,
    *,
    compression: Compression = ZSTD,
    block_size: int = 1 << 17,
    mtime: int = 0,
    base: int = 0,
) -> Tree:
    """Write a whole squashfs of `entries` and `contents` to `out`; return its tree."""
    contents = contents or {}
    laid = lay(out, build_tree(entries, contents), contents, compression=compression, block_size=block_size, base=base)
    write_tables(
        out,
        base=base,
        data_end=laid.data_end,
        tree=laid.tree,
        placement=laid.placement,
        fragments=laid.fragments,
        compression=compression,
        block_size=block_size,
        mtime=mtime,
    )
    out.flush()
    return laid.tree


def whole_entries(tree: Tree) -> dict[bytes, Entry]:
    """The tree's entries by path, with what rows of one hard-link group share taken from the first of them.

    Groups count from 1 in the order of their first path, a group of one row is none: as `full_listing` has them.
    """
    firsts: dict[int, Entry] = {}
    sizes: dict[int, int] = {}
    for group in tree.groups:
        sizes[group] = sizes.get(group, 0) + 1
    numbers: dict[int, int] = {}
    found: dict[bytes, Entry] = {}
    for entry in tree.entries():
        if entry.group == 0 or sizes[entry.group] == 1:
            found[entry.path] = replace(entry, group=0)
            continue
        number = numbers.setdefault(entry.group, len(numbers) + 1)
        found[entry.path] = replace(firsts.setdefault(entry.group, entry), path=entry.path, group=number)
    return found
