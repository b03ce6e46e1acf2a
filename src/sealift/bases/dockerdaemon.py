"""`docker-daemon:NAME:TAG`: an image that Docker or Podman holds, through its socket (Docker Engine API).

GET /images/NAME/json   the image's ID, platform and layers
GET /images/NAME/get    the archive that `docker save` writes, as a stream

The ID names the image's content, so the archive is asked for only when a layer of it is not known yet.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import BinaryIO, cast
from urllib.parse import quote

from sealift.bases.archive import TarFolder, opened_stream
from sealift.bases.dockerarchive import image_of_archive
from sealift.bases.image import BaseImage, Layer
from sealift.core.digest import Digest, parse_digest, sha256
from sealift.core.event import Advanced, Began, Ended, Events
from sealift.core.reference import DockerArchiveSource, DockerDaemonSource
from sealift.errors import FetchError, ImageError, NotFoundError
from sealift.oci.config import SIZE_LIMIT as CONFIG_LIMIT
from sealift.oci.config import parse_config
from sealift.oci.jsonvalue import parse_object
from sealift.oci.manifest import SIZE_LIMIT, Platform
from sealift.oci.mediatypes import DOCKER_LAYER
from sealift.oci.platforms import check_architecture
from sealift.store import Store
from sealift.system.daemon import DaemonAddress, DaemonAnswer, ask_daemon, find_daemon

RECORDS = "docker-daemon"
"""Records of the store: an image's ID to its config's digest. With containerd's store the two differ."""


@contextlib.contextmanager
def open_daemon_image(
    source: DockerDaemonSource, platform: Platform, *, store: Store, env: Mapping[str, str], events: Events
) -> Iterator[BaseImage]:
    """The image as a value; its layers are uncompressed, so that their digest is the `diff_id`."""
    address = find_daemon(env)
    identity = _ask_identity(address, source, platform)
    with contextlib.ExitStack() as stack:
        archive = _Archive(address, source, identity, store, events, stack)
        known = _known_config(store, identity)
        image = _image_of_config(known, archive) if known is not None else archive.image(platform)
        check_architecture(image.config.platform, platform, name=str(source))
        yield replace(image, source=source, origin=f"{source} (image ID {identity})")


def _ask_identity(address: DaemonAddress, source: DockerDaemonSource, platform: Platform) -> Digest:
    """The image's ID; NotFoundError when the daemon does not have it, or has another platform's."""
    answer = ask_daemon(address, f"/images/{quote(source.name, safe='/:@')}/json")
    with contextlib.closing(answer):
        data = _read_all(answer, SIZE_LIMIT)
    if answer.status == 404:
        raise NotFoundError(
            f"the daemon at `{address}` has no image `{source.name}`",
            hints=("see what it has: docker images", f"or take it from a registry: docker://{source.name}"),
        )
    if answer.status != 200:
        raise FetchError(f"the daemon at `{address}` answered with {answer.status}: {_said(data)}")
    fields = parse_object(data, "the daemon's answer")
    found = Platform(os=fields.text("Os"), architecture=fields.text("Architecture"), variant=fields.text("Variant"))
    check_architecture(found, platform, name=str(source))
    text = fields.text("Id")
    try:
        return parse_digest(text if ":" in text else f"sha256:{text}")
    except ValueError as error:
        raise ImageError(f"the daemon at `{address}` gives `{source.name}` the ID `{text[:80]}`") from error


def _said(data: bytes) -> str:
    try:
        return str(json.loads(data)["message"])[:300]
    except (ValueError, KeyError, TypeError):
        return data[:200].decode("utf-8", "replace").strip() or "nothing"


def _read_all(answer: DaemonAnswer, limit: int) -> bytes:
    pieces, size = [], 0
    while piece := answer.read(1 << 16):
        pieces.append(piece)
        size += len(piece)
        if size > limit:
            raise ImageError(f"the daemon's answer is larger than {limit >> 20} MiB")
    return b"".join(pieces)


def _known_config(store: Store, identity: Digest) -> bytes | None:
    record = store.record(RECORDS, identity.partition(":")[2])
    try:
        digest = parse_digest(str((record or {}).get("config", "")))
    except ValueError:
        return None
    return store.read_blob(digest, CONFIG_LIMIT)


def _image_of_config(data: bytes, archive: _Archive) -> BaseImage:
    config = parse_config(data)
    layers = tuple(
        Layer(digest=each, diff_id=each, media_type=DOCKER_LAYER, size=0, opener=_Opener(archive, number))
        for number, each in enumerate(config.diff_ids)
    )
    return BaseImage(source=archive.source, origin="", digest=None, config=config, layers=layers)


class _Opener:
    def __init__(self, archive: _Archive, number: int) -> None:
        self._archive = archive
        self._number = number

    def __call__(self) -> BinaryIO:
        return self._archive.image(None).layers[self._number].open()


class _Archive:
    """The image's archive, fetched when it is first asked for, into a nameless file of the store. Safe for threads."""

    def __init__(
        self,
        address: DaemonAddress,
        source: DockerDaemonSource,
        identity: Digest,
        store: Store,
        events: Events,
        stack: contextlib.ExitStack,
    ) -> None:
        self.source = source
        self._address = address
        self._identity = identity
        self._store = store
        self._events = events
        self._stack = stack
        self._guard = threading.Lock()
        self._image: BaseImage | None = None

    def image(self, platform: Platform | None) -> BaseImage:
        with self._guard:
            if self._image is None:
                tar = self._fetch()
                shown = DockerArchiveSource(path=tar.shown)
                self._image = image_of_archive(tar, shown, platform)
                data = self._image.config.raw
                digest = sha256(data)
                self._store.put_blob(data, digest)
                self._store.put_record(RECORDS, self._identity.partition(":")[2], {"config": digest})
            return self._image

    def _fetch(self) -> TarFolder:
        # By its ID: meanwhile somebody may have given the name to another image.
        answer = ask_daemon(self._address, f"/images/{quote(self._identity, safe=':')}/get")
        with contextlib.closing(answer):
            if answer.status != 200:
                raise FetchError(
                    f"the daemon at `{self._address}` does not give `{self.source.name}` away: "
                    f"{_said(_read_all(answer, SIZE_LIMIT))}",
                    hints=(f"does this work? docker save {self.source.name} -o image.tar",),
                )
            task = f"fetch {self.source}"
            self._events(Began(task=task, label=f"{self.source.name} from the daemon"))
            note = "failed"
            try:
                stream = cast("BinaryIO", _Counted(answer, self._events, task))
                tar = self._stack.enter_context(
                    opened_stream(stream, spool=self._store.parts_folder, shown=str(self.source))
                )
                note = ""
            finally:
                self._events(Ended(task=task, note=note))
            return tar


class _Counted:
    def __init__(self, answer: DaemonAnswer, events: Events, task: str) -> None:
        self._answer = answer
        self._events = events
        self._task = task

    def read(self, amount: int = -1) -> bytes:
        data = self._answer.read(amount if amount > 0 else 1 << 20)
        self._events(Advanced(task=self._task, amount=len(data)))
        return data
