"""Manifests, configs and blobs of one image, from the first place that has them."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from sealift.core.digest import Digest, parse_digest, sha256
from sealift.core.event import Events, Said, ignore
from sealift.core.reference import Reference
from sealift.errors import FetchError, ImageError, MismatchError
from sealift.oci import manifest as oci_manifest
from sealift.oci.config import SIZE_LIMIT as CONFIG_LIMIT
from sealift.oci.config import ImageConfig, parse_config
from sealift.oci.manifest import Descriptor, Index, Manifest, Platform, check_layers, parse_manifest
from sealift.oci.mediatypes import ACCEPT
from sealift.oci.platforms import check_architecture, choose_manifest
from sealift.registry.access import Access
from sealift.registry.mirrors import Endpoint, RegistriesConf
from sealift.registry.retry import Retries
from sealift.registry.upload import Repository
from sealift.system.web import BrokenError, Response

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """The bytes of a manifest or index, verified where a digest was asked for."""

    data: bytes = field(repr=False)
    media_type: str
    digest: Digest


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """One image for one platform: everything but its layers.

    `index` is the digest of the index that it was chosen from. `documents` are the bytes behind each digest met on the
    way, so that they can be kept.
    """

    reference: Reference
    digest: Digest
    manifest: Manifest
    config: ImageConfig
    index: Digest | None
    documents: Mapping[Digest, bytes] = field(repr=False, hash=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A manifest by its digest, and the documents on the way to it as in `Resolved`."""

    digest: Digest
    manifest: Manifest
    index: Digest | None
    documents: Mapping[Digest, bytes] = field(repr=False, hash=False)


Known = Callable[[Digest, int], bytes | None]
"""Gives the verified bytes of a document that is at hand, at most so many; None when it is not."""


