"""The base of a stage as packs: fetched, opened or made by its bootstrap agent, each layer packed once and kept."""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, BinaryIO, cast

from sealift.core.digest import Digest, hex_part
from sealift.core.event import Advanced, Began, Ended, Events
from sealift.core.reference import ImageSource, OciSource, OrasSource, Reference
from sealift.errors import ImageError
from sealift.evidence.inspection import notes_of
from sealift.evidence.opening import open_image
from sealift.flows.returning import came_back_whole, has_tree
from sealift.flows.workshop import Workshop, check_pack, verify_pack
from sealift.oci.config import ImageConfig
from sealift.oci.platforms import check_architecture, platform_of
from sealift.packs.squashlayer import pack_squashfs
from sealift.packs.tarlayer import pack_tar
from sealift.sif.layout import OCI_CONFIG, DataType
from sealift.store.hashing import digest_file

if TYPE_CHECKING:
    from sealift.bases.image import BaseImage

LAYERS_AT_ONCE = 2
"""Layers that are packed at once: each is read by threads of its own, and all share the compressing ones."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """Where an image starts. `packs` are files, the lowest first; `keys` name their content.

    `ours` says that we made the files ourselves, so that they are normalised like everything above a base;
    `own_above` says so of that many packs on top. `created` is in seconds since 1970, None where the base does not say.
    `layers` are the layers' digests where it has such, and `source` is where they can be had again. `complete` says
    that it is an image of ours that came back as it was: nothing needs to be added to it. `oci_config` is what a SIF
    keeps of the config of the image that it was made of; `noted` are the layers of that and `tree` its own tree's
    digest, where an image of ours says so.
    """

    packs: tuple[str, ...]
    keys: tuple[str, ...]
    origin: str
    ours: bool = False
    own_above: int = 0
    config: ImageConfig | None = None
    created: int | None = None
    layers: tuple[str, ...] = ()
    source: OciSource | None = None
    complete: bool = False
    oci_config: bytes = b""
    noted: tuple[str, ...] = ()
    tree: str = ""

    @property
    def config_to_add(self) -> ImageConfig | None:
        """The config that still has to become files of the image; that of an image of ours has."""
        return None if self.complete else self.config


def fetch_base(shop: Workshop, source: ImageSource) -> Base:
    """An OCI or Docker image, or a registry's SIF, as packs; a layer that is packed already is not fetched."""
    if isinstance(source, OrasSource):
        from sealift.flows.sifs import fetched_sif

        fetched = fetched_sif(shop, source)
        return open_local_image(shop, fetched.path, digest=fetched.digest, name=str(source), origin=fetched.origin)
    # The registry's client is the larger part of what a build imports, and many builds need none.
    from sealift.bases.open import Network
    from sealift.bases.open import open_image as open_oci_image

    network = Network(env=shop.request.environment, insecure=shop.request.insecure)
    platform = platform_of(shop.architecture)
    with (
        shop.watch.measure("fetch and pack"),
        open_oci_image(source, platform, store=shop.store, network=network, events=shop.events) as image,
    ):
        check_architecture(image.config.platform, platform, name=str(source))
        packs, keys = _pack_layers(shop, image)
        base = Base(
            packs=packs,
            keys=keys,
            origin=image.origin,
            config=image.config,
            created=image.created,
            layers=tuple(layer.digest for layer in image.layers),
            source=source.pinned(image.digest) if isinstance(source, Reference) and image.digest else source,
            complete=came_back_whole(shop, image.config, packs, keys),
        )
        if shop.request.flags.fix_perms:
            from sealift.flows.permissions import with_owner_rights

            base = with_owner_rights(shop, base)
        return base


def _pack_layers(shop: Workshop, image: BaseImage) -> tuple[tuple[str, ...], tuple[str, ...]]:
    keys = tuple(shop.key("layer", layer.digest) for layer in image.layers)
    found = [shop.store.find("packs", key, check=check_pack, whole=verify_pack) for key in keys]
    missing = [layer for layer, path in zip(image.layers, found, strict=True) if path is None]
    image.fetch(missing)

    def provide(number: int) -> str:
        path = found[number]
        return path if path is not None else _pack_layer(shop, image, number, keys[number])

    with ThreadPoolExecutor(max_workers=LAYERS_AT_ONCE, thread_name_prefix="sealift-layer") as workers:
        packs = tuple(workers.map(provide, range(len(keys))))
    if not packs:
        raise ImageError(f"`{image.origin}` has no layers", hints=("is it an image? see: skopeo inspect",))
    return packs, keys


