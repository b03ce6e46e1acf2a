"""What decides the bytes of a pack beside the layer itself: compressor, block size, and the packer's own version."""

from __future__ import annotations

from dataclasses import dataclass, field

from sealift.errors import UsageError
from sealift.squashfs.compression import Compression

PACKER_VERSION = 2
"""Raised with every change that gives other bytes for the same layer, so that no cache mixes the two."""

KIB = 1024
SMALLEST_BLOCK = 4 * KIB
LARGEST_BLOCK = 1024 * KIB
"""SquashFS 4.0 allows powers of two from 4 KiB to 1 MiB."""

DEFAULT_COMPRESSION = Compression(name="zstd", level=2)
DEFAULT_BLOCK_SIZE = 1024 * KIB
"""Chosen together by measurement (docs/benchmarks.md): the least time whose images are not larger than those that
`mksquashfs` makes by default (gzip, 128 KiB). Large blocks let a fast level see as much as a slow one sees in small.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class PackOptions:
    """Packing parameters; equal `identity` and equal layer bytes give an equal pack, byte for byte."""

    compression: Compression = field(default=DEFAULT_COMPRESSION)
    block_size: int = DEFAULT_BLOCK_SIZE

    def __post_init__(self) -> None:
        size = self.block_size
        if not SMALLEST_BLOCK <= size <= LARGEST_BLOCK or size & (size - 1):
            raise UsageError(
                f"a squashfs block of `{size}` bytes is not possible",
                hints=("use a power of two from 4K to 1M, for instance --block-size 512K",),
            )

    @property
    def identity(self) -> str:
        return f"pack:{PACKER_VERSION} {self.compression.identity} block:{self.block_size}"
