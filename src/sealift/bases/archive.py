"""A tar file as a folder of byte ranges: nothing is unpacked, links inside are followed, names are checked."""

from __future__ import annotations

import contextlib
import os
import posixpath
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, cast

from sealift.errors import HostError, ImageError
from sealift.system.files import explain_oserror

MEMBERS = 100_000
"""Entries that are looked at: an image archive has a few per layer."""
_LINKS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    offset: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TarFolder:
    """Regular files by their cleaned name, and links by theirs. `path` is an uncompressed tar file."""

    path: str
    shown: str
    files: dict[str, Range]
    links: dict[str, str]

    def find(self, name: str) -> Range | None:
        """The bytes of a file; symbolic and hard links are followed inside of the archive only."""
        for _ in range(_LINKS):
            name = posixpath.normpath(name).lstrip("/")
            if name in self.files:
                return self.files[name]
            if name not in self.links:
                return None
            name = self.links[name]
        return None

    def read(self, name: str, limit: int) -> bytes:
        """A small file whole; ImageError when it is missing or too large."""
        found = self.find(name)
        if found is None:
            raise ImageError(f"`{self.shown}` has no `{name}`")
        if found.size > limit:
            raise ImageError(f"`{name}` in `{self.shown}` has {found.size} bytes: too many")
        with open(self.path, "rb") as file:
            file.seek(found.offset)
            data = file.read(found.size)
        if len(data) != found.size:
            raise ImageError(f"`{self.shown}` is cut off in `{name}`")
        return data


@contextlib.contextmanager
def open_tar(path: str, *, spool: str) -> Iterator[TarFolder]:
    """Index a tar file. One that is compressed or a pipe is first copied, inflated, to a nameless file in `spool`.

    Raises ImageError when it is no tar file, HostError when it cannot be read.
    """
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context(open(path, "rb"))
            plain = file if _is_plain(file) else stack.enter_context(_spooled(file, spool, path))
            # Through /proc or /dev/fd, so that a nameless file can be opened again by each reader.
            again = path if plain is file else f"/dev/fd/{plain.fileno()}"
            yield _index(plain, again, path)
        except OSError as error:
            if error.filename == path:
                raise explain_oserror(error, f"reading {path}") from error
            raise


@contextlib.contextmanager
def opened_stream(stream: BinaryIO, *, spool: str, shown: str) -> Iterator[TarFolder]:
    """Index a tar file that comes as a plain stream: it is first copied to a nameless file in `spool`.

    `shown` is how messages call it. Raises ImageError when it is no tar file, HostError when it cannot be kept.
    """
    import tempfile

    os.makedirs(spool, mode=0o700, exist_ok=True)
    with tempfile.TemporaryFile(dir=spool) as target:
        try:
            while data := stream.read(1 << 20):
                target.write(data)
            target.flush()
        except OSError as error:
            raise explain_oserror(error, f"keeping {shown}") from error
        target.seek(0)
        yield _index(cast("BinaryIO", target), f"/dev/fd/{target.fileno()}", shown)


def _index(file: BinaryIO, again: str, shown: str) -> TarFolder:
    files: dict[str, Range] = {}
    links: dict[str, str] = {}
    size = os.fstat(file.fileno()).st_size
    try:
        with tarfile.open(fileobj=file, mode="r:") as archive:
            for count, member in enumerate(archive):
                if count > MEMBERS:
                    raise ImageError(f"`{shown}` has more than {MEMBERS} entries, so it is no archive of images")
                name = posixpath.normpath(member.name).lstrip("/")
                if member.isreg():
                    if member.offset_data + member.size > size:
                        raise ImageError(f"`{shown}` is cut off in `{name}`")
                    files[name] = Range(offset=member.offset_data, size=member.size)
                    links.pop(name, None)
                elif member.issym():
                    links[name] = posixpath.join(posixpath.dirname(name), member.linkname)
                elif member.islnk():
                    links[name] = member.linkname
    except tarfile.TarError as error:
        raise ImageError(f"`{shown}` is not a tar file, or cut off: {error}") from error
    if not files:
        raise ImageError(f"`{shown}` is an empty tar file")
    return TarFolder(path=again, shown=shown, files=files, links=links)


def _is_plain(file: BinaryIO) -> bool:
    if not file.seekable():
        return False
    head = file.read(512)
    file.seek(0)
    return not head.startswith((b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"BZh", b"\xfd7zXZ\x00"))


@contextlib.contextmanager
def _spooled(file: BinaryIO, spool: str, shown: str) -> Iterator[BinaryIO]:
    import tempfile

    os.makedirs(spool, mode=0o700, exist_ok=True)
    with tempfile.TemporaryFile(dir=spool) as target:
        try:
            source = _inflated(file)
            while data := source.read(1 << 20):
                target.write(data)
            target.flush()
        except (EOFError, ValueError, _errors()) as error:
            raise ImageError(f"`{shown}` is damaged or cut off: {error}") from error
        except OSError as error:
            if error.errno is None:
                raise ImageError(f"`{shown}` is damaged: {error}") from error
            raise explain_oserror(error, f"unpacking {shown}") from error
        target.seek(0)
        # TemporaryFile's wrapper is a plain file on POSIX.
        yield target


def _errors() -> type[Exception]:
    import lzma

    return lzma.LZMAError


def _inflated(file: BinaryIO) -> BinaryIO:
    """The stream behind the compression that the first bytes tell of."""
    import bz2
    import io
    import lzma

    buffered = file if isinstance(file, io.BufferedReader) else io.BufferedReader(file)  # type: ignore[type-var]
    head = buffered.peek(6)
    if head.startswith(b"\x1f\x8b"):
        from isal import igzip

        return cast("BinaryIO", igzip.open(buffered, "rb"))  # type: ignore[no-untyped-call]
    if head.startswith(b"\x28\xb5\x2f\xfd"):
        import zstandard

        try:
            return cast("BinaryIO", zstandard.ZstdDecompressor().stream_reader(buffered, read_across_frames=True))
        except zstandard.ZstdError as error:
            raise HostError(str(error)) from error
    if head.startswith(b"BZh"):
        return cast("BinaryIO", bz2.BZ2File(buffered))
    if head.startswith(b"\xfd7zXZ\x00"):
        return cast("BinaryIO", lzma.LZMAFile(buffered))
    return buffered