def _pack_layer(shop: Workshop, image: BaseImage, number: int, key: str) -> str:
    layer = image.layers[number]
    task = f"pack {key}"
    what = f"layer {number + 1}/{len(image.layers)} {layer.digest[7:19]}"
    # A layer that comes over the network is packed while it comes, and its download has a bar of its own.
    local = not isinstance(image.source, Reference)

    def make(file: BinaryIO) -> None:
        def pack(stream: BinaryIO) -> None:
            file.seek(0)
            file.truncate()
            counted = _Counted(stream, shop.events, task) if local else stream
            pack_tar(cast("BinaryIO", counted), file, options=shop.options, pool=shop.pool)

        layer.read(pack)

    if not local:
        return shop.store.entry("packs", key, make, check=check_pack, whole=verify_pack, what=what)
    shop.events(Began(task=task, label=what, total=layer.size))
    note = "failed"
    try:
        path = shop.store.entry("packs", key, make, check=check_pack, whole=verify_pack, what=what)
        note = ""
        return path
    finally:
        shop.events(Ended(task=task, note=note))


class _Counted:
    """A stream that says how much of it was read."""

    def __init__(self, stream: BinaryIO, events: Events, task: str) -> None:
        self._stream = stream
        self._events = events
        self._task = task

    def read(self, amount: int = -1) -> bytes:
        data = self._stream.read(amount)
        self._events(Advanced(task=self._task, amount=len(data)))
        return data


def open_local_image(
    shop: Workshop, path: str, *, digest: Digest | None = None, name: str = "", origin: str = ""
) -> Base:
    """A SIF, a bare squashfs or a directory.

    `digest` is the file's where it is known; `name` and `origin` are what people and the image itself are told where
    the path says nothing to them.
    """
    with shop.watch.measure("read base"), open_image(path) as image:
        if image.squashfs is None:
            from sealift.flows.directoryin import open_directory

            return open_directory(shop, path)
        what = name or os.path.basename(path)
        known = digest or digest_file(path, "sha256")
        created = image.sif.header.created if image.sif is not None else image.squashfs.superblock.mtime
        architecture = image.sif.architecture if image.sif is not None else None
        if architecture is not None and architecture.oci != shop.architecture.oci:
            raise ImageError(
                f"`{name or path}` is an image for {architecture.oci}, not for {shop.architecture.oci}",
                hints=(f"--arch {architecture.oci}",),
            )
        reader = image.squashfs

        def make(file: BinaryIO) -> None:
            pack_squashfs(reader, file, options=shop.options, pool=shop.pool)

        key = shop.key("image", hex_part(known))
        pack = shop.store.entry("packs", key, make, check=check_pack, whole=verify_pack, what=what)
        base = Base(packs=(pack,), keys=(key,), origin=origin or f"localimage:{what}", created=max(0, created))
        if image.sif is None:
            return base
        found = image.sif.find(DataType.GENERIC_JSON, OCI_CONFIG)
        base = replace(base, oci_config=image.sif.data(found) if found else b"")
        return returned(shop, base, notes_of(image))


def returned(shop: Workshop, base: Base, notes: Mapping[str, object]) -> Base:
    """The base as an image of ours where it has the tree that we noted when we wrote it; it still comes from where it
    came from then.
    """
    tree = notes.get("tree_digest")
    if not isinstance(tree, str) or not has_tree(shop, base.packs, base.keys, tree):
        return base
    origin = str(notes.get("origin", base.origin))
    return replace(base, complete=True, origin=origin, noted=_noted_layers(notes), tree=tree)


def base_notes(base: Base | None) -> dict[str, object]:
    """What an image on one of ours notes of the layers below that: where an image has layers itself, those say it."""
    return {"base_layers": list(base.noted)} if base is not None and base.noted and not base.layers else {}


def _noted_layers(notes: Mapping[str, object]) -> tuple[str, ...]:
    """The digests of the layers below all that is ours."""
    older = notes.get("base_layers")
    if isinstance(older, list):
        return tuple(map(str, older))
    listed = notes.get("layers")
    found = [each.get("digest") for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []
    return tuple(itertools.takewhile(bool, map(str, (each or "" for each in found))))
