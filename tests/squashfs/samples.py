"""Trees for the judges: one with everything that a squashfs can hold, and strategies that draw others."""

from __future__ import annotations

import random
import stat
from collections.abc import Sequence
from dataclasses import replace

from hypothesis import strategies as st

from sealift.core.tree import Entry, Xattrs

BLOCK_SIZE = 1 << 16
CAPABILITY = bytes.fromhex("0100000200040000000000000000000000000000")
"""cap_net_bind_service+ep: version 2 of `struct vfs_cap_data` (Linux include/uapi/linux/capability.h)."""

Sample = tuple[list[Entry], dict[bytes, bytes]]


def folder(path: bytes, **more: object) -> Entry:
    return Entry(path=path, mode=stat.S_IFDIR | 0o755, **more)  # type: ignore[arg-type]


def file(path: bytes, **more: object) -> Entry:
    return Entry(path=path, **({"mode": stat.S_IFREG | 0o644} | more))  # type: ignore[arg-type]


def everything() -> Sample:
    """Each type, basic and extended; modes, owners, times, names and sizes at their edges; hard links; holes."""
    noise = random.Random(4).randbytes
    entries = [
        folder(b"", mtime=1),
        folder(b"empty"),
        folder(b"deep", xattrs=((b"user.of", b"a directory"),)),
        folder(b"deep/er"),
        folder(b"deep/er/still", uid=65534, gid=4294967294, mtime=2**32 - 1),
        Entry(path=b"sticky", mode=stat.S_IFDIR | 0o1777),
        Entry(path=b"setgid", mode=stat.S_IFDIR | 0o2750, uid=1000, gid=1000),
        file(b"a"),
        file(b"a.b"),
        folder(b"a-c"),
        file(b"a-c/x"),
        file(b"small", uid=1, gid=2, mtime=3),
        file(b"setuid", mode=stat.S_IFREG | 0o4755),
        file(b"none", mode=stat.S_IFREG),
        file(b"one-block"),
        file(b"blocks-and-tail", mtime=1700000000),
        file(b"hole-in-the-middle"),
        file(b"holes-only"),
        file(b"hole-at-the-end"),
        file(b"capable", xattrs=((b"security.capability", CAPABILITY),)),
        file(b"marked", xattrs=((b"trusted.x", b"y" * 300), (b"user.empty", b""), (b"user.x", b"y" * 300))),
        file(b"marked-too", xattrs=((b"user.other", b"y" * 300),)),
        file(b"first", group=7, mtime=9),
        file(b"deep/second", group=7, mtime=9),
        file(b"deep/er/third", group=7, mtime=9),
        file(b"alone", group=8),
        Entry(path=b"l", mode=stat.S_IFLNK | 0o777, link=b"deep/er"),
        Entry(path=b"long-link", mode=stat.S_IFLNK | 0o777, link=b"../" * 1300),
        Entry(path=b"marked-link", mode=stat.S_IFLNK | 0o777, link=b"\xff", xattrs=((b"trusted.l", b"1"),)),
        Entry(path=b"linked-link", mode=stat.S_IFLNK | 0o777, link=b"x", group=9),
        Entry(path=b"linked-link-too", mode=stat.S_IFLNK | 0o777, link=b"x", group=9),
        Entry(path=b"tty", mode=stat.S_IFCHR | 0o620, rdev=5 << 8, gid=5),
        Entry(path=b"whiteout", mode=stat.S_IFCHR, rdev=0),
        Entry(path=b"disk", mode=stat.S_IFBLK | 0o660, rdev=259 << 8 | 3 | 1 << 20, xattrs=((b"trusted.d", b"2"),)),
        Entry(path=b"char-marked", mode=stat.S_IFCHR | 0o660, rdev=1 << 8, xattrs=((b"trusted.d", b"2"),)),
        Entry(path=b"pipe", mode=stat.S_IFIFO | 0o600),
        Entry(path=b"pipe-marked", mode=stat.S_IFIFO | 0o600, xattrs=((b"trusted.d", b"2"),)),
        Entry(path=b"socket", mode=stat.S_IFSOCK | 0o755),
        Entry(path=b"socket-marked", mode=stat.S_IFSOCK | 0o755, xattrs=((b"trusted.s", b"3"),)),
        file(b"n" * 255),
        file("größe".encode()),
        file(b"not\xff\xfeutf-8\n\\x"),
        file(b" blank "),
        file(b"\x01"),
    ]
    contents = {
        b"a-c/x": b"x",
        b"small": b"small\n",
        b"one-block": noise(BLOCK_SIZE),
        b"blocks-and-tail": b"text " * BLOCK_SIZE + noise(1000),
        b"hole-in-the-middle": b"1" * BLOCK_SIZE + bytes(3 * BLOCK_SIZE) + b"2" * 10,
        b"holes-only": bytes(2 * BLOCK_SIZE),
        b"hole-at-the-end": b"3" * BLOCK_SIZE + bytes(BLOCK_SIZE + 5),
        b"capable": noise(500),
        b"first": b"linked" * 50_000,
        b"alone": b"one name only",
    }
    return entries, contents


