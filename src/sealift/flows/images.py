"""Any form of IMAGE as a file or folder that an engine runs; images made of layers are converted once and kept.

ROOT/images/KEY     a SIF, known by all that decides its bytes: the layers' digests, the architecture, the packing
ROOT/records/runs   what an IMAGE was when it was last asked for, so that a start that finds it unchanged costs little

Whether a source changed: a tag is asked for with one request that fetches nothing, a digest with none, a layout by its
index, an archive by the file's identity and times.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, BinaryIO

from sealift.core.event import Events, Said, ignore
from sealift.errors import ImageError, UnreachableError, UsageError

if TYPE_CHECKING:
    from sealift.core.digest import Digest
    from sealift.core.reference import ImageSource, OrasSource, Reference
    from sealift.flows.ready import Ready
    from sealift.flows.workshop import Workshop
    from sealift.store import Store

IMAGES, RUNS = "images", "runs"
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+-]*):")
_REFUSED = {
    "instance": ("Sealift starts no instances", ("of Apptainer's own: apptainer exec instance://NAME …",)),
    "library": (
        "Sealift does not fetch from `library:`",
        ("fetch it with Apptainer: apptainer pull image.sif {text}",),
    ),
    "shub": (
        "Singularity Hub closed in 2021",
        ("where it is still to be had: apptainer pull image.sif {text}", "or a registry's image: docker://NAME"),
    ),
    **dict.fromkeys(
        ("http", "https", "ftp"), ("Sealift fetches no images from web pages", ("fetch the file: curl -fLO {text}",))
    ),
}
"""Schemes of Apptainer's that name no image of ours: why, and what to type."""


def prepared_image(
    text: str, environment: Mapping[str, str], events: Events = ignore, *, insecure: bool = False
) -> str:
    """The path of a runnable image for IMAGE as typed; what has no scheme is a path, and given back as it is.

    What has to be fetched and converted is so in one process, while others wait; a killed one leaves nothing half.
    `insecure` allows plain HTTP. UsageError for a scheme that is refused; FetchError's kinds, ImageError.
    """
    scheme = _SCHEME.match(text)
    if scheme is None:
        return text
    if scheme[1] in _REFUSED:
        why, hints = _REFUSED[scheme[1]]
        raise UsageError(f"`{text}`: {why}", hints=tuple(hint.format(text=text) for hint in hints))
    from sealift.core.reference import parse_source

    source = parse_source(text)
    if source is None:
        return text
    from sealift.store import open_store

    with open_store(environment, events=events) as store:
        wish = _Wish(
            text=text,
            source=source,
            environment=environment,
            insecure=insecure,
            events=events,
            machine=os.uname().machine,
        )
        return _kept(store, wish) or _converted(wish)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wish:
    text: str
    source: ImageSource
    environment: Mapping[str, str]
    insecure: bool
    events: Events
    machine: str

    @property
    def key(self) -> str:
        """The record's name. Nothing is imported for it that only a conversion needs."""
        where = os.path.abspath(getattr(self.source, "path", "")) if hasattr(self.source, "path") else ""
        parts = [str(self.source), where, self.machine, self.environment.get("SOURCE_DATE_EPOCH", "")]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _kept(store: Store, wish: _Wish) -> str | None:
    """The image that was made of the same source before; None where there is none, or the source changed."""
    record = store.record(RUNS, wish.key)
    if record is None:
        return None
    try:
        path = _path_of(store, record)
        if path is None or not _is_same(wish, record):
            return None
    except (KeyError, TypeError, ValueError):
        return None  # a record of another version
    return path


def _path_of(store: Store, record: Mapping[str, Any]) -> str | None:
    if "blob" in record:
        return store.blob(record["blob"], int(record["size"]))
    return store.find(IMAGES, record["image"], check=check_image)


def check_image(path: str) -> None:
    """A quick look at a converted image, as the store wants it."""
    from sealift.sif.reader import is_sif, read_sif

    with open(path, "rb") as file:
        if not is_sif(file.read(64)):
            raise ImageError(f"`{path}` is not a SIF")
        read_sif(file)


