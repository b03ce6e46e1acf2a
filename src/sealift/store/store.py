"""The store itself: look up, make once, receive blobs, keep what is in use."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import re
import shutil
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO, Self

from sealift.core.digest import Digest, hex_part, sha256
from sealift.core.event import Events, Said, ignore
from sealift.errors import FetchError, MismatchError, SealiftError
from sealift.store import accounts
from sealift.store.accounts import Check, Damaged, Pruned, Usage
from sealift.store.arrival import Arrival
from sealift.store.blob import Blob
from sealift.store.hashing import Digester
from sealift.store.leases import Leases
from sealift.store.locks import Flock, hold
from sealift.store.parts import Parts
from sealift.system.files import atomic_file, explain_oserror

_KEY = re.compile(r"[A-Za-z0-9][A-Za-z0-9_+=-]{0,159}")
_RESERVED = frozenset({"blobs", "records", "digests", "parts", "leases", "locks"})
_FULL = (errno.ENOSPC, errno.EDQUOT)

CACHEDIR_TAG = (
    b"Signature: 8a477f597d28d172789f06886806bc55\n# This folder is a cache of Sealift (bford.info/cachedir).\n"
)

_SECOND = 1_000_000_000


class Store:
    """A cache in the folder `root`. All methods may be called from several threads and processes at once.

    What a method gave out is kept from `prune` until `close`. A missing folder or file is a miss, never an error.
    Failed writes raise HostError with a hint.
    """

    def __init__(
        self, root: str, *, events: Events = ignore, cap: Callable[[], int] | None = None, flock: Flock = fcntl.flock
    ) -> None:
        self.root = os.path.abspath(root)
        self._cap = cap
        self._events = events
        self._flock = flock
        self._parts = Parts(os.path.join(self.root, "parts"), flock=flock)
        self._leases = Leases(os.path.join(self.root, "leases"), flock=flock)
        # Where flock is made of POSIX locks (NFS), it does not keep threads of one process apart.
        self._threads: dict[str, threading.Lock] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give up the claim on what was used. The store may still be used afterwards."""
        self._leases.close()

    @property
    def parts_folder(self) -> str:
        """Where unfinished files lie; nameless files may be made there."""
        return os.path.join(self.root, "parts")

    # Results that are made once.

    def find(self, kind: str, key: str, *, check: Check | None = None, whole: Check | None = None) -> str | None:
        """The path of a result, marked as used now; None when there is none.

        `check(path)` looks at it quickly, and `whole(path)` reads all of it where somebody else than a store wrote to
        the file since a store last did; so does the digest, where its maker knew it. If they find damage, the result
        is removed.
        """
        name = self._name(kind, key)
        ours = self._is_as_left(name)
        path = self._use(name)
        if path is None:
            return path
        try:
            if check is not None:
                check(path)
            if not ours:
                accounts.check_digest(self.root, name)
                if whole is not None:
                    whole(path)
        except (SealiftError, OSError, ValueError) as error:
            self._say(f"the cached {kind}/{key} is damaged and is made anew: {error}", "warning")
            self.drop(kind, key)
            return None
        return path

    def entry(
        self,
        kind: str,
        key: str,
        make: Callable[[BinaryIO], Digest | None],
        *,
        check: Check | None = None,
        whole: Check | None = None,
        what: str = "",
    ) -> str:
        """The path of a result; if it is missing, `make(file)` writes it, in one process only, while others wait.

        `file` is empty, seekable, and has a descriptor. `make` may return the digest of what it wrote, for `verify`.
        Whatever it raises is passed on, and nothing is kept. `what` names the result for people.
        """
        found = self.find(kind, key, check=check, whole=whole)
        if found is not None:
            return found
        name = self._name(kind, key)
        with self._lock(f"{kind}-{key}", what or f"{kind}/{key}"):
            found = self.find(kind, key, check=check, whole=whole)
            if found is not None:
                return found
            self._write(name, make)
        # Between the rename and this look a prune of another process may have come: its owner is us, so it asks first.
        return self._path(name)

    def drop(self, kind: str, key: str) -> None:
        self._remove(self._name(kind, key))

    @contextlib.contextmanager
    def alone(self, kind: str, key: str, what: str) -> Iterator[None]:
        """Do within what one process shall do while others wait, for results that lie elsewhere than here."""
        self._name(kind, key)
        with self._lock(f"{kind}-{key}", what):
            yield

    # Blobs.

    def blob(self, digest: Digest, size: int | None = None) -> str | None:
        """The path of a whole blob, marked as used now; one of another size than `size` is damaged and removed."""
        name = _blob_name(digest)
        path = self._use(name)
        if path is None or size is None:
            return path
        try:
            if os.stat(path).st_size == size:
                return path
        except FileNotFoundError:
            return None
        self._say(f"the cached blob {digest} is damaged and is fetched anew", "warning")
        self._remove(name)
        return None

    def read_blob(self, digest: Digest, limit: int) -> bytes | None:
        """A small blob, verified; None when it is missing or damaged. `limit` bounds its size."""
        path = self._use(_blob_name(digest))
        if path is None:
            return None
        try:
            with open(path, "rb") as file:
                data = file.read(limit + 1)
        except FileNotFoundError:
            return None
        if len(data) <= limit and _matches(data, digest):
            return data
        self._remove(_blob_name(digest))
        return None

    def drop_blob(self, digest: Digest) -> None:
        """Forget a blob that was found to be damaged."""
        self._remove(_blob_name(digest))

    def put_blob(self, data: bytes, digest: Digest) -> None:
        """Keep a small blob that is at hand; MismatchError when the bytes are not the digest's."""
        if not _matches(data, digest):
            raise MismatchError(f"`{digest}` is not the digest of the {len(data)} bytes at hand")
        if self._use(_blob_name(digest)) is None:

            def write(file: BinaryIO) -> None:
                file.write(data)

            self._write(_blob_name(digest), write)

    @contextlib.contextmanager
    def receive(self, arrival: Arrival) -> Iterator[Blob | None]:
        """Receive a blob: gives where to write it, or None when it is there (or another process brought it meanwhile).

        When the block ends without `finish`, what arrived is kept for the next attempt. Whatever the block raises
        reaches the arrival's readers, and is raised here too.
        """
        try:
            yield from self._receive(arrival)
        except OSError as error:
            translated = explain_oserror(error, f"writing the cache in {self.root}")
            arrival.fail(translated)
            raise translated from error
        except BaseException as error:
            arrival.fail(error)
            raise

    def _receive(self, arrival: Arrival) -> Iterator[Blob | None]:
        if self._offer_whole(arrival):
            yield None
            return
        name = _blob_name(arrival.digest)
        key = name.replace("/", "-").replace(":", "-")
        with self._lock(key, f"blob {arrival.digest[:19]}"):
            if self._offer_whole(arrival):
                yield None
                return
            self._leases.add(name)
            blob = Blob(arrival, self._parts.resume(key), self._path(name))
            try:
                blob.take_over()
                yield blob
                if not blob.finished:
                    raise FetchError(f"the download of `{arrival.digest}` was not finished")
            except OSError as error:
                if error.errno in _FULL:
                    blob.restart()  # what others need more than we a later start
                raise
            finally:
                if not blob.finished:
                    blob.suspend()

    def _offer_whole(self, arrival: Arrival) -> bool:
        path = self.blob(arrival.digest, arrival.size)
        if path is None:
            return False
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return False
        try:
            arrival.attach(descriptor, arrival.size)
        finally:
            os.close(descriptor)
        arrival.complete()
        return True

    # Records.

    def record(self, kind: str, key: str) -> dict[str, Any] | None:
        """A small JSON object; None when it is missing or damaged."""
        path = self._use(_record_name(kind, key))
        if path is None:
            return None
        try:
            with open(path, "rb") as file:
                value = json.loads(file.read())
        except (OSError, ValueError):
            return None
        return value if isinstance(value, dict) else None

    def put_record(self, kind: str, key: str, value: dict[str, Any]) -> None:
        """Replace a record as a whole."""
        data = json.dumps(value, sort_keys=True, ensure_ascii=False).encode() + b"\n"
        path = self._path(_record_name(kind, key))
        with self._writing():
            for _ in range(3):
                with contextlib.suppress(FileNotFoundError), atomic_file(path, mode=0o600) as file:
                    file.write(data)
                    return
                self._make_folder(os.path.dirname(path))
            with atomic_file(path, mode=0o600) as file:
                file.write(data)

    def drop_records(self, kind: str) -> None:
        """Forget all records of a kind."""
        shutil.rmtree(os.path.join(self.root, "records", kind), ignore_errors=True)

    # Housekeeping.

    def usage(self) -> tuple[Usage, ...]:
        return accounts.usage(self.root, self._parts)

    def prune(self, max_size: int | None = None) -> Pruned:
        """Remove what was used longest ago until at most `max_size` bytes (default: the cap) are left.

        Keeps what running processes use, and sweeps what dead ones left.
        """
        limit = self._cap() if max_size is None and self._cap is not None else max_size
        with self._lock("prune", ""):
            return accounts.prune(
                self.root, limit, parts=self._parts, leases=self._leases, alone=lambda: self._moment(shared=False)
            )

    def verify(self, checks: dict[str, Check] | None = None) -> tuple[Damaged, ...]:
        """Read everything, remove what is damaged, and say what that was. `checks` look at results of a kind."""
        return accounts.verify(self.root, checks or {}, remove=self._remove)

    # Below, the common ground.

    def _name(self, kind: str, key: str) -> str:
        if kind in _RESERVED or not _KEY.fullmatch(kind):
            raise ValueError(f"not a kind of entry: {kind!r}")
        bare = key.partition(":")[2] if key.startswith("sha256:") else key
        if not _KEY.fullmatch(bare):
            raise ValueError(f"not a key: {key!r}")
        return f"{kind}/{bare}"

    def _path(self, name: str) -> str:
        return os.path.join(self.root, name)

    def _use(self, name: str) -> str | None:
        """Claim and touch; None on a miss."""
        path = self._path(name)
        if not os.path.exists(path):
            return None
        with self._writing(), self._moment(shared=True):
            self._leases.add(name)
            try:
                # Own stamps: most file systems of clusters do not keep atime, and sites purge by either.
                self._stamp(name)
            except FileNotFoundError:
                return None
            except OSError:
                return path if os.path.exists(path) else None
        return path

    def _stamp(self, name: str) -> None:
        """Set the file's times to now, with a part of a second that is the store's own mark."""
        moment = int(time.time()) * _SECOND + _mark(name)
        os.utime(self._path(name), ns=(moment, moment))

    def _is_as_left(self, name: str) -> bool:
        """Did nobody write to the file since a store stamped it? A write leaves another part of a second."""
        try:
            return os.stat(self._path(name)).st_mtime_ns % _SECOND == _mark(name)
        except OSError:
            return False

    def _write(self, name: str, make: Callable[[BinaryIO], Digest | None]) -> None:
        with self._writing():
            self._leases.add(name)
            part = self._parts.new(name.replace("/", "-"), buffered=True)
        try:
            digest = make(part.file)
            with self._writing():
                if digest is not None:
                    self._note_digest(name, digest)
                part.finish(self._path(name))
                with contextlib.suppress(OSError):
                    self._stamp(name)
        except OSError as error:
            part.discard()
            if error.errno in _FULL:
                raise explain_oserror(error, f"writing the cache in {self.root}") from error
            raise
        except BaseException:
            part.discard()
            raise

    def _note_digest(self, name: str, digest: Digest) -> None:
        path = os.path.join(self.root, "digests", name)
        self._make_folder(os.path.dirname(path))
        with atomic_file(path, mode=0o600) as file:
            file.write(f"{digest}\n".encode())

    def _remove(self, name: str) -> None:
        for path in (self._path(name), os.path.join(self.root, "digests", name)):
            with contextlib.suppress(OSError):
                os.unlink(path)

    @contextlib.contextmanager
    def _lock(self, key: str, what: str) -> Iterator[None]:
        def waiting() -> None:
            if what:
                self._say(f"another sealift is making {what}, waiting", "info")

        path = os.path.join(self.root, "locks", key)
        with contextlib.ExitStack() as stack:
            stack.enter_context(self._threads.setdefault(key, threading.Lock()))
            with self._writing():
                stack.enter_context(hold(path, waiting=waiting, flock=self._flock))
            yield

    def _moment(self, *, shared: bool) -> contextlib.AbstractContextManager[None]:
        """The lock between looking up (shared) and removing (alone); held for moments only."""
        return hold(os.path.join(self.root, "locks", "store"), shared=shared, flock=self._flock)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except SealiftError:
            raise
        except OSError as error:
            raise explain_oserror(error, f"writing the cache in {self.root}") from error

    def _make_folder(self, folder: str) -> None:
        os.makedirs(folder, mode=0o700, exist_ok=True)

    def _say(self, text: str, level: str) -> None:
        self._events(Said(text=text, level=level))


def _mark(name: str) -> int:
    """Nanoseconds below a second, in whole microseconds, which is what some file systems keep."""
    return zlib.crc32(name.encode()) % 999_983 * 1000


def _blob_name(digest: Digest) -> str:
    return f"blobs/{digest.partition(':')[0]}/{hex_part(digest)}"


def _record_name(kind: str, key: str) -> str:
    if not _KEY.fullmatch(kind) or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+=-]{0,159}", key):
        raise ValueError(f"not the name of a record: {kind!r}, {key!r}")
    return f"records/{kind}/{key}.json"


def _matches(data: bytes, digest: Digest) -> bool:
    if digest.startswith("sha256:"):
        return sha256(data) == digest
    digester = Digester(digest.partition(":")[0])
    digester.update(data)
    return digester.digest() == digest
