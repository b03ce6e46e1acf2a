"""RPM's database in its SQLite form, in memory: a table of headers. Berkeley DB and ndb are not read.

A header is an index and a store (rpm, docs/manual/format_v4.md), big-endian:

    count u32 | store size u32 | count x (tag u32, type u32, offset u32, values u32) | store
"""

from __future__ import annotations

import sqlite3
import struct
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from sealift.evidence.files import ImageFiles
from sealift.evidence.managers.paragraphs import text_of
from sealift.evidence.packages import Listed, Told

FOLDERS = ("/usr/lib/sysimage/rpm", "/var/lib/rpm", "/usr/share/rpm")
"""Where distributions keep it; one is often a link to the other."""
OTHER_FORMS = {"Packages": "Berkeley DB", "Packages.db": "ndb"}
_NAME, _VERSION, _RELEASE, _EPOCH, _ARCH = 1000, 1001, 1002, 1003, 1022
_OLD_NAMES, _FOLDER_OF, _BASE_NAMES, _FOLDERS = 1027, 1116, 1117, 1118
_INT32, _STRING, _STRINGS, _TRANSLATED = 4, 6, 8, 9


class Header(NamedTuple):
    """Values by their tags; those of other types are left out."""

    numbers: Mapping[int, tuple[int, ...]]
    texts: Mapping[int, tuple[str, ...]]

    def text(self, tag: int) -> str:
        return self.texts[tag][0] if self.texts.get(tag) else ""


def read(files: ImageFiles) -> Told:
    listed, unread, seen = [], [], set()
    for folder in FOLDERS:
        row = files.file(f"{folder}/rpmdb.sqlite")
        if row is not None and row not in seen:
            seen.add(row)
            try:
                listed += [_listed(header) for header in headers(_with_log(files, row, f"{folder}/rpmdb.sqlite-wal"))]
            except (sqlite3.Error, struct.error, ValueError, TypeError) as error:
                unread.append(f"RPM's database `{folder}/rpmdb.sqlite` is damaged: {error}")
        for name, form in OTHER_FORMS.items():
            other = files.file(f"{folder}/{name}")
            if other is not None and other not in seen and row is None:
                seen.add(other)
                unread.append(f"RPM's database `{folder}/{name}` is in the form {form}, which is not read")
    return Told(listed=tuple(listed), unread=tuple(unread))


def headers(database: bytes) -> Iterator[Header]:
    """The headers of installed packages. sqlite3.Error, struct.error, ValueError or TypeError where it is damaged."""
    # A database in memory has no log beside it, and says so in these two bytes (sqlite.org/fileformat2.html).
    connection = sqlite3.connect(":memory:")
    try:
        connection.deserialize(database[:18] + b"\1\1" + database[20:])
        # A view could compute without end.
        if connection.execute("SELECT type FROM sqlite_master WHERE name = 'Packages'").fetchone() != ("table",):
            raise ValueError("it has no table of packages")
        for (blob,) in connection.execute("SELECT blob FROM Packages ORDER BY hnum"):
            if not isinstance(blob, bytes):
                raise TypeError("a header is no bytes")
            yield parse_header(blob)
    finally:
        connection.close()


def parse_header(blob: bytes) -> Header:
    """Read a header; struct.error or ValueError where it is damaged."""
    count, size = struct.unpack_from(">II", blob)
    start = 8 + 16 * count
    if count > 1 << 16 or len(blob) < start + size:
        raise ValueError("a header is cut off")
    store = blob[start : start + size]
    numbers, texts = dict[int, tuple[int, ...]](), dict[int, tuple[str, ...]]()
    for number in range(count):
        tag, kind, offset, values = struct.unpack_from(">IIII", blob, 8 + 16 * number)
        if kind == _INT32:
            numbers[tag] = struct.unpack_from(f">{values}I", store, offset)
        elif kind in (_STRING, _STRINGS, _TRANSLATED):
            parts = store[offset:].split(b"\0", values)
            if len(parts) <= values:
                raise ValueError("a header's text is cut off")
            texts[tag] = tuple(text_of(part) for part in parts[:values])
    return Header(numbers, texts)


def _listed(header: Header) -> Listed:
    epoch = "".join(f"{each}:" for each in header.numbers.get(_EPOCH, ())[:1])
    return Listed(
        name=header.text(_NAME),
        version=f"{epoch}{header.text(_VERSION)}-{header.text(_RELEASE)}",
        architecture=header.text(_ARCH),
        paths=[*_paths(header)],
    )


def _paths(header: Header) -> Iterator[str]:
    folders = header.texts.get(_FOLDERS, ())
    for name, folder in zip(header.texts.get(_BASE_NAMES, ()), header.numbers.get(_FOLDER_OF, ()), strict=True):
        if folder >= len(folders):
            raise ValueError("a header names a folder that is not there")
        yield folders[folder] + name
    yield from header.texts.get(_OLD_NAMES, ())


_LOG_HEADER, _FRAME = struct.Struct(">8I"), struct.Struct(">6I")


def _with_log(files: ImageFiles, row: int, log: str) -> bytes:
    """The database with what still stands in its write-ahead log, as a process that was killed leaves it."""
    database = files.read(row)
    found = files.file(log)
    frames = files.read(found) if found is not None else b""
    if len(frames) < _LOG_HEADER.size:
        return database
    _magic, _version, page, _number, salt1, salt2, _sum1, _sum2 = _LOG_HEADER.unpack_from(frames)
    if not 512 <= page <= 1 << 16:
        raise ValueError("its log is damaged")
    whole, waiting = bytearray(database), dict[int, bytes]()
    for at in range(_LOG_HEADER.size, len(frames) - page - _FRAME.size + 1, _FRAME.size + page):
        number, pages, one, two, _sum1, _sum2 = _FRAME.unpack_from(frames, at)
        if (one, two) != (salt1, salt2) or not number:
            break  # frames of an older log
        waiting[number] = frames[at + _FRAME.size : at + _FRAME.size + page]
        if pages:  # a transaction ends here
            whole.extend(bytes(max(0, pages * page - len(whole))))
            del whole[pages * page :]
            for each, content in waiting.items():
                if each <= pages:
                    whole[(each - 1) * page : each * page] = content
            waiting.clear()
    return bytes(whole)
