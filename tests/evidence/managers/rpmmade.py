"""RPM headers and databases, written by hand after rpm's own description of the format."""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

Value = str | Sequence[str] | Sequence[int]


def header(values: Mapping[int, Value]) -> bytes:
    """Texts alone are strings, lists of texts are string arrays, lists of numbers are 32-bit numbers."""
    index, store = b"", b""
    for tag, value in sorted(values.items()):
        items = [value] if isinstance(value, str) else list(value)
        if items and isinstance(items[0], int):
            store += bytes(-len(store) % 4)
            index += struct.pack(">IIII", tag, 4, len(store), len(items))
            store += struct.pack(f">{len(items)}I", *items)
        else:
            index += struct.pack(">IIII", tag, 6 if isinstance(value, str) else 8, len(store), len(items))
            store += b"".join(str(item).encode() + b"\0" for item in items)
    return struct.pack(">II", len(values), len(store)) + index + store


def database(path: Path, headers: Sequence[bytes]) -> bytes:
    """The bytes of an rpmdb.sqlite with these headers, in write-ahead mode as rpm leaves it."""
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY AUTOINCREMENT, blob BLOB NOT NULL)")
    connection.executemany("INSERT INTO Packages (blob) VALUES (?)", [(one,) for one in headers])
    connection.commit()
    connection.close()
    return path.read_bytes()
