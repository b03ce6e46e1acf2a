"""`docker://`: an image from a registry, whose layers can be read while they arrive."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import BinaryIO

from sealift.bases.image import BaseImage, Layer
from sealift.core.digest import Digest
from sealift.core.event import Advanced, Began, Ended, Events, ignore
from sealift.core.reference import Reference
from sealift.oci.manifest import Descriptor, Platform
from sealift.registry.client import Registry
from sealift.registry.download import download_blob
from sealift.store import Arrival, Store
from sealift.system.web import Response, Web

AT_ONCE = 4
"""Layers that are fetched at once: more gains little, and registries count connections."""


@contextlib.contextmanager
def open_registry_image(
    reference: Reference,
    platform: Platform,
    *,
    registry: Registry,
    store: Store,
    cancelled: threading.Event | None = None,
    elsewhere: Web | None = None,
    events: Events = ignore,
    at_once: int = AT_ONCE,
) -> Iterator[BaseImage]:
    """Resolve the image; its layers are fetched into the store when they are opened or asked for.

    The end of the block ends every download; what arrived is kept for the next time. `cancelled` is set then: hand in
    the one that the registry's waiting looks at.
    """
    resolved = registry.resolve(reference, platform, known=store.read_blob)
    for digest, data in resolved.documents.items():
        store.put_blob(data, digest)
    downloads = Downloads(
        reference.pinned(resolved.digest),
        registry=registry,
        store=store,
        cancelled=cancelled or threading.Event(),
        elsewhere=elsewhere,
        events=events,
        at_once=at_once,
    )
    descriptors = resolved.manifest.layers
    layers = tuple(
        Layer(
            digest=descriptor.digest,
            diff_id=diff_id,
            media_type=descriptor.media_type,
            size=descriptor.size,
            opener=downloads.opener(descriptor, f"layer {number}/{len(descriptors)} {descriptor.digest[7:19]}"),
        )
        for number, (descriptor, diff_id) in enumerate(zip(descriptors, resolved.config.diff_ids, strict=True), start=1)
    )
    with contextlib.closing(downloads):
        yield BaseImage(
            source=reference,
            origin=str(reference.pinned(resolved.digest)),
            digest=resolved.digest,
            index=resolved.index,
            config=resolved.config,
            layers=layers,
            manifest=resolved.documents[resolved.digest],
            starter=downloads.start,
        )


class Downloads:
    """Blobs on their way into the store: each digest once, however many layers have it.

    `opener` makes a blob known; `start` or `arrival` begin to bring it; `close` ends what has not ended.
    """

    def __init__(
        self,
        reference: Reference,
        *,
        registry: Registry,
        store: Store,
        cancelled: threading.Event,
        elsewhere: Web | None,
        events: Events,
        at_once: int,
    ) -> None:
        self._reference = reference
        self._registry = registry
        self._store = store
        self._cancelled = cancelled
        self._elsewhere = elsewhere
        self._events = events
        self._pool = ThreadPoolExecutor(max_workers=at_once, thread_name_prefix="sealift-fetch")
        self._guard = threading.Lock()
        self._arrivals: dict[Digest, Arrival] = {}
        self._jobs: list[Future[None]] = []
        self._responses: dict[Digest, Response] = {}
        self._descriptors: dict[Digest, tuple[Descriptor, str]] = {}

    def opener(self, descriptor: Descriptor, label: str) -> _Opener:
        self._descriptors.setdefault(descriptor.digest, (descriptor, label))
        return _Opener(self, descriptor.digest)

    def start(self, layers: Sequence[Layer]) -> None:
        for layer in layers:
            self.arrival(layer.digest)

    def arrival(self, digest: Digest) -> Arrival:
        with self._guard:
            arrival = self._arrivals.get(digest)
            if arrival is None or arrival.failed:
                descriptor, label = self._descriptors[digest]
                arrival = self._arrivals[digest] = Arrival(digest, descriptor.size)
                self._jobs.append(self._pool.submit(self._bring, arrival, descriptor, label))
            return arrival

    def close(self) -> None:
        self._cancelled.set()
        self._pool.shutdown(wait=False, cancel_futures=True)
        with self._guard:
            for response in self._responses.values():
                response.abort()
        self._pool.shutdown(wait=True)
        for arrival in self._arrivals.values():
            arrival.close()

    def _bring(self, arrival: Arrival, descriptor: Descriptor, label: str) -> None:
        task = f"fetch {descriptor.digest}"

        def opened(response: Response) -> None:
            with self._guard:
                self._responses[descriptor.digest] = response
            if self._cancelled.is_set():
                response.abort()

        try:
            with self._store.receive(arrival) as blob:
                if blob is None:
                    self._events(Began(task=task, label=label, total=descriptor.size))
                    self._events(Ended(task=task, note="cached"))
                    return
                self._events(Began(task=task, label=label, total=descriptor.size))
                if blob.arrived:
                    self._events(Advanced(task=task, amount=blob.arrived))
                download_blob(
                    self._registry,
                    self._reference,
                    descriptor,
                    blob,
                    advanced=lambda amount: self._events(Advanced(task=task, amount=amount)),
                    opened=opened,
                    elsewhere=self._elsewhere,
                )
                self._events(Ended(task=task))
        except Exception:  # noqa: BLE001 -- `receive` has told the readers, where it is raised again
            self._events(Ended(task=task, note="failed"))
        finally:
            with self._guard:
                self._responses.pop(descriptor.digest, None)


class _Opener:
    """What `Layer.open` calls."""

    def __init__(self, downloads: Downloads, digest: Digest) -> None:
        self._downloads = downloads
        self._digest = digest

    def __call__(self) -> BinaryIO:
        return self._downloads.arrival(self._digest).reader()
