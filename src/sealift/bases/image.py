"""A base image as a value: its config, and its layers from the lowest up, each a stream that can be opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO, TypeVar

from sealift.core.digest import Digest
from sealift.core.reference import OciSource
from sealift.errors import ImageError, MismatchError
from sealift.oci.config import ImageConfig

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """One layer.

    `digest` names exactly the bytes that `open()` gives, compressed as `media_type` says; it is the key for whatever is
    made of them. They are verified at the latest when the stream ends: the end is given only after that, so a result
    counts once its maker has read to the end. `diff_id` is the digest of the tar stream inside, as the config claims.
    """

    digest: Digest
    diff_id: Digest
    media_type: str
    size: int
    opener: Callable[[], BinaryIO] = field(repr=False, compare=False)

    def open(self) -> BinaryIO:
        """The layer's bytes; reading may wait for the network. Raises FetchError's kinds or ImageError."""
        return self.opener()

    def read(self, work: Callable[[BinaryIO], T]) -> T:
        """Give `work` the stream; once more when wrong bytes arrived and were fetched anew while it read.

        What `work` leaves unread is read behind it, so that its result stands for verified bytes, and so that its
        ImageError is not believed when the bytes were wrong.
        """
        try:
            return self._read(work)
        except MismatchError:
            return self._read(work)

    def _read(self, work: Callable[[BinaryIO], T]) -> T:
        with self.open() as stream:
            try:
                result = work(stream)
            except ImageError:
                _read_on(stream)
                raise
            _read_on(stream)
            return result


def _read_on(stream: BinaryIO) -> None:
    """Reach the end, which is given for verified bytes only."""
    while not stream.closed and stream.read(1 << 20):
        pass


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseImage:
    """An image to build on or to convert.

    `origin` is canonical text of where it came from; with `digest`, the manifest's, it can be found again. `index` is
    the digest of the index that the manifest was chosen from. docker-archives have no manifest of OCI's kind: there,
    `digest` is None. `manifest` are the manifest's bytes, or b"".
    """

    source: OciSource
    origin: str
    digest: Digest | None
    index: Digest | None = None
    config: ImageConfig
    layers: tuple[Layer, ...]
    manifest: bytes = field(default=b"", repr=False)
    starter: Callable[[Sequence[Layer]], None] = field(default=lambda _layers: None, repr=False, compare=False)

    @property
    def created(self) -> int | None:
        """Seconds since 1970 of the config's `created`, None when it is missing or senseless."""
        return self.config.created_epoch

    def fetch(self, layers: Sequence[Layer]) -> None:
        """Begin to bring these layers, several at once, in this order; returns at once.

        Opening a layer begins to bring it, too. What is not asked for is not fetched.
        """
        self.starter(layers)
