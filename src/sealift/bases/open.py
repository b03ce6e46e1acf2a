"""Open any OCI or Docker image by its source; and the registry client as this environment asks for it."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from sealift import __version__
from sealift.bases.docker import open_registry_image
from sealift.bases.dockerarchive import open_docker_archive
from sealift.bases.dockerdaemon import open_daemon_image
from sealift.bases.image import BaseImage
from sealift.bases.layout import open_layout, open_layout_archive
from sealift.core.event import Events, Said, ignore
from sealift.core.reference import (
    DockerArchiveSource,
    DockerDaemonSource,
    LayoutArchiveSource,
    LayoutSource,
    OciSource,
    Reference,
)
from sealift.oci.manifest import Platform
from sealift.registry import Access, Pacing, Patience, Registry, load_credentials, load_registries_conf
from sealift.store import Store
from sealift.system.web import HttpWeb, Web


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """How registries are reached. `insecure`: plain HTTP and any certificate will do (`--no-https`)."""

    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    insecure: bool = False
    patience: Patience = field(default_factory=Patience)
    web: Web | None = None


@contextlib.contextmanager
def open_image(
    source: OciSource,
    platform: Platform,
    *,
    store: Store,
    network: Network,
    events: Events = ignore,
) -> Iterator[BaseImage]:
    """The image as a value, usable within the block: its end gives back connections and files."""
    spool = store.parts_folder
    match source:
        case Reference():
            with _open_reference(source, platform, store, network, events) as image:
                yield image
        case LayoutSource():
            with open_layout(source, platform) as image:
                yield image
        case LayoutArchiveSource():
            with open_layout_archive(source, platform, spool=spool) as image:
                yield image
        case DockerArchiveSource():
            with open_docker_archive(source, platform, spool=spool) as image:
                yield image
        case DockerDaemonSource():
            with open_daemon_image(source, platform, store=store, env=network.env, events=events) as image:
                yield image


@contextlib.contextmanager
def _open_reference(
    reference: Reference, platform: Platform, store: Store, network: Network, events: Events
) -> Iterator[BaseImage]:
    cancelled = threading.Event()
    with (
        opened_registry(network, cancelled, events) as (registry, web),
        open_registry_image(
            reference,
            platform,
            registry=registry,
            store=store,
            cancelled=cancelled,
            elsewhere=web,
            events=events,
        ) as image,
    ):
        yield image


@contextlib.contextmanager
def opened_registry(network: Network, cancelled: threading.Event, events: Events) -> Iterator[tuple[Registry, Web]]:
    """A client of registries as `network` asks for it; `cancelled` ends its waiting."""

    def sleep(seconds: float) -> None:
        cancelled.wait(seconds)

    def tell(text: str) -> None:
        events(Said(text=text, level="warning"))

    web = network.web or HttpWeb(network.env, user_agent=f"sealift/{__version__}")
    access = Access(
        web,
        load_credentials(network.env),
        patience=network.patience,
        pacing=Pacing(sleep=sleep, cancelled=cancelled.is_set, tell=tell),
    )
    try:
        yield Registry(access, load_registries_conf(network.env), insecure=network.insecure, events=events), web
    finally:
        if isinstance(web, HttpWeb):
            web.close()
