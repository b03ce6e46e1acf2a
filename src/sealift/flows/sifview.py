"""The story of `sif list|header|info|dump`: open the file, look at one object or at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from sealift.errors import ImageError
from sealift.sif.layout import Descriptor
from sealift.sif.reader import SifImage, read_sif

_PIECE = 1 << 20


@contextmanager
def open_sif(path: str) -> Iterator[SifImage]:
    """The SIF at `path`; ImageError when it is none, or damaged."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise ImageError(f"there is no file `{path}`", hints=("see what is there: ls",)) from error
    except OSError as error:
        raise ImageError(f"`{path}` cannot be read: {(error.strerror or '').lower()}") from error
    try:
        yield read_sif(descriptor)
    finally:
        os.close(descriptor)


def find_object(image: SifImage, number: int) -> Descriptor:
    """The object with this ID; ImageError says which there are."""
    for one in image.descriptors:
        if one.id == number:
            return one
    raise ImageError(
        f"there is no object {number} in the SIF",
        hints=(f"it has {', '.join(str(one.id) for one in image.descriptors) or 'none'}",),
    )


def pieces(image: SifImage, one: Descriptor) -> Iterator[bytes]:
    """An object's bytes, in pieces; ImageError where the file ends before it."""
    position, end = one.offset, one.offset + one.size
    while position < end:
        piece = os.pread(image.descriptor, min(_PIECE, end - position), position)
        if not piece:
            raise ImageError(f"the SIF is cut off in object {one.id}", hints=("fetch or build the image again",))
        yield piece
        position += len(piece)
