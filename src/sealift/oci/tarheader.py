r"""One entry of a tree as the header of a layer's tar archive: ustar, with pax records where ustar has no room.

    name 100 | mode 8 | uid 8 | gid 8 | size 12 | mtime 12 | checksum 8 | type 1 | link 100 |
    "ustar\0" "00" | user 32 | group 32 | major 8 | minor 8 | prefix 155 | 12 zero bytes

POSIX.1-2017, pax, "ustar Interchange Format" and "pax Extended Header". The prefix stays empty: every reader of layers
knows pax, and one way to write a long name gives one sequence of bytes. Extended attributes are `SCHILY.xattr.`
records, which Docker, containerd, Podman, umoci and GNU tar read. There is no user or group by name.
"""

from __future__ import annotations

import stat

from sealift.core.tree import Entry, show_path
from sealift.errors import ImageError

BLOCK = 512
END = bytes(2 * BLOCK)
"""Two blocks of zeros end an archive."""
WHITEOUT = b".wh."

_TYPES = {
    stat.S_IFREG: b"0",
    stat.S_IFLNK: b"2",
    stat.S_IFCHR: b"3",
    stat.S_IFBLK: b"4",
    stat.S_IFDIR: b"5",
    stat.S_IFIFO: b"6",
}
_HARD_LINK = b"1"
_PAX = b"x"
_NAME_SIZE = 100
_LARGEST_ID = 0o7777777
_LARGEST_SIZE = 0o77777777777
_PAX_NAME = b"././@PaxHeader"


def entry_header(entry: Entry, *, hard_link_to: bytes | None = None) -> bytes:
    """The header of `entry`; with `hard_link_to`, of a further name of that path, which stands earlier.

    The content follows, filled up by `padding`. ImageError where a layer cannot hold the entry.
    """
    if entry.path.rpartition(b"/")[2].startswith(WHITEOUT):
        raise ImageError(
            f"`{show_path(entry.path)}` cannot be in an OCI image, where `.wh.` before a name means that it is removed",
            hints=("rename it in %post, or write a SIF: sealift build image.sif SPEC",),
        )
    kind = stat.S_IFMT(entry.mode)
    if kind not in _TYPES:
        raise ValueError(f"no tar archive holds what {show_path(entry.path)} is")
    name = (entry.path or b".") + (b"/" if kind == stat.S_IFDIR else b"")
    link = entry.link if hard_link_to is None else hard_link_to
    size = entry.size if kind == stat.S_IFREG and hard_link_to is None else 0
    pax = _pax_records(entry, name, link, size)
    major, minor = _device(entry.rdev)
    return pax + _block(
        name=name[:_NAME_SIZE],
        mode=stat.S_IMODE(entry.mode),
        uid=entry.uid if entry.uid <= _LARGEST_ID else 0,
        gid=entry.gid if entry.gid <= _LARGEST_ID else 0,
        size=size if size <= _LARGEST_SIZE else 0,
        mtime=entry.mtime,
        kind=_TYPES[kind] if hard_link_to is None else _HARD_LINK,
        link=link[:_NAME_SIZE],
        device=(major, minor) if kind in (stat.S_IFCHR, stat.S_IFBLK) else (0, 0),
    )


def whiteout_header(path: bytes, *, mtime: int) -> bytes:
    """The mark that `path` of the layers below is gone (OCI image spec, layer.md, "Whiteouts")."""
    folder, slash, last = path.rpartition(b"/")
    name = folder + slash + WHITEOUT + last
    records = {b"path": name} if len(name) > _NAME_SIZE else {}
    return _pax_block(records) + _block(name=name[:_NAME_SIZE], mtime=mtime, kind=_TYPES[stat.S_IFREG])


def padding(size: int) -> bytes:
    """What fills the content up to a whole block."""
    return bytes(-size % BLOCK)


def _pax_records(entry: Entry, name: bytes, link: bytes, size: int) -> bytes:
    records: dict[bytes, bytes] = {}
    if len(name) > _NAME_SIZE:
        records[b"path"] = name
    if len(link) > _NAME_SIZE:
        records[b"linkpath"] = link
    for key, value, largest in (
        (b"uid", entry.uid, _LARGEST_ID),
        (b"gid", entry.gid, _LARGEST_ID),
        (b"size", size, _LARGEST_SIZE),
    ):
        if value > largest:
            records[key] = b"%d" % value
    # A further name repeats the attributes: Docker sets owner and mode of the inode again, which drops capabilities.
    for attribute, value_of in entry.xattrs:
        if b"=" in attribute:
            raise ImageError(
                f"`{show_path(entry.path)}` has an extended attribute with `=` in its name, which no OCI image can hold"
            )
        records[b"SCHILY.xattr." + attribute] = value_of
    return _pax_block(records)


def _pax_block(records: dict[bytes, bytes]) -> bytes:
    if not records:
        return b""
    # Names are bytes to Linux and UTF-8 to pax; this record, which comes first, says that they are not converted.
    first = b"" if all(map(_is_text, (records.get(b"path", b""), records.get(b"linkpath", b"")))) else _BINARY
    data = first + b"".join(_pax_record(key, records[key]) for key in sorted(records))
    return _block(name=_PAX_NAME, size=len(data), kind=_PAX) + data + padding(len(data))


def _is_text(name: bytes) -> bool:
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _pax_record(key: bytes, value: bytes) -> bytes:
    r"""`LENGTH KEY=VALUE\n`, where LENGTH counts its own digits, too."""
    rest = len(key) + len(value) + 3
    length = rest + len(str(rest))
    if len(str(length)) > len(str(rest)):
        length += 1
    return b"%d %b=%b\n" % (length, key, value)


_BINARY = _pax_record(b"hdrcharset", b"BINARY")


def _device(rdev: int) -> tuple[int, int]:
    """Major and minor of Linux's numbers, on every system."""
    return (rdev >> 8) & 0xFFF | (rdev >> 32) & ~0xFFF, rdev & 0xFF | (rdev >> 12) & ~0xFF & 0xFFFFFFFF


def _block(
    *,
    name: bytes,
    kind: bytes,
    mode: int = 0,
    uid: int = 0,
    gid: int = 0,
    size: int = 0,
    mtime: int = 0,
    link: bytes = b"",
    device: tuple[int, int] = (0, 0),
) -> bytes:
    head = b"%b%07o\0%07o\0%07o\0%011o\0%011o\0" % (name.ljust(100, b"\0"), mode, uid, gid, size, mtime)
    tail = b"%b%bustar\x0000%b%07o\0%07o\0%b" % (kind, link.ljust(100, b"\0"), bytes(64), *device, bytes(167))
    checksum = sum(head) + sum(tail) + 8 * 0x20
    return head + b"%06o\0 " % checksum + tail
