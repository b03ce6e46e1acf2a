"""A pack file opened: its entries, where their bytes lie, and the file to read them from."""

from __future__ import annotations

import contextlib
import os
import zlib
from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import BinaryIO, Self

from sealift.core.tree import Tree
from sealift.errors import StoreError
from sealift.packs.index import (
    FOOTER_SIZE,
    HINTS,
    OPAQUE,
    WHITEOUT,
    Footer,
    Index,
    LowerLink,
    decode_footer,
    decode_index,
    encode_footer,
    encode_index,
)
from sealift.packs.options import PackOptions
from sealift.squashfs.compression import COMPRESSOR_IDS, decompress
from sealift.squashfs.placement import STORED, Fragments, Placement

DATA_START = 96
"""Where the data area of a squashfs begins: behind the superblock, there being no compressor options."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pack:
    """One pack; close it, or use it as a context manager.

    `tree` is complete: parents that the layer does not list are there (flag IMPLIED), and a whiteout is a character
    device 0:0 (flag WHITEOUT), an opaque directory carries overlay's attributes (flag OPAQUE), so that the file can be
    mounted as a lower layer of an overlay as it is. `lower_links` are in no tree.
    """

    path: str
    descriptor: int
    tree: Tree
    flags: array[int]
    placement: Placement
    fragments: Fragments
    fragment_plain: array[int]
    torn: tuple[int, ...]
    """Fragments that hold bytes of no row."""
    lower_links: tuple[LowerLink, ...]
    footer: Footer

    @property
    def block_size(self) -> int:
        return self.footer.block_size

    @property
    def compressor(self) -> int:
        """The compressor's number in SquashFS."""
        return self.footer.compressor

    @property
    def whiteouts(self) -> tuple[bytes, ...]:
        return tuple(self.tree.paths[row] for row, flag in enumerate(self.flags) if flag & WHITEOUT)

    @property
    def opaques(self) -> tuple[bytes, ...]:
        return tuple(self.tree.paths[row] for row, flag in enumerate(self.flags) if flag & OPAQUE)

    def read_fragment(self, number: int) -> bytes:
        """One fragment's plain bytes."""
        word = self.fragments.sizes[number]
        return self.read_block(self.fragments.starts[number], word)

    def read(self, row: int) -> Iterator[bytes]:
        """The content of a regular file, block by block."""
        size = self.tree.sizes[row]
        if not size:
            return
        fragment = self.placement.fragments[row]
        held = fragment != 0xFFFFFFFF
        count = size // self.block_size if held else -(-size // self.block_size)
        position = self.placement.starts[row]
        first = self.placement.firsts[row]
        for number in range(count):
            word = self.placement.blocks[first + number]
            length = min(self.block_size, size - number * self.block_size)
            if not word:
                yield bytes(length)
                continue
            yield self.read_block(position, word)
            position += word & (STORED - 1)
        if held and size % self.block_size:
            offset = self.placement.offsets[row]
            yield self.read_fragment(fragment)[offset : offset + size % self.block_size]

    def verify(self) -> None:
        """Read the whole data area and compare its checksum; StoreError when it is damaged."""
        crc = 0
        for at in range(DATA_START, self.footer.data_end, 1 << 20):
            data = os.pread(self.descriptor, min(1 << 20, self.footer.data_end - at), at)
            crc = zlib.crc32(data, crc)
        if crc != self.footer.data_crc:
            raise StoreError(f"the pack `{self.path}` is damaged", hints=HINTS)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self.descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def read_block(self, start: int, word: int) -> bytes:
        data = os.pread(self.descriptor, word & (STORED - 1), start)
        if len(data) != word & (STORED - 1):
            raise StoreError(f"the pack `{self.path}` is cut off", hints=HINTS)
        return data if word & STORED else decompress(self.compressor, data, self.block_size)


def open_pack(path: str | os.PathLike[str]) -> Pack:
    """Open a pack file and check its index; StoreError when it is damaged, cut off or of another version."""
    name = os.fspath(path)
    try:
        descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise StoreError(f"the pack `{name}` cannot be opened: {error.strerror}") from error
    try:
        footer, index = _read_end(descriptor, name)
    except BaseException:
        os.close(descriptor)
        raise
    return Pack(
        path=name,
        descriptor=descriptor,
        tree=index.tree,
        flags=index.flags,
        placement=index.placement,
        fragments=index.fragments,
        fragment_plain=index.fragment_plain,
        torn=index.torn,
        lower_links=index.lower_links,
        footer=footer,
    )


def _read_end(descriptor: int, name: str) -> tuple[Footer, Index]:
    import zstandard

    size = os.fstat(descriptor).st_size
    footer = decode_footer(os.pread(descriptor, FOOTER_SIZE, max(0, size - FOOTER_SIZE)))
    if footer.index_offset + footer.index_length + FOOTER_SIZE != size:
        raise StoreError(f"the pack `{name}` is cut off", hints=HINTS)
    packed = os.pread(descriptor, footer.index_length, footer.index_offset)
    if zlib.crc32(packed) != footer.index_crc:
        raise StoreError(f"the index of the pack `{name}` is damaged", hints=HINTS)
    try:
        return footer, decode_index(zstandard.ZstdDecompressor().stream_reader(packed).read)
    except zstandard.ZstdError as error:
        raise StoreError(f"the index of the pack `{name}` is damaged", hints=HINTS) from error


def write_pack_end(target: BinaryIO, index: Index, *, options: PackOptions, data_end: int, data_crc: int) -> None:
    """Append the squashfs's tables, the index and the footer behind the data area in `target`."""
    import zstandard

    from sealift.squashfs.writer import write_tables

    end = write_tables(
        target,
        base=0,
        data_end=data_end,
        tree=index.tree,
        placement=index.placement,
        fragments=index.fragments,
        compression=options.compression,
        block_size=options.block_size,
        mtime=0,
    )
    offset = target.seek(0, os.SEEK_END)
    if offset < end:
        raise ValueError("write_tables says that it wrote more than there is")
    compressor = zstandard.ZstdCompressor(level=1).compressobj()
    crc = 0
    for piece in chain(encode_index(index), (None,)):
        packed = compressor.flush() if piece is None else compressor.compress(piece)
        crc = zlib.crc32(packed, crc)
        target.write(packed)
    target.write(
        encode_footer(
            Footer(
                index_offset=offset,
                index_length=target.tell() - offset,
                index_crc=crc,
                data_end=data_end,
                data_crc=data_crc,
                block_size=options.block_size,
                compressor=COMPRESSOR_IDS[options.compression.name],
            )
        )
    )
