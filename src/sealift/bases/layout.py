"""`oci:DIR` and `oci-archive:FILE`: an image of an OCI layout, read where it lies."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from typing import BinaryIO, Protocol

from sealift.bases.archive import TarFolder, open_tar
from sealift.bases.image import BaseImage, Layer
from sealift.bases.verified import open_range
from sealift.core.digest import Digest
from sealift.core.reference import LayoutArchiveSource, LayoutSource
from sealift.errors import ImageError, NotFoundError
from sealift.oci import layout
from sealift.oci.config import SIZE_LIMIT as CONFIG_LIMIT
from sealift.oci.config import parse_config
from sealift.oci.manifest import SIZE_LIMIT, Descriptor, Index, Manifest, Platform, check_layers, parse_manifest
from sealift.oci.platforms import check_architecture, choose_manifest
from sealift.system.files import explain_oserror


class _Files(Protocol):
    """A folder, or a tar file that holds one."""

    shown: str

    def read(self, name: str, limit: int) -> bytes:
        """A small file whole; ImageError when it is missing."""

    def place(self, name: str) -> tuple[str, int, int]:
        """Path, offset and size of a file's bytes; ImageError when it is missing."""


class _Folder:
    def __init__(self, path: str) -> None:
        self.shown = path

    def read(self, name: str, limit: int) -> bytes:
        path, _, size = self.place(name)
        if size > limit:
            raise ImageError(f"`{path}` has {size} bytes: too many")
        with open(path, "rb") as file:
            return file.read(limit)

    def place(self, name: str) -> tuple[str, int, int]:
        path = os.path.join(self.shown, name)
        try:
            return path, 0, os.stat(path).st_size
        except FileNotFoundError:
            raise ImageError(f"`{self.shown}` has no `{name}`") from None
        except OSError as error:
            raise explain_oserror(error, f"reading {path}") from error


class _Tar:
    def __init__(self, tar: TarFolder) -> None:
        self.shown = tar.shown
        self._tar = tar

    def read(self, name: str, limit: int) -> bytes:
        return self._tar.read(name, limit)

    def place(self, name: str) -> tuple[str, int, int]:
        found = self._tar.find(name)
        if found is None:
            raise ImageError(f"`{self.shown}` has no `{name}`")
        return self._tar.path, found.offset, found.size


@contextlib.contextmanager
def open_layout(source: LayoutSource, platform: Platform) -> Iterator[BaseImage]:
    """An image of a layout in a folder."""
    if not os.path.isdir(source.path):
        raise NotFoundError(
            f"there is no folder `{source.path}`",
            hints=(
                f"if it is a tar file: oci-archive:{source.path}"
                if os.path.exists(source.path)
                else "a layout is a folder with an `index.json`; make one with: skopeo copy docker://… oci:FOLDER:TAG",
            ),
        )
    yield _image(_Folder(source.path), source, source.name, platform)


@contextlib.contextmanager
def open_layout_archive(source: LayoutArchiveSource, platform: Platform, *, spool: str) -> Iterator[BaseImage]:
    """An image of a layout in a tar file."""
    if os.path.isdir(source.path):
        raise NotFoundError(f"`{source.path}` is a folder", hints=(f"try oci:{source.path}",))
    with open_tar(source.path, spool=spool) as tar:
        yield _image(_Tar(tar), source, source.name, platform)


def _image(files: _Files, source: LayoutSource | LayoutArchiveSource, name: str, platform: Platform) -> BaseImage:
    where = f"{str(source).partition(':')[0]}:{source.path}"
    layout.check_version(files.read("oci-layout", SIZE_LIMIT))
    chosen = layout.choose_by_name(
        layout.parse_index(files.read("index.json", SIZE_LIMIT)), name, platform, where=where
    )
    data, found = _document(files, chosen)
    index: Digest | None = None
    for _ in range(4):
        if isinstance(found, Manifest):
            break
        index = index or chosen.digest
        chosen = choose_manifest(found, platform, name=str(source))
        data, found = _document(files, chosen)
    if isinstance(found, Index):
        raise ImageError(f"the indexes of `{source}` are nested too deeply")
    check_layers(found)
    config = parse_config(_blob(files, found.config, CONFIG_LIMIT))
    check_architecture(config.platform, platform, name=str(source))
    if len(config.diff_ids) != len(found.layers):
        raise ImageError(f"`{source}` has {len(found.layers)} layers, but its config speaks of {len(config.diff_ids)}")
    return BaseImage(
        source=source,
        origin=str(source),
        digest=chosen.digest,
        index=index,
        config=config,
        layers=tuple(
            Layer(
                digest=descriptor.digest,
                diff_id=diff_id,
                media_type=descriptor.media_type,
                size=descriptor.size,
                opener=_opener(files, descriptor),
            )
            for descriptor, diff_id in zip(found.layers, config.diff_ids, strict=True)
        ),
        manifest=data,
    )


def _document(files: _Files, descriptor: Descriptor) -> tuple[bytes, Manifest | Index]:
    data = _blob(files, descriptor, SIZE_LIMIT)
    return data, parse_manifest(data, descriptor.media_type)


def _blob(files: _Files, descriptor: Descriptor, limit: int) -> bytes:
    if descriptor.size > limit:
        raise ImageError(f"`{descriptor.digest}` in `{files.shown}` has {descriptor.size} bytes: too many")
    with _opener(files, descriptor)() as stream:
        return b"".join(iter(lambda: stream.read(1 << 20), b""))


def _opener(files: _Files, descriptor: Descriptor) -> Callable[[], BinaryIO]:
    def open_blob() -> BinaryIO:
        path, offset, size = files.place(layout.blob_path(descriptor.digest))
        what = f"blob `{descriptor.digest}` in `{files.shown}`"
        if size != descriptor.size:
            raise ImageError(f"{what} is damaged: it has {size} bytes, where its manifest says {descriptor.size}")
        return open_range(path, offset, size, descriptor.digest, what=what)

    return open_blob
