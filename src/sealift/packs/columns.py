"""Columns of numbers and lists of byte strings as bytes on disk: little-endian, the same on every machine."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterator, Sequence

Plain = Callable[[int], bytes]
"""Gives as many bytes as it is asked for, fewer at the end only."""

_PATHS_AT_ONCE = 1 << 14


def column_bytes(values: array[int]) -> bytes:
    if sys.byteorder == "big":
        values = values[:]
        values.byteswap()
    return values.tobytes()


def read_column(plain: Plain, code: str, count: int) -> array[int]:
    """ValueError where there are too few bytes."""
    values = array(code)
    data = plain(count * values.itemsize)
    if len(data) != count * values.itemsize:
        raise ValueError("too short")
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def path_bytes(paths: Sequence[bytes]) -> int:
    """How long `path_pieces` are together."""
    return sum(map(len, paths)) + max(len(paths) - 1, 0)


def path_pieces(paths: Sequence[bytes]) -> Iterator[bytes]:
    """The paths joined by NUL bytes, never in memory as a whole."""
    for start in range(0, len(paths), _PATHS_AT_ONCE):
        yield (b"\0" if start else b"") + b"\0".join(paths[start : start + _PATHS_AT_ONCE])


def text_of(data: bytes) -> str:
    """Any bytes as text that JSON can hold; `bytes_of` is the way back."""
    return data.decode("latin-1")


def bytes_of(text: str) -> bytes:
    return text.encode("latin-1")
