"""One repository of a registry, as one who pushes sees it (distribution specification 1.1, "Push").

blob       HEAD  blobs/DIGEST                      is it there?
           POST  blobs/uploads/?mount=DIGEST&from=REPOSITORY    201: taken over from there; 202: an upload begins
           POST  blobs/uploads/                    202, Location: an upload begins
           PUT   LOCATION&digest=DIGEST            a small blob, or the end of a large one
           PATCH LOCATION, Content-Range: N-M      the next piece of a large one
           GET   LOCATION                          204, Range: 0-N: how far it came, after a break
           DELETE LOCATION                         an upload is given up
manifest   PUT   manifests/TAG

Not every registry takes pieces: one that refuses them is sent the blob whole, in one request.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import BinaryIO
from urllib.parse import quote, urljoin

from sealift.core.digest import Digest, parse_digest, sha256
from sealift.errors import DeniedError, FetchError, ImageError, MismatchError, NotFoundError, UnreachableError
from sealift.oci.mediatypes import ACCEPT
from sealift.registry.access import Access, BusyError, RefusedError, printable
from sealift.registry.mirrors import Endpoint
from sealift.registry.retry import Retries
from sealift.system.web import Body, BrokenError, Response, split_address

PIECE = 16 << 20
"""Bytes of a large blob that are sent in one request, and held in memory for a second try, beside the next ones."""
SMALLER = {16 << 20: 1 << 20, 1 << 20: 256 << 10}
"""What is tried where a proxy takes no requests of that size; 1 MiB is the most that nginx takes by itself."""
LOST = 4
"""How often an upload begins anew in pieces, and as often once more whole."""
_SLICE = 128 << 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A blob to send: `opener` gives its bytes from the front, each time it is called."""

    digest: Digest
    size: int
    opener: Callable[[], BinaryIO] = field(repr=False, compare=False)


