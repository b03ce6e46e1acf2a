"""Layers for tests, written entry by entry, and packs made of them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sealift.core.tree import Entry, Tree
from sealift.packs.merge import Merged
from sealift.packs.options import PackOptions
from sealift.packs.pack import Pack, open_pack
from sealift.packs.tarlayer import pack_tar
from sealift.squashfs.compression import parse_compression

OPTIONS = PackOptions(compression=parse_compression("zstd:1"), block_size=4096)
TIME = 1_700_000_000
POOL = ThreadPoolExecutor(2)

Part = tuple[tarfile.TarInfo, bytes]


def entry(
    path: str | bytes,
    kind: bytes,
    data: bytes = b"",
    *,
    mode: int = 0o644,
    owner: tuple[int, int] = (0, 0),
    mtime: int = TIME,
    link: str = "",
    device: tuple[int, int] = (0, 0),
    xattrs: Mapping[str, bytes] | None = None,
) -> Part:
    name = path.decode("utf-8", "surrogateescape") if isinstance(path, bytes) else path
    info = tarfile.TarInfo(name)
    info.type, info.size, info.mode, info.mtime, info.linkname = kind, len(data), mode, mtime, link
    info.uid, info.gid = owner
    info.devmajor, info.devminor = device
    info.pax_headers = {
        f"SCHILY.xattr.{key}": value.decode("utf-8", "surrogateescape") for key, value in (xattrs or {}).items()
    }
    return info, data


def folder(path: str | bytes, *, mode: int = 0o755, **more: object) -> Part:
    return entry(path, tarfile.DIRTYPE, mode=mode, **more)  # type: ignore[arg-type]


def file(path: str | bytes, data: bytes = b"", **more: object) -> Part:
    return entry(path, tarfile.REGTYPE, data, **more)  # type: ignore[arg-type]


def symlink(path: str | bytes, target: str, **more: object) -> Part:
    return entry(path, tarfile.SYMTYPE, link=target, mode=0o777, **more)  # type: ignore[arg-type]


def hard_link(path: str | bytes, target: str, **more: object) -> Part:
    return entry(path, tarfile.LNKTYPE, link=target, **more)  # type: ignore[arg-type]


def device(path: str | bytes, kind: bytes, major: int, minor: int, **more: object) -> Part:
    return entry(path, kind, device=(major, minor), **more)  # type: ignore[arg-type]


def whiteout(path: str) -> Part:
    parent, slash, name = path.rpartition("/")
    return entry(f"{parent}{slash}.wh.{name}", tarfile.REGTYPE)


def opaque(path: str) -> Part:
    return entry(f"{path}/.wh..wh..opq" if path else ".wh..wh..opq", tarfile.REGTYPE)


def tar(parts: Iterable[Part], form: int = tarfile.PAX_FORMAT) -> bytes:
    """A plain tar stream of the parts, in their order."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form, encoding="utf-8", errors="surrogateescape") as archive:
        for info, data in parts:
            archive.addfile(info, io.BytesIO(data))
    return out.getvalue()


def pack(tmp_path: Path, stream: bytes, name: str = "", options: PackOptions = OPTIONS) -> Pack:
    """The pack of a layer's stream, opened."""
    path = tmp_path / (name or f"{len(list(tmp_path.iterdir()))}.pack")
    with path.open("w+b") as target:
        pack_tar(io.BytesIO(stream), target, options=options, pool=POOL)
    return open_pack(path)


def entries(tree: Tree) -> dict[bytes, Entry]:
    return {one.path: one for one in tree.entries()}


def contents(merged: Merged) -> dict[bytes, bytes]:
    """What each regular file holds, read from the packs."""
    tree = merged.tree
    return {
        path: b"".join(merged.packs[merged.pack_of[row]].read(merged.row_of[row]))
        for row, path in enumerate(tree.paths)
        if tree.entry(row).is_file
    }
