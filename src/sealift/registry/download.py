"""One blob from a registry into a sink: resumed where it was cut, verified, tried once more when it was wrong."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable
from typing import Protocol

from sealift.core.digest import Digest
from sealift.core.reference import Reference
from sealift.errors import FetchError, MismatchError, NotFoundError, UnreachableError
from sealift.oci.manifest import Descriptor
from sealift.oci.mediatypes import is_foreign
from sealift.registry.client import Registry
from sealift.registry.retry import Retries
from sealift.system.web import BrokenError, Request, Response, Web

PIECE = 1 << 20


class Sink(Protocol):
    """Where a blob's bytes go; `Blob` of the store is one."""

    digest: Digest
    size: int

    @property
    def arrived(self) -> int:
        """How many bytes from the front are there."""

    def write(self, data: bytes) -> None:
        """Append. Raises MismatchError beyond `size`."""

    def restart(self) -> None:
        """Forget all bytes."""

    def finish(self) -> None:
        """Verify and keep, or raise MismatchError."""


def download_blob(
    registry: Registry,
    reference: Reference,
    descriptor: Descriptor,
    sink: Sink,
    *,
    advanced: Callable[[int], None] = lambda _amount: None,
    opened: Callable[[Response], None] = lambda _response: None,
    elsewhere: Web | None = None,
) -> None:
    """Bring the blob into `sink`. Raises FetchError's kinds; what arrived stays in the sink unless it was wrong.

    `advanced(bytes)` is called as they come, with a negative number when they go; `opened` with each answer, so that
    another thread can close it. `elsewhere` fetches layers that lie outside of the registry (`urls` of a descriptor).
    """
    retries = registry.retries()
    for last in (False, True):
        try:
            _fill(registry, reference, descriptor, sink, retries, advanced, opened, elsewhere)
            sink.finish()
        except MismatchError as error:
            registry.distrust_mirrors(descriptor.digest)
            advanced(-sink.arrived)
            sink.restart()
            if last:
                raise
            retries.pause(error)
        else:
            return


def _fill(
    registry: Registry,
    reference: Reference,
    descriptor: Descriptor,
    sink: Sink,
    retries: Retries,
    advanced: Callable[[int], None],
    opened: Callable[[Response], None],
    elsewhere: Web | None,
) -> None:
    while sink.arrived < sink.size:
        before = sink.arrived
        try:
            response = _open(registry, reference, descriptor, before, retries, elsewhere)
            opened(response)
            with contextlib.closing(response):
                _take(response, sink, advanced, retries)
        except BrokenError as error:
            if sink.arrived > before:
                retries.progress()
            retries.pause(error)
            continue
        if sink.arrived < sink.size:
            # A clean end too early: some proxies cut long answers this way.
            if sink.arrived > before:
                retries.progress()
            retries.pause(
                UnreachableError(
                    f"blob `{sink.digest}` ends after {sink.arrived} of {sink.size} bytes",
                    hints=("the registry holds a damaged blob, or a proxy cuts long downloads",),
                )
            )


def _open(
    registry: Registry,
    reference: Reference,
    descriptor: Descriptor,
    offset: int,
    retries: Retries,
    elsewhere: Web | None,
) -> Response:
    try:
        return registry.open_blob(reference, descriptor, offset=offset, retries=retries)
    except NotFoundError as error:
        if not descriptor.urls or not is_foreign(descriptor.media_type) or elsewhere is None:
            raise
        return _open_foreign(elsewhere, descriptor, offset, error)


def _open_foreign(web: Web, descriptor: Descriptor, offset: int, cause: NotFoundError) -> Response:
    """A layer that its licence keeps out of registries lies at one of the descriptor's addresses."""
    for url in descriptor.urls:
        if not url.startswith("https://"):
            continue
        response = web.open(Request(url=url, headers={"Range": f"bytes={offset}-"} if offset else {}))
        if response.status in (200, 206):
            return response
        response.close()
    raise FetchError(
        f"layer `{descriptor.digest}` is not in the registry and not at the addresses that its manifest names"
    ) from cause


def _take(response: Response, sink: Sink, advanced: Callable[[int], None], retries: Retries) -> None:
    """Move one answer's bytes into the sink."""
    skip = _check_range(response, sink)
    while True:
        retries.check()
        piece = response.read(PIECE)
        if not piece:
            return
        if skip:
            # The server cannot do ranges, so what is there already comes again.
            dropped = min(skip, len(piece))
            skip -= dropped
            piece = piece[dropped:]
            if not piece:
                continue
        sink.write(piece)
        advanced(len(piece))


def _check_range(response: Response, sink: Sink) -> int:
    """How many bytes of the answer to drop; MismatchError when it cannot be of this blob."""
    length = response.headers.get("content-length", "")
    if response.status == 416:
        raise MismatchError(
            f"blob `{sink.digest}` is shorter at the registry than the {sink.size} bytes of its manifest"
        )
    if response.status == 206:
        match = re.fullmatch(r"bytes (\d+)-(\d+)/(\d+|\*)", response.headers.get("content-range", "").strip())
        if not match or int(match[1]) != sink.arrived:
            raise MismatchError(f"the registry answered with another part of blob `{sink.digest}` than was asked for")
        if match[3] not in ("*", str(sink.size)):
            raise MismatchError(f"blob `{sink.digest}` has {match[3]} bytes, where its manifest says {sink.size}")
        return 0
    if length.isdigit() and int(length) != sink.size:
        raise MismatchError(f"blob `{sink.digest}` has {length} bytes, where its manifest says {sink.size}")
    return sink.arrived
