"""An OCI image into a registry: what it has already is not sent, what another repository of it has is taken over."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from io import BytesIO
from typing import Literal

from sealift.core.digest import Digest, sha256
from sealift.core.event import Advanced, Began, Ended, Events
from sealift.core.reference import Reference
from sealift.flows.workshop import Workshop
from sealift.oci.encode import Document
from sealift.oci.image import ImageLayer
from sealift.registry import Content, Repository

AT_ONCE = 3
"""Blobs that are sent at once: each may hold a piece in memory."""

How = Literal["sent", "mounted", "there"]
"""What became of a blob: sent, taken over from another repository, or there already."""
NOTES: dict[How, str] = {"sent": "", "mounted": "taken over from {place}", "there": "there already"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """A blob that is in the registry now."""

    digest: Digest
    size: int
    how: How

    def as_json(self) -> dict[str, object]:
        return {"digest": self.digest, "size": self.size, "how": self.how}


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


def send(
    shop: Workshop, target: Reference, blobs: tuple[Blob, ...], config: Document, manifest: Document
) -> tuple[Sent, ...]:
    """Bring an image or artifact to `target`, its manifest last; what became of each of the `blobs`.

    A reader sees what was there before, or all of it. What arrived before a failure is not sent again.
    """
    from sealift.bases.open import Network, opened_registry

    cancelled = threading.Event()
    network = Network(env=shop.request.environment, insecure=shop.request.insecure)
    with opened_registry(network, cancelled, shop.events) as (registry, _):
        repository = registry.repository(target)
        digest = sha256(manifest.data)
        if repository.digest_of(digest) == digest:
            done = tuple(_told(shop.events, blob, "there") for blob in blobs)
        else:
            small = Content(digest=sha256(config.data), size=len(config.data), opener=lambda: BytesIO(config.data))
            jobs = [_job(shop.events, repository, blob) for blob in blobs]
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


def _job(events: Events, repository: Repository, blob: Blob) -> Callable[[], Sent]:
    def bring() -> Sent:
        content = blob.content
        if repository.has_blob(content.digest):
            return _told(events, blob, "there")
        endpoint, place = repository.endpoint, blob.found_in
        near = place is not None and place.registry == endpoint.registry and place.repository != endpoint.repository
        events(Began(task=_task(blob), label=blob.label, total=content.size))
        note = "failed"
        try:
            mounted = repository.upload(
                content,
                found_in=place.repository if place is not None and near else "",
                advanced=lambda amount: events(Advanced(task=_task(blob), amount=amount)),
            )
            how: How = "mounted" if mounted else "sent"
            note = NOTES[how].format(place=place.repository if place is not None else "")
        finally:
            events(Ended(task=_task(blob), note=note))
        return Sent(digest=content.digest, size=content.size, how=how)

    return bring


def _told(events: Events, blob: Blob, how: How) -> Sent:
    events(Began(task=_task(blob), label=blob.label, total=blob.content.size))
    events(Ended(task=_task(blob), note=NOTES[how]))
    return Sent(digest=blob.content.digest, size=blob.content.size, how=how)


def _task(blob: Blob) -> str:
    return f"push {blob.content.digest}"