def _is_same(wish: _Wish, record: Mapping[str, Any]) -> bool:
    from sealift.core.reference import LayoutSource, OrasSource, Reference

    source = wish.source
    reference = source.reference if isinstance(source, OrasSource) else source
    if isinstance(reference, Reference):
        if reference.digest is not None:
            return True
        try:
            return bool(_asked(wish, reference, brief=True) == record["digest"])
        except UnreachableError as error:
            wish.events(
                Said(text=f"{error.message}; using `{wish.text}` as it was when it was last fetched", level="warning")
            )
            return True
    if isinstance(source, LayoutSource):
        return bool(_index_digest(source.path) == record["index"])
    return hasattr(source, "path") and bool(_stamp(source.path) == record["stamp"])


def _asked(wish: _Wish, reference: Reference, *, brief: bool) -> Digest | None:
    """What the registry's tag names now; None where it does not say. With a copy at hand, `brief`, we wait less."""
    import threading

    from sealift.bases.open import Network, opened_registry
    from sealift.registry import Patience

    patience = Patience(tries=2, first=0.2) if brief else Patience()
    network = Network(env=wish.environment, insecure=wish.insecure, patience=patience)
    events = ignore if brief else wish.events
    with opened_registry(network, threading.Event(), events) as (registry, _):
        return registry.current_digest(reference)


def _index_digest(path: str) -> str:
    try:
        with open(os.path.join(path, "index.json"), "rb") as file:
            return hashlib.sha256(file.read()).hexdigest()
    except OSError:
        return ""


def _stamp(path: str) -> list[int]:
    try:
        found = os.stat(path)
    except OSError:
        return []
    return [found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns]


# What is not kept yet.


def _converted(wish: _Wish) -> str:
    from sealift.core.reference import LayoutSource, OrasSource, Reference
    from sealift.flows.requests import BuildRequest
    from sealift.flows.workshop import open_workshop

    source, record = wish.source, dict[str, Any]()
    request = BuildRequest(
        target="", spec=wish.text, environment=wish.environment, insecure=wish.insecure, events=wish.events
    )
    with open_workshop(request) as shop:
        if isinstance(source, OrasSource):
            path, record = _fetched(shop, wish, source)
        else:
            if isinstance(source, Reference):
                # By its digest alone: so it is one image, whatever it is called.
                digest = source.digest or _asked(wish, source, brief=False)
                if digest is not None:
                    source = replace(source, tag="", digest=digest)
                    record["digest"] = digest
            elif isinstance(source, LayoutSource):
                record["index"] = _index_digest(source.path)
            elif hasattr(source, "path"):
                record["stamp"] = _stamp(source.path)
            path = _image(shop, wish, source)
            record["image"] = os.path.basename(path)
        shop.store.put_record(RUNS, wish.key, record)
        shop.store.prune()
    return path


def _fetched(shop: Workshop, wish: _Wish, source: OrasSource) -> tuple[str, dict[str, Any]]:
    """A SIF of a registry, as it is."""
    from sealift.flows.sifs import fetched_sif

    digest = source.reference.digest or _asked(wish, source.reference, brief=False)
    if digest is not None:
        source = replace(source, reference=source.reference.pinned(digest))
    fetched = fetched_sif(shop, source)
    return fetched.path, {"blob": fetched.digest, "size": os.stat(fetched.path).st_size, "digest": digest}


def _image(shop: Workshop, wish: _Wish, source: ImageSource) -> str:
    """The path of the image in the cache, made now if it is not there."""
    from sealift.flows.base import fetch_base
    from sealift.flows.build import ready_of_image
    from sealift.flows.finish import identity_of
    from sealift.flows.targets import Target

    agent = wish.text.partition(":")[0]
    base = fetch_base(shop, source)
    ready = ready_of_image(shop, agent, str(source).removeprefix(f"{agent}:"), base)
    key = identity_of(shop, ready, Target(text="", kind="sif", path=""))
    store = shop.store
    found = store.find(IMAGES, key, check=check_image)
    if found is not None:
        return found
    shop.say(f"converting {wish.text}, once: it is kept in {store.root}")
    return store.entry(IMAGES, key, lambda file: _write(shop, ready, file), check=check_image, what=wish.text)


def _write(shop: Workshop, ready: Ready, file: BinaryIO) -> Digest:
    from sealift.flows.finish import finished
    from sealift.flows.sifout import write_sif_to
    from sealift.store.hashing import digest_open

    with finished(shop, ready) as image:
        write_sif_to(shop, image, file)
    file.flush()
    return digest_open(file)