class Repository:
    """Where an image is pushed to. Safe for threads."""

    def __init__(self, access: Access, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.piece = PIECE
        self._access = access
        self._guard = threading.Lock()

    @property
    def registry(self) -> str:
        return self.endpoint.registry

    @property
    def name(self) -> str:
        return self.endpoint.repository

    def has_blob(self, digest: Digest) -> bool:
        with contextlib.closing(self._head(f"blobs/{digest}")) as response:
            return response.status == 200

    def digest_of(self, name: str) -> Digest | None:
        """The digest of the manifest that a tag or digest names here; None where there is none."""
        with contextlib.closing(self._head(f"manifests/{name}", {"Accept": ACCEPT})) as response:
            if response.status != 200:
                return None
            try:
                return parse_digest(response.headers.get("docker-content-digest", ""))
            except ValueError:
                return None

    def check_push(self) -> None:
        """Raise what the registry says to those who may not push here: an upload is begun, and given up at once.

        Giving up is no part of the specification: a registry that does not know it forgets the upload by itself.
        """
        retries = self.retries()
        with contextlib.closing(self.begin("blobs/uploads/", retries, (202,))) as answer:
            location = answer.headers.get("location", "")
        with contextlib.suppress(FetchError):
            split_address(location)
            self.once("DELETE", urljoin(answer.url, location), retries, accept=(200, 202, 204)).close()

    def begin(self, path: str, retries: Retries, accept: tuple[int, ...]) -> Response:
        """The answer to one who wants to send a blob."""
        while True:
            try:
                return self.once("POST", path, retries, accept=accept)
            except (BrokenError, BusyError) as error:
                pause(retries, error)

    def upload(
        self, content: Content, *, found_in: str = "", advanced: Callable[[int], None] = lambda _amount: None
    ) -> bool:
        """Send a blob; whether it could be taken over from the repository `found_in` of this registry instead.

        A lost connection is gone on with from where the registry says that the blob came. `advanced(bytes)` is called
        as they go, with a negative number for those that have to go again. Raises FetchError's kinds, and what opening
        and reading the content raises.
        """
        return _Sending(self, content, advanced).run(found_in)

    def put_manifest(self, data: bytes, media_type: str, name: str) -> None:
        """Put a manifest under a tag; MismatchError where the registry takes it for another one."""
        retries = self._access.retries()
        headers = {"Content-Type": media_type}
        while True:
            try:
                answer = self.once(
                    "PUT", f"manifests/{name}", retries, headers=headers, body=data, accept=(200, 201, 202)
                )
                break
            except (BrokenError, BusyError) as error:
                pause(retries, error)
        with contextlib.closing(answer):
            said = answer.headers.get("docker-content-digest", "")
        if said.startswith("sha256:") and said != sha256(data):
            raise MismatchError(
                f"`{self.registry}` keeps the image under another digest, `{printable(said[:80])}`, than "
                f"`{sha256(data)}`"
            )

    def once(
        self,
        method: str,
        place: str,
        retries: Retries,
        *,
        headers: Mapping[str, str] | None = None,
        body: Body = b"",
        accept: tuple[int, ...],
    ) -> Response:
        """One request, see `Access.once`."""
        return self._access.once(
            self.endpoint,
            place,
            what=f"`{self.endpoint}`",
            retries=retries,
            headers=headers,
            method=method,
            body=body,
            accept=accept,
        )

    def retries(self) -> Retries:
        return self._access.retries()

    def shrink(self, piece: int) -> bool:
        """Send smaller pieces than these from now on; False where they are as small as they get."""
        with self._guard:
            # Of several that were refused at once, one makes them smaller.
            if self.piece == piece and piece in SMALLER:
                self.piece = SMALLER[piece]
            return self.piece < piece

    def _head(self, path: str, headers: Mapping[str, str] | None = None) -> Response:
        what = f"`{self.endpoint}`"
        return self._access.get(self.endpoint, path, what=what, headers=headers, method="HEAD", accept=(200, 404))


def pause(retries: Retries, error: BrokenError | BusyError) -> None:
    """Wait before another try; raises what the error means where there is to be none."""
    if isinstance(error, BusyError):
        retries.pause(error.refusal, retry_after=error.retry_after)
    else:
        retries.pause(error)


class _LostError(Exception):
    """The registry forgot an upload that had begun, or took it for another."""


class _Sending:
    """One blob on its way. `told` is how many of its bytes progress was told of; a registry may want larger pieces
    than were wished.
    """

    def __init__(self, repository: Repository, content: Content, advanced: Callable[[int], None]) -> None:
        self._repository = repository
        self._content = content
        self._advanced = advanced
        self._retries = repository.retries()
        self._told = 0
        self._wished = self._piece = repository.piece

    def run(self, found_in: str) -> bool:
        location = self._begin(found_in)
        whole, lost = False, 0
        while location:
            try:
                self._send(location, whole=whole)
                break
            except _LostError as error:
                lost += 1
                # A registry that loses what it has taken may be one that takes no pieces.
                whole = lost >= LOST
                if lost >= 2 * LOST:
                    raise UnreachableError(
                        f"`{self._repository.registry}` lost the upload of `{self._content.digest}` {lost} times"
                    ) from error
            except (NotFoundError, RefusedError) as refusal:
                too_large = isinstance(refusal, RefusedError) and refusal.status == 413
                if too_large and self._repository.shrink(self._wished):
                    whole = False
                elif not too_large and not whole and self._content.size > self._piece:
                    whole = True
                else:
                    raise
            self._tell(0)
            location = self._begin("")
        return not location

    def _begin(self, found_in: str) -> str:
        """Where the blob is to be sent to; `""` where it was taken over from the other repository."""
        if found_in:
            mount = f"blobs/uploads/?mount={quote(self._content.digest)}&from={quote(found_in)}"
            try:
                return self._begun(mount, (201, 202))
            except (DeniedError, NotFoundError, RefusedError):
                pass  # we may not read there, or it does not do that at all
        return self._begun("blobs/uploads/", (202,))

    def _begun(self, path: str, accept: tuple[int, ...]) -> str:
        with contextlib.closing(self._repository.begin(path, self._retries, accept)) as answer:
            if answer.status == 201:
                return ""
            least = answer.headers.get("oci-chunk-min-length", "")
            self._wished = self._repository.piece
            self._piece = max(self._wished, int(least) if least.isdigit() else 0)
            return self._location(answer, "")

    def _location(self, answer: Response, known: str) -> str:
        location = answer.headers.get("location", "") or known
        if not location:
            raise FetchError(f"`{self._repository.registry}` does not say where a blob is to be sent to")
        split_address(location)
        return urljoin(answer.url, location)

    def _send(self, location: str, *, whole: bool) -> None:
        size = self._content.size
        if whole:
            self._finish(location, self._all, size)
            return
        # The next piece is read while this one is on its way.
        with self._content.opener() as stream, ThreadPoolExecutor(max_workers=1) as reader:
            piece = _read(stream, self._piece)
            if size <= self._piece:
                self._check(len(piece), stream)
                self._finish(location, self._body(piece, 0), size)
                return
            arrived = start = 0
            while piece:
                following = reader.submit(_read, stream, self._piece)
                while arrived < start + len(piece):
                    location, arrived = self._patch(location, memoryview(piece)[arrived - start :], arrived)
                    if arrived < start:
                        raise _LostError  # what the registry lacks we hold no more
                start += len(piece)
                piece = following.result()
            self._check(start, stream)
        self._finish(location, b"", 0)

    def _patch(self, location: str, data: memoryview, offset: int) -> tuple[str, int]:
        """Send a piece; where to send the next one, and how much of the blob is there."""
        headers = {
            "Content-Type": "application/octet-stream",
            "Content-Length": str(len(data)),
            "Content-Range": f"{offset}-{offset + len(data) - 1}",
        }
        try:
            answer = self._repository.once(
                "PATCH", location, self._retries, headers=headers, body=self._body(data, offset), accept=(202,)
            )
        except (BrokenError, BusyError) as error:
            pause(self._retries, error)
            return self._status(location, offset)
        except RefusedError as refusal:
            if refusal.status != 416:
                raise
            self._retries.pause(refusal)
            return self._status(location, offset)
        with contextlib.closing(answer):
            arrived = _arrived(answer, offset + len(data))
            if arrived <= offset:
                raise _LostError  # it takes them, and keeps none
            self._retries.progress()
            return self._location(answer, location), arrived

    def _status(self, location: str, before: int) -> tuple[str, int]:
        """As `_patch`, after a break."""
        while True:
            try:
                answer = self._repository.once("GET", location, self._retries, accept=(204, 200))
                break
            except (BrokenError, BusyError) as error:
                pause(self._retries, error)
            except (NotFoundError, RefusedError) as error:
                # Docker's own registry takes no upload up again that broke in the middle of a piece.
                registry = self._repository.registry
                self._retries.pause(UnreachableError(f"`{registry}` gave up the upload that broke: it begins anew"))
                raise _LostError from error
        with contextlib.closing(answer):
            arrived = _arrived(answer, 0)
            if arrived > before:
                self._retries.progress()
            self._tell(arrived)
            return self._location(answer, location), arrived

    def _finish(self, location: str, body: Body, size: int) -> None:
        """The last request, which names the digest; `_LostError` when the blob has to be sent anew."""
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
        while True:
            place = f"{location}{'&' if '?' in location else '?'}digest={quote(self._content.digest)}"
            try:
                answer = self._repository.once(
                    "PUT", place, self._retries, headers=headers, body=body, accept=(200, 201, 204)
                )
            except (BrokenError, BusyError) as error:
                pause(self._retries, error)
                if self._repository.has_blob(self._content.digest):
                    return
                before = self._content.size - size
                location, arrived = self._status(location, before)
                if arrived != before:
                    raise _LostError from error
            else:
                answer.close()
                self._tell(self._content.size)
                return

    def _body(self, data: bytes | memoryview, offset: int) -> Callable[[], Iterator[bytes]]:
        """A piece that lies at `offset`, as what is sent."""

        def give() -> Iterator[bytes]:
            for at in range(0, len(data), _SLICE):
                self._retries.check()
                self._tell(offset + at)
                yield bytes(data[at : at + _SLICE])
            self._tell(offset + len(data))

        return give

    def _all(self) -> Iterator[bytes]:
        """The whole blob, as what is sent."""
        self._tell(0)
        count = 0
        with self._content.opener() as stream:
            while count < self._content.size and (data := stream.read(_SLICE)):
                self._retries.check()
                yield data
                count += len(data)
                self._tell(count)
            self._check(count, stream)

    def _check(self, count: int, stream: BinaryIO) -> None:
        """Reach the end, which is given for verified bytes only; ImageError where there are more or fewer."""
        if count != self._content.size or stream.read(1):
            raise ImageError(f"blob `{self._content.digest}` has other than {self._content.size} bytes")

    def _tell(self, count: int) -> None:
        if count != self._told:
            self._advanced(count - self._told)
            self._told = count


def _read(stream: BinaryIO, size: int) -> bytes:
    """`size` bytes, or fewer at the end."""
    pieces, missing = [], size
    while missing and (data := stream.read(missing)):
        pieces.append(data)
        missing -= len(data)
    return b"".join(pieces)


def _arrived(answer: Response, default: int) -> int:
    """How many bytes a registry says that it has. `0-0` is one byte, or, as most say it, none."""
    match = re.fullmatch(r"(?:bytes=)?0-(\d+)", answer.headers.get("range", "").strip())
    if match is None:
        return default
    return int(match[1]) + 1 if int(match[1]) else 0
