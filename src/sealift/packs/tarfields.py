"""What single fields and records of tar headers say: numbers, times, devices, pax records, extended attributes."""

from __future__ import annotations

import base64
import binascii
import re
import urllib.parse

from sealift.core.tree import Xattrs
from sealift.errors import ImageError


def show_name(name: bytes) -> str:
    return name[:200].decode("utf-8", "backslashreplace")


def parse_number(field: bytes) -> int:
    first = field[0]
    if first & 0x80:
        value = int.from_bytes(field, "big", signed=False) & ((1 << (8 * len(field) - 1)) - 1)
        return value - (1 << (8 * len(field) - 1)) if first & 0x40 else value
    text = field.partition(b"\0")[0].strip()
    if not text:
        return 0
    if not text.isdigit():
        raise ImageError("the tar archive is damaged: a header's number is none")
    try:
        return int(text, 8)
    except ValueError:
        raise ImageError("the tar archive is damaged: a header's number is none") from None


def parse_decimal(text: bytes) -> int:
    if not text.isdigit() or len(text) > 20:
        raise ImageError("the tar archive is damaged: a pax record's number is none")
    return int(text)


def parse_seconds(text: bytes) -> int:
    """Whole seconds, rounded down: pax times are decimal fractions and may be negative."""
    match = re.fullmatch(rb"(-?)(\d{1,20})(?:\.(\d*))?", text)
    if not match:
        raise ImageError("the tar archive is damaged: a pax record's time is none")
    seconds = int(match[2])
    if match[1]:
        return -seconds - (1 if match[3] and match[3].strip(b"0") else 0)
    return seconds


def device_number(major: int, minor: int, name: bytes) -> int:
    """`os.makedev` by Linux's rule, for every system; squashfs has 12 bits for the major and 20 for the minor."""
    if not 0 <= major < 1 << 12 or not 0 <= minor < 1 << 20:
        raise ImageError(f"the device `{show_name(name)}` in the tar archive has the numbers {major}:{minor}")
    return (minor & 0xFF) | (major << 8) | ((minor & ~0xFF) << 12)


def pax_records(data: bytes, pairs: list[bytes]) -> dict[bytes, bytes]:
    """`LENGTH KEY=VALUE` lines; sparse format 0.0 repeats keys, so those go to `pairs` in order."""
    records: dict[bytes, bytes] = {}
    at = 0
    while at < len(data):
        space = data.find(b" ", at, at + 20)
        length = int(data[at:space]) if space > at and data[at:space].isdigit() else 0
        record = data[space + 1 : at + length]
        key, equals, value = record[:-1].partition(b"=")
        if length <= 0 or at + length > len(data) or not record.endswith(b"\n") or not equals:
            if not data[at:].strip(b"\0"):
                break
            raise ImageError("the tar archive is damaged: a pax record is malformed")
        if key in {b"GNU.sparse.offset", b"GNU.sparse.numbytes"}:
            pairs.append(value)
        elif value or key.startswith(b"SCHILY.xattr."):
            records[key] = value
        else:
            records.pop(key, None)  # an empty value takes a global record back
        at += length
    return records


def pax_xattrs(pax: dict[bytes, bytes]) -> Xattrs:
    """SCHILY's form (star, GNU tar, Go, engines) wins over libarchive's where an archive has both."""
    found: dict[bytes, bytes] = {}
    for key, value in pax.items():
        if key.startswith(b"LIBARCHIVE.xattr."):
            name = urllib.parse.unquote_to_bytes(key[17:])
            try:
                found.setdefault(name, base64.b64decode(value + b"=" * (-len(value) % 4)))
            except binascii.Error as error:
                raise ImageError("the tar archive is damaged: an extended attribute is not base64") from error
    for key, value in pax.items():
        if key.startswith(b"SCHILY.xattr."):
            found[key[13:]] = value
    return tuple(sorted(found.items()))


def old_segments(data: bytes) -> list[tuple[int, int]]:
    found = []
    for at in range(0, len(data) - 23, 24):
        if data[at] == 0 and data[at + 12] == 0:
            break
        found.append((parse_number(data[at : at + 12]), parse_number(data[at + 12 : at + 24])))
    return found
