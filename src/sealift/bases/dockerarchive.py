"""`docker-archive:FILE`: what `docker save`, `podman save` and skopeo write (Docker image spec 1.2).

manifest.json    [{"Config": "HEX.json", "RepoTags": ["app:1"], "Layers": ["HEX/layer.tar", …]}, …]
repositories     {"app": {"1": "LAYER-ID"}}: all that archives from before 2016 have, refused here
HEX/layer.tar    a layer, seldom compressed; may be a symbolic link to another one's
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from sealift.bases.archive import TarFolder, open_tar
from sealift.bases.image import BaseImage, Layer
from sealift.bases.inflated import open_inflated
from sealift.core.digest import Digest, sha256
from sealift.core.reference import DockerArchiveSource, parse_reference
from sealift.errors import ImageError, NotFoundError, UsageError
from sealift.oci.config import SIZE_LIMIT as CONFIG_LIMIT
from sealift.oci.config import parse_config
from sealift.oci.jsonvalue import parse_list
from sealift.oci.manifest import SIZE_LIMIT, Platform
from sealift.oci.mediatypes import DOCKER_LAYER
from sealift.oci.platforms import check_architecture


@dataclass(frozen=True, slots=True, kw_only=True)
class _Item:
    config: str
    tags: tuple[str, ...]
    layers: tuple[str, ...]


@contextlib.contextmanager
def open_docker_archive(source: DockerArchiveSource, platform: Platform, *, spool: str) -> Iterator[BaseImage]:
    """An image of an archive. Its layers are given uncompressed, so that their digest is the `diff_id`."""
    with open_tar(source.path, spool=spool) as tar:
        yield image_of_archive(tar, source, platform)


def image_of_archive(tar: TarFolder, source: DockerArchiveSource, platform: Platform | None) -> BaseImage:
    """The image that `source` names in an archive that is open; with a platform, NotFoundError for another one's."""
    item = _choose(_items(tar, source), source)
    config_data = tar.read(item.config, CONFIG_LIMIT)
    config = parse_config(config_data)
    if platform is not None:
        check_architecture(config.platform, platform, name=str(source))
    if len(config.diff_ids) != len(item.layers):
        raise ImageError(f"`{source}` has {len(item.layers)} layers, but its config speaks of {len(config.diff_ids)}")
    return BaseImage(
        source=source,
        origin=f"{source} (image ID {sha256(config_data)})",
        digest=None,
        config=config,
        layers=tuple(_layer(tar, name, diff_id) for name, diff_id in zip(item.layers, config.diff_ids, strict=True)),
    )


def _items(tar: TarFolder, source: DockerArchiveSource) -> tuple[_Item, ...]:
    if tar.find("manifest.json") is None:
        if tar.find("index.json") is not None:
            raise ImageError(f"`{source.path}` is an OCI archive", hints=(f"try oci-archive:{source.path}",))
        if tar.find("repositories") is not None:
            raise ImageError(
                f"`{source.path}` was saved by a Docker from before 1.10, without a `manifest.json`",
                hints=("load and save it with a current Docker: docker load -i FILE; docker save NAME -o FILE",),
            )
        raise ImageError(
            f"`{source.path}` is a tar file, but no archive of `docker save`: it has no `manifest.json`",
            hints=("a root filesystem in a tar file is no image; `docker export` writes such ones, use `docker save`",),
        )
    listed = parse_list(tar.read("manifest.json", SIZE_LIMIT), f"`manifest.json` of `{source.path}`")
    return tuple(
        _Item(config=item.text("Config"), tags=item.texts("RepoTags"), layers=item.texts("Layers"))
        for item in listed.children("items")
    )


def _choose(items: tuple[_Item, ...], source: DockerArchiveSource) -> _Item:
    where = f"docker-archive:{source.path}"
    there = tuple(tag for item in items for tag in item.tags)
    hints = tuple(f"{where}:{tag}" for tag in there[:8])
    if source.name.startswith("@"):
        position = int(source.name[1:])
        if position < len(items):
            return items[position]
        raise NotFoundError(f"`{where}` has no image {source.name}; it holds {len(items)}", hints=hints)
    if source.name:
        wanted = str(parse_reference(source.name))
        for item in items:
            if wanted in map(_canonical, item.tags):
                return item
        raise NotFoundError(
            f"`{where}` has no image called `{source.name}`; there are: {', '.join(there) or 'none with a name'}",
            hints=hints,
        )
    if len(items) == 1:
        return items[0]
    if not items:
        raise NotFoundError(f"`{where}` holds no image")
    raise NotFoundError(
        f"`{where}` holds {len(items)} images, so one must be named; there are: {', '.join(there) or 'no names'}",
        hints=hints or tuple(f"{where}:@{i}" for i in range(min(len(items), 8))),
    )


def _canonical(tag: str) -> str:
    try:
        return str(parse_reference(tag))
    except UsageError:
        return tag


def _layer(tar: TarFolder, name: str, diff_id: Digest) -> Layer:
    found = tar.find(name)
    if found is None:
        raise ImageError(f"`{tar.shown}` lacks the layer `{name}`")
    what = f"layer `{name}` in `{tar.shown}`"

    def open_layer() -> BinaryIO:
        return open_inflated(tar.path, found.offset, found.size, diff_id, what=what)

    return Layer(digest=diff_id, diff_id=diff_id, media_type=DOCKER_LAYER, size=found.size, opener=open_layer)
