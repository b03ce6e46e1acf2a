"""The compressors that Sealift writes with, and the decompressors that it reads with.

What encodes decides the bytes of every image, so it comes from wheels of a pinned version and its identity goes into
the key of everything cached: libzstd bundled in `zstandard`, and libdeflate bundled in `deflate`, whose output does
not depend on the processor (zlib-ng's and ISA-L's does). What decodes may be whatever is fastest.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import Literal

from sealift.errors import ImageError, UsageError

CompressorName = Literal["zstd", "gzip"]
COMPRESSOR_IDS: dict[str, int] = {"gzip": 1, "lzma": 2, "lzo": 3, "xz": 4, "lz4": 5, "zstd": 6}
"""Linux fs/squashfs/squashfs_fs.h, `ZLIB_COMPRESSION` and following."""
_LEVELS = {"zstd": range(1, 23), "gzip": range(1, 13)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Compression:
    """A compressor and its level; `compress` is safe to call from several threads at once."""

    name: CompressorName
    level: int

    @property
    def identity(self) -> str:
        """The encoder with its exact version: equal identities give equal bytes."""
        if self.name == "zstd":
            import zstandard

            version = ".".join(map(str, zstandard.ZSTD_VERSION))
            return f"zstd:{self.level} libzstd-{version} zstandard-{zstandard.__version__}"
        import deflate

        return f"gzip:{self.level} deflate-{deflate.__version__}"

    def compress(self, data: bytes | memoryview) -> bytes:
        if self.name == "zstd":
            packed: bytes = _zstd_compressor(self.level).compress(data)
            return packed
        import deflate

        return bytes(deflate.zlib_compress(data, self.level))

    def __str__(self) -> str:
        return f"{self.name}:{self.level}"


def parse_compression(text: str) -> Compression:
    """Read `zstd:3`, `zstd`, `gzip:6` or `gzip`; UsageError for anything else."""
    match = re.fullmatch(r"(zstd|gzip)(?::(\d+))?", text)
    if match:
        name: CompressorName = "zstd" if match[1] == "zstd" else "gzip"
        level = int(match[2]) if match[2] else {"zstd": 3, "gzip": 6}[name]
        if level in _LEVELS[name]:
            return Compression(name=name, level=level)
    raise UsageError(
        f"`{text}` is not a compression", hints=("use zstd:1 … zstd:22 or gzip:1 … gzip:12, for instance zstd:3",)
    )


_local = threading.local()


def _zstd_compressor(level: int):  # type: ignore[no-untyped-def]  # noqa: ANN202 -- zstandard is imported late
    """One context a thread and level: a context is not safe to share, and costly to make."""
    contexts = _local.__dict__.setdefault("compressors", {})
    if level not in contexts:
        import zstandard

        contexts[level] = zstandard.ZstdCompressor(
            level=level, write_content_size=True, write_checksum=False, write_dict_id=False
        )
    return contexts[level]


def decompress(compressor_id: int, data: bytes | memoryview, limit: int) -> bytes:
    """Inflate one block; ImageError when it is damaged, larger than `limit` bytes, or of a kind not supported."""
    try:
        match compressor_id:
            case 6:
                return _unzstd(data, limit)
            case 1:
                return _inflate(data, limit)
            case 4:
                return _unxz(data, limit)
    except (ValueError, OSError, EOFError) as error:
        raise ImageError(f"a compressed block is damaged: {error}") from error
    name = next((n for n, i in COMPRESSOR_IDS.items() if i == compressor_id), str(compressor_id))
    raise ImageError(
        f"the image is compressed with {name}, which Sealift does not read",
        hints=("convert it with squashfs-tools: unsquashfs, then mksquashfs -comp zstd",),
    )


def _unzstd(data: bytes | memoryview, limit: int) -> bytes:
    import zstandard

    context = _local.__dict__.get("decompressor")
    if context is None:
        context = _local.decompressor = zstandard.ZstdDecompressor()
    try:
        # The frame's own size field is not trusted: a block never holds more than `limit`.
        if zstandard.frame_content_size(data) > limit:
            raise ValueError("a block is larger than the image's block size")
        plain: bytes = context.decompress(data, max_output_size=limit)
    except zstandard.ZstdError as error:
        raise ValueError(str(error)) from error
    if len(plain) > limit:
        raise ValueError("a block is larger than the image's block size")
    return plain


def _inflate(data: bytes | memoryview, limit: int) -> bytes:
    from isal import isal_zlib

    engine = isal_zlib.decompressobj()
    try:
        plain: bytes = engine.decompress(data, limit)
    except isal_zlib.error as error:  # type: ignore[misc]
        raise ValueError(str(error)) from error
    if not engine.eof:
        # `limit` bytes may have come out just before the end marker was seen.
        more = engine.decompress(engine.unconsumed_tail, 1)
        if more or not engine.eof:
            raise ValueError("a block is larger than the image's block size, or cut off")
    return plain


def _unxz(data: bytes | memoryview, limit: int) -> bytes:
    import lzma

    engine = lzma.LZMADecompressor(memlimit=256 << 20)
    try:
        plain = engine.decompress(bytes(data), limit)
    except lzma.LZMAError as error:
        raise ValueError(str(error)) from error
    if not engine.eof and (engine.needs_input or engine.decompress(b"", 1) or not engine.eof):
        raise ValueError("a block is larger than the image's block size, or cut off")
    return plain