class Registry:
    """The registry of one or more images, with its mirrors."""

    def __init__(
        self, access: Access, conf: RegistriesConf | None = None, *, insecure: bool = False, events: Events = ignore
    ) -> None:
        self._access = access
        self._conf = conf or RegistriesConf()
        self._insecure = insecure
        self._events = events
        self._silent: set[str] = set()
        self._distrusted: set[Digest] = set()

    def retries(self) -> Retries:
        return self._access.retries()

    def repository(self, reference: Reference) -> Repository:
        """Where an image of this name is pushed to."""
        return Repository(self._access, self._conf.destination(reference, insecure=self._insecure))

    def distrust_mirrors(self, digest: Digest) -> None:
        """Wrong bytes came for `digest`: from now on it is asked of the registry itself only."""
        self._distrusted.add(digest)

    def resolve(
        self, reference: Reference, platform: Platform, *, known: Known = lambda _digest, _limit: None
    ) -> Resolved:
        """Find the image for a platform. With a digest and everything `known`, no request is made."""
        found = self.find_manifest(reference, platform, known=known)
        documents = dict(found.documents)
        check_layers(found.manifest)
        described = found.manifest.config
        data = known(described.digest, CONFIG_LIMIT)
        if data is None:
            data = self.fetch_small(reference, described, limit=CONFIG_LIMIT)
        documents[described.digest] = data
        config = parse_config(data)
        check_architecture(config.platform, platform, name=reference.familiar)
        _check_count(found.manifest, config, reference)
        return Resolved(
            reference=reference,
            digest=found.digest,
            manifest=found.manifest,
            config=config,
            index=found.index,
            documents=documents,
        )

    def find_manifest(
        self, reference: Reference, platform: Platform, *, known: Known = lambda _digest, _limit: None
    ) -> Found:
        """The manifest for a platform, whatever it describes; what is `known` is not asked for."""
        documents: dict[Digest, bytes] = {}

        def document(wanted: Reference) -> Fetched:
            data = known(wanted.digest, oci_manifest.SIZE_LIMIT) if wanted.digest else None
            if data is not None and wanted.digest is not None:
                fetched = Fetched(data=data, media_type="", digest=wanted.digest)
            else:
                fetched = self.fetch_manifest(wanted)
            documents[fetched.digest] = fetched.data
            return fetched

        fetched = document(reference)
        found = _parsed(fetched, reference)
        index: Digest | None = None
        for _ in range(4):
            if isinstance(found, Manifest):
                break
            index = index or fetched.digest
            chosen = choose_manifest(found, platform, name=reference.familiar)
            fetched = document(reference.pinned(chosen.digest))
            found = _parsed(fetched, reference)
        if isinstance(found, Index):
            raise ImageError(f"the indexes of `{reference.familiar}` are nested too deeply")
        return Found(digest=fetched.digest, manifest=found, index=index, documents=documents)

    def fetch_manifest(self, reference: Reference) -> Fetched:
        """The manifest or index of a reference."""
        what = f"`{reference.familiar}`"

        def ask(endpoint: Endpoint, retries: Retries) -> Fetched:
            return self._fetch_manifest(endpoint, reference, what, retries)

        return self._first(reference, reference.digest, ask, self.retries())

    def current_digest(self, reference: Reference) -> Digest | None:
        """What a tag names now, asked without fetching anything; None where the registry does not say.

        One HEAD request (distribution specification, checking if content exists), which Docker Hub does not count.
        """
        what = f"`{reference.familiar}`"

        def ask(endpoint: Endpoint, retries: Retries) -> Digest | None:
            path = f"manifests/{reference.wanted}"
            headers = {"Accept": ACCEPT}
            with contextlib.closing(
                self._access.get(
                    endpoint,
                    path,
                    what=what,
                    headers=headers,
                    method="HEAD",
                    retries=retries,
                    accept=(200, 400, 405, 501),  # some do not know the method
                )
            ) as response:
                said = response.headers.get("docker-content-digest", "")
            try:
                return parse_digest(said)
            except ValueError:
                return None

        return self._first(reference, None, ask, self.retries())

    def fetch_small(self, reference: Reference, descriptor: Descriptor, *, limit: int) -> bytes:
        """A small blob (a config) as bytes, verified."""
        if descriptor.size > limit:
            raise ImageError(f"`{descriptor.digest}` of `{reference.familiar}` has {descriptor.size} bytes: too many")
        what = f"blob `{descriptor.digest}` of `{reference.familiar}`"

        def ask(endpoint: Endpoint, retries: Retries) -> bytes:
            while True:
                response = self._access.get(endpoint, f"blobs/{descriptor.digest}", what=what, retries=retries)
                try:
                    data = _read_all(response, limit)
                    _check(data, descriptor.digest, what)
                except (MismatchError, BrokenError) as error:
                    retries.pause(error)
                    continue
                return data

        return self._first(reference, descriptor.digest, ask, self.retries())

    def open_blob(self, reference: Reference, descriptor: Descriptor, *, offset: int, retries: Retries) -> Response:
        """A blob's bytes from `offset` on (status 206), or all of them (200) where the server cannot do ranges.

        The answer is 416 when `offset` is its very end.
        """
        what = f"blob `{descriptor.digest}` of `{reference.familiar}`"
        headers = {"Range": f"bytes={offset}-"} if offset else {}
        accept = (200, 206, 416) if offset else (200,)

        def ask(endpoint: Endpoint, retries: Retries) -> Response:
            return self._access.get(
                endpoint,
                f"blobs/{descriptor.digest}",
                what=what,
                headers=headers,
                retries=retries,
                accept=accept,
            )

        return self._first(reference, descriptor.digest, ask, retries)

    def _fetch_manifest(self, endpoint: Endpoint, reference: Reference, what: str, retries: Retries) -> Fetched:
        while True:
            response = self._access.get(
                endpoint, f"manifests/{reference.wanted}", what=what, headers={"Accept": ACCEPT}, retries=retries
            )
            media_type = response.headers.get("content-type", "").partition(";")[0].strip()
            try:
                data = _read_all(response, oci_manifest.SIZE_LIMIT)
                if "html" in media_type:
                    raise FetchError(
                        f"`{endpoint.registry}` answered with a web page instead of the manifest of {what}",
                        hints=("is there a login page or a proxy in between? look at http_proxy and https_proxy",),
                    )
                digest = reference.digest or _own_digest(data, response)
                _check(data, digest, f"the manifest of {what}")
            except (MismatchError, BrokenError) as error:
                retries.pause(error)
                continue
            return Fetched(data=data, media_type=media_type, digest=digest)

    def _first(
        self,
        reference: Reference,
        digest: Digest | None,
        ask: Callable[[Endpoint, Retries], T],
        retries: Retries,
    ) -> T:
        """The answer of the first place that has one; the registry's own error when none has.

        Mirrors get little patience, and one that does not answer at all is not asked again.
        """
        *mirrors, own = self._conf.endpoints(reference, insecure=self._insecure)
        for mirror in mirrors:
            if digest in self._distrusted or str(mirror) in self._silent:
                continue
            try:
                return ask(mirror, self._access.retries(brief=True))
            except (FetchError, ImageError) as error:
                if isinstance(error, BrokenError):
                    self._silent.add(str(mirror))
                self._events(Said(text=f"the mirror {mirror} has no answer: {error.message}", level="debug"))
        return ask(own, retries)


def _parsed(fetched: Fetched, reference: Reference) -> Manifest | Index:
    try:
        return parse_manifest(fetched.data, fetched.media_type)
    except ImageError as error:
        raise ImageError(f"`{reference.familiar}`: {error.message}", hints=error.hints) from error


def _check_count(manifest: Manifest, config: ImageConfig, reference: Reference) -> None:
    if len(config.diff_ids) != len(manifest.layers):
        raise ImageError(
            f"`{reference.familiar}` has {len(manifest.layers)} layers, but its config speaks of {len(config.diff_ids)}"
        )


def _read_all(response: Response, limit: int) -> bytes:
    with contextlib.closing(response):
        pieces, size = [], 0
        while piece := response.read(1 << 16):
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise FetchError(f"`{response.url.partition('?')[0]}` sends more than {limit >> 20} MiB")
    return b"".join(pieces)


def _own_digest(data: bytes, response: Response) -> Digest:
    """The digest of a manifest that was asked for by tag: the server's word for it is checked against the bytes."""
    said = response.headers.get("docker-content-digest", "")
    with contextlib.suppress(ValueError):
        if not said.startswith("sha256:"):
            return parse_digest(said)
        parse_digest(said)
        _check(data, parse_digest(said), "the manifest")
    return sha256(data)


def _check(data: bytes, digest: Digest, what: str) -> None:
    import hashlib

    algorithm, _, wanted = digest.partition(":")
    found = hashlib.new(algorithm, data).hexdigest()
    if found != wanted:
        raise MismatchError(f"{what} arrived as other bytes, whose digest is `{algorithm}:{found}`, not `{digest}`")
