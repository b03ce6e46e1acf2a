"""What every step of a build is given: the store, the workers, the packing options, the clock."""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import json
import os
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import TypeVar

from sealift.core.architecture import Architecture, find_architecture, known_architectures
from sealift.core.event import Event, Events, Said
from sealift.errors import ImageError, SealiftError, UsageError
from sealift.flows.requests import BuildRequest
from sealift.flows.targets import LAYERED
from sealift.packs.options import DEFAULT_BLOCK_SIZE, DEFAULT_COMPRESSION, PackOptions
from sealift.packs.pack import open_pack
from sealift.squashfs.compression import parse_compression
from sealift.store import Store, open_store, parse_size
from sealift.system.process import cpu_count, machine

Standing = TypeVar("Standing")


@dataclass(slots=True)
class Stopwatch:
    """Wall time by name, in the order in which the names first came."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextlib.contextmanager
    def measure(self, name: str) -> Iterator[None]:
        begin = time.monotonic()
        try:
            yield
        finally:
            self._add(name, begin)

    @contextlib.contextmanager
    def measure_ends(self, name: str, work: AbstractContextManager[Standing]) -> Iterator[Standing]:
        """Count what entering `work` and leaving it takes, and not what is done in between."""
        begin = time.monotonic()
        try:
            with work as value:
                self._add(name, begin)
                try:
                    yield value
                finally:
                    begin = time.monotonic()
        finally:
            self._add(name, begin)

    def _add(self, name: str, begin: float) -> None:
        self.seconds[name] = self.seconds.get(name, 0.0) + time.monotonic() - begin


@dataclass(frozen=True, slots=True, kw_only=True)
class Workshop:
    """The record of seams of one build. `pool` compresses; whoever submits to it does not run in it."""

    request: BuildRequest
    store: Store
    pool: ThreadPoolExecutor
    options: PackOptions
    architecture: Architecture
    watch: Stopwatch
    events: Events
    warnings: list[str]

    def say(self, text: str, *, hint: str = "") -> None:
        self.events(Said(text=text, hint=hint))

    def key(self, *parts: object) -> str:
        """A key for something made of `parts` by these packing options: 64 hex digits."""
        return digest_of(self.options.identity, *parts)


def digest_of(*parts: object) -> str:
    """SHA-256 over the canonical JSON of `parts`."""
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


@contextlib.contextmanager
def open_workshop(request: BuildRequest) -> Iterator[Workshop]:
    """Open the store and start the workers; UsageError where the request asks for what there is not."""
    warnings: list[str] = []

    def take(event: Event) -> None:
        if isinstance(event, Said) and event.level == "warning":
            warnings.append(event.text)
        request.events(event)

    compression = parse_compression(request.compression) if request.compression else DEFAULT_COMPRESSION
    options = PackOptions(
        # For an OCI image it says how its layers are compressed, and packs are but the way there.
        compression=DEFAULT_COMPRESSION if request.target.startswith(LAYERED) or not request.target else compression,
        block_size=parse_size(request.block_size) if request.block_size else DEFAULT_BLOCK_SIZE,
    )
    architecture = choose_architecture(request.architecture)
    with (
        open_store(request.environment, events=take) as store,
        ThreadPoolExecutor(max_workers=cpu_count(), thread_name_prefix="sealift-pack") as pool,
    ):
        yield Workshop(
            request=request,
            store=store,
            pool=pool,
            options=options,
            architecture=architecture,
            watch=Stopwatch(),
            events=take,
            warnings=warnings,
        )


def choose_architecture(name: str | None) -> Architecture:
    """The architecture that `--arch` names, or this host's."""
    found = find_architecture(name or machine())
    if found is None:
        raise UsageError(
            f"there is no architecture `{name or machine()}`",
            hints=(*_meant(name or ""), f"there are: {known_architectures()}"),
        )
    return found


def _meant(name: str) -> tuple[str, ...]:
    close = difflib.get_close_matches(name.lower(), known_architectures().split(", "), n=1)
    return (f"did you mean --arch {close[0]}",) if close else ()


def check_pack(path: str) -> None:
    """A quick look at a cached pack, as the store wants it: ImageError when its index is not whole."""
    try:
        open_pack(path).close()
    except SealiftError as error:
        raise ImageError(error.message) from error


def verify_pack(path: str) -> None:
    """Read all of a cached pack; ImageError when a byte of it is not what was written."""
    try:
        with open_pack(path) as pack:
            pack.verify()
    except SealiftError as error:
        raise ImageError(error.message) from error


def name_of(path: str) -> str:
    return os.path.basename(path)
