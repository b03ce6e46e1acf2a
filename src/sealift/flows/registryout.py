"""An OCI image into a registry: what it has already is not sent, what another repository of it has is taken over."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from io import BytesIO

from sealift.core.digest import Digest, sha256
from sealift.core.event import Advanced, Began, Ended
from sealift.core.reference import Reference
from sealift.errors import SealiftError
from sealift.flows.requests import How, Sent
from sealift.flows.workshop import Workshop, digest_of
from sealift.oci.encode import Document
from sealift.oci.image import ImageLayer
from sealift.registry import Content, Repository

AT_ONCE = 3
"""Blobs that are sent at once: each may hold a piece in memory."""

PLACES = "places"
"""Records of the store: a registry and a blob to the repository to which we brought it last."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """A blob to bring to a registry, and what people call it."""

    label: str
    content: Content
    found_in: Reference | None = None


def layer_blobs(layers: tuple[ImageLayer, ...]) -> tuple[Blob, ...]:
    """The layers, each once: an image may have one twice."""
    blobs: dict[Digest, Blob] = {}
    for number, layer in enumerate(layers, start=1):
        digest, size = layer.descriptor.digest, layer.descriptor.size
        blobs.setdefault(
            digest,
            Blob(
                label=f"push layer {number}/{len(layers)} {digest[7:19]}",
                content=Content(digest=digest, size=size, opener=layer.open),
                found_in=layer.found_in,
            ),
        )
    return tuple(blobs.values())


def check_push(shop: Workshop, target: Reference) -> None:
    """FetchError's kinds where nobody, or not we, may push to `target`: asked before an image is made for it."""
    with _opened(shop, target, threading.Event()) as repository:
        repository.check_push()


@contextlib.contextmanager
def _opened(shop: Workshop, target: Reference, cancelled: threading.Event) -> Iterator[Repository]:
    from sealift.bases.open import Network, opened_registry

    network = Network(env=shop.request.environment, insecure=shop.request.insecure)
    with opened_registry(network, cancelled, shop.events) as (registry, _):
        yield registry.repository(target)


def send(
    shop: Workshop, target: Reference, blobs: tuple[Blob, ...], config: Document, manifest: Document
) -> tuple[Sent, ...]:
    """Bring an image or artifact to `target`, its manifest last; what became of each of the `blobs`.

    A reader sees what was there before, or all of it. What arrived before a failure is not sent again.
    """
    cancelled = threading.Event()
    with _opened(shop, target, cancelled) as repository:
        digest = sha256(manifest.data)
        if repository.digest_of(digest) == digest:
            done = tuple(Sent(digest=each.content.digest, size=each.content.size, how="there") for each in blobs)
        else:
            small = Content(digest=sha256(config.data), size=len(config.data), opener=lambda: BytesIO(config.data))
            jobs = [_job(shop, repository, blob) for blob in blobs]
            done = _together(jobs, cancelled)
            if not repository.has_blob(small.digest):
                repository.upload(small)
        if repository.digest_of(target.tag) != digest:
            repository.put_manifest(manifest.data, manifest.media_type, target.tag)
    return done


def _together(jobs: list[Callable[[], Sent]], cancelled: threading.Event) -> tuple[Sent, ...]:
    """The results in order; the first failure, or Ctrl-C, ends the others."""
    with ThreadPoolExecutor(max_workers=AT_ONCE, thread_name_prefix="sealift-push") as pool:
        futures = [pool.submit(job) for job in jobs]
        try:
            ended, _ = wait(futures, return_when=FIRST_EXCEPTION)
            failed = next((future for future in futures if future in ended and future.exception()), None)
            if failed is not None:
                failed.result()
            return tuple(future.result() for future in futures)
        except BaseException:
            cancelled.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _job(shop: Workshop, repository: Repository, blob: Blob) -> Callable[[], Sent]:
    events, content = shop.events, blob.content
    task = f"push {content.digest}"

    def bring() -> Sent:
        events(Began(task=task, label=blob.label, total=content.size))
        how: How = "there"
        note = "failed"
        try:
            if not repository.has_blob(content.digest):
                source = _neighbour(shop, repository, blob)
                mounted = repository.upload(
                    content,
                    found_in=source,
                    advanced=lambda amount: events(Advanced(task=task, amount=amount)),
                )
                how = "mounted" if mounted else "sent"
                note = f"taken over from {source}" if mounted else ""
            else:
                note = "there already"
            with contextlib.suppress(SealiftError):  # a full cache disk does not keep the image from its registry
                shop.store.put_record(PLACES, _key(repository, content.digest), {"repository": repository.name})
        finally:
            events(Ended(task=task, note=note))
        return Sent(digest=content.digest, size=content.size, how=how)

    return bring


def _neighbour(shop: Workshop, repository: Repository, blob: Blob) -> str:
    """Another repository of the registry that has the blob, as far as we know; `""` where we know of none."""
    place = blob.found_in
    if place is not None and place.registry == repository.registry:
        found = place.repository
    else:
        note = shop.store.record(PLACES, _key(repository, blob.content.digest)) or {}
        found = str(note.get("repository", ""))
    return "" if found == repository.name else found


def _key(repository: Repository, digest: Digest) -> str:
    return digest_of(repository.registry, digest)