def large_directories() -> Sample:
    """One with 12,000 names, one with the longest names, one in which inode numbers jump, one of many directories."""
    entries = [folder(b""), folder(b"many"), folder(b"long"), folder(b"jumps"), folder(b"nested")]
    entries += [file(b"many/file-%06d" % number) for number in range(12_000)]
    entries += [file(b"long/%03d%s" % (number, b"x" * 252)) for number in range(300)]
    for number in range(200):
        entries.append(file(b"jumps/%04d" % number, group=1 + number % 3))
        entries.append(folder(b"jumps/d%04d" % number))
        entries.append(file(b"jumps/d%04d/f" % number))
    entries += [folder(b"nested/%05d" % number, mtime=number) for number in range(3_000)]
    contents = {b"jumps/%04d" % number: b"%d" % (number % 3) for number in range(200)}
    return entries, contents


_NAMES = st.binary(min_size=1, max_size=255).filter(
    lambda name: name not in (b".", b"..") and b"/" not in name and b"\0" not in name
)
_SHORT_NAMES = st.sampled_from([b"a", b"b", b"a.b", b"a-b", b"\xff", b"A"]) | _NAMES
_XATTRS = st.dictionaries(
    st.sampled_from([b"user.a", b"user.b", b"trusted.a"])
    | st.binary(min_size=1, max_size=20).map(lambda raw: b"user." + raw.replace(b"\0", b"0")),
    st.sampled_from([b"", b"same value, longer than a reference"]) | st.binary(max_size=300),
    max_size=3,
).map(lambda found: tuple(sorted(found.items())))
_TIMES = st.integers(0, 2**32 - 1)
_IDS = st.sampled_from([0, 1, 1000, 65534, 2**32 - 2]) | st.integers(0, 2**32 - 2)
_CONTENTS = st.one_of(
    st.just(b""),
    st.binary(max_size=100),
    st.tuples(st.binary(min_size=1, max_size=9), st.integers(1, 3 * 4096)).map(lambda t: t[0] * t[1]),
    st.integers(0, 4 * 4096).map(bytes),
)
_KINDS = st.sampled_from(
    [stat.S_IFDIR] * 4 + [stat.S_IFREG] * 6 + [stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK]
)


@st.composite
def samples(draw: st.DrawFn, *, most: int = 40) -> Sample:
    """A random complete tree for a block size of 4096."""
    entries = {b"": folder(b"", mtime=draw(_TIMES), xattrs=draw(_XATTRS))}
    contents: dict[bytes, bytes] = {}
    folders = [b""]
    linkable: list[Entry] = []
    for _ in range(draw(st.integers(0, most))):
        parent = draw(st.sampled_from(folders))
        name = draw(_SHORT_NAMES)
        path = parent + b"/" + name if parent else name
        if path in entries:
            continue
        if linkable and draw(st.integers(0, 5)) == 0:
            target = draw(st.sampled_from(linkable))
            entries[path] = replace(target, path=path)
            if target.path in contents:
                contents[path] = contents[target.path]
            continue
        entry = _entry(draw, path, group=len(entries))
        entries[path] = entry
        if entry.is_dir:
            folders.append(path)
        else:
            linkable.append(entry)
        if entry.is_file:
            contents[path] = draw(_CONTENTS)
    return list(entries.values()), contents


def _entry(draw: st.DrawFn, path: bytes, *, group: int) -> Entry:
    kind = draw(_KINDS)
    xattrs: Xattrs = draw(st.just(()) | _XATTRS)
    if kind not in (stat.S_IFDIR, stat.S_IFREG):
        # Linux allows no attributes of users on anything else.
        xattrs = tuple((name, value) for name, value in xattrs if not name.startswith(b"user."))
    return Entry(
        path=path,
        mode=kind | (0o777 if kind == stat.S_IFLNK else draw(st.integers(0, 0o7777))),
        uid=draw(_IDS),
        gid=draw(_IDS),
        mtime=draw(_TIMES),
        rdev=draw(st.integers(0, 2**32 - 1)) if kind in (stat.S_IFCHR, stat.S_IFBLK) else 0,
        link=draw(st.binary(min_size=1, max_size=100).filter(lambda raw: b"\0" not in raw))
        if kind == stat.S_IFLNK
        else b"",
        group=0 if kind == stat.S_IFDIR else group,
        xattrs=xattrs,
    )


def shuffled(entries: Sequence[Entry]) -> list[Entry]:
    """A fixed shuffle: the order in which rows are handed in must not matter."""
    found = list(entries)
    random.Random(1).shuffle(found)
    return found
