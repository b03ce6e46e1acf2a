"""SIFs that lie in a registry as they are (`oras://`): fetched into the store, used or written out byte for byte."""

from __future__ import annotations

import os

from sealift.bases.oras import FetchedSif, fetch_sif
from sealift.core.event import Said
from sealift.core.reference import OrasSource
from sealift.errors import ImageError, NotFoundError
from sealift.evidence.opening import OpenImage, open_image
from sealift.flows.requests import BuildResult
from sealift.flows.targets import Target
from sealift.flows.workshop import Workshop
from sealift.oci.platforms import platform_of
from sealift.system.files import atomic_file, copy_range, explain_oserror

IMAGE_MODE = 0o777
"""Less the umask, as SIFs are executable files."""


def fetched_sif(shop: Workshop, source: OrasSource) -> FetchedSif:
    """The SIF in the store, whole and verified; FetchError's kinds, or ImageError when it is none."""
    from sealift.bases.open import Network

    network = Network(env=shop.request.environment, insecure=shop.request.insecure)
    with shop.watch.measure("fetch"):
        return fetch_sif(source, platform_of(shop.architecture), store=shop.store, network=network, events=shop.events)


def write_fetched(shop: Workshop, source: OrasSource, target: Target) -> BuildResult:
    """Write the SIF to `target` byte for byte, as `apptainer pull oras://` does."""
    fetched = fetched_sif(shop, source)
    with open_image(fetched.path) as image:
        _check_kind(shop, source, image)
        size = os.stat(fetched.path).st_size
        entries = image.squashfs.superblock.inodes if image.squashfs is not None else 0
    place = target.place
    with shop.watch.measure("write"):
        try:
            with open(fetched.path, "rb") as stored, atomic_file(place, mode=IMAGE_MODE) as file:
                copy_range(stored.fileno(), 0, file.fileno(), size)
        except (OSError, EOFError) as error:
            cause = error if isinstance(error, OSError) else OSError(5, str(error))
            raise explain_oserror(cause, f"writing {target.text}") from error
    return BuildResult(
        image=target.text,
        form=target.kind,
        digest=fetched.digest,
        tree_digest="",
        size=size,
        entries=entries,
        unchanged=False,
        layers=(),
        seconds=dict(shop.watch.seconds),
        warnings=tuple(shop.warnings),
    )


def _check_kind(shop: Workshop, source: OrasSource, image: OpenImage) -> None:
    if image.sif is None:
        raise ImageError(f"`{source}` holds a {image.form} under the media type of a SIF")
    found = image.sif.architecture
    if found is None or found.oci == shop.architecture.oci:
        return
    if shop.request.architecture is not None:
        raise NotFoundError(
            f"`{source}` is an image for {found.oci}, not for {shop.architecture.oci}",
            hints=(f"--arch {found.oci}",),
        )
    shop.events(Said(text=f"{source} is an image for {found.oci}, which this host cannot run", level="warning"))
