"""The files of an image as values, held in columns: a million entries must not cost a million objects.

Paths are bytes without a leading slash; the root is `b""`. Rows are in **canonical order**: depth first, a
directory before what is in it, names compared as bytes. Sorting by `sort_key` gives that order, because `/` becomes
a byte that sorts before every other that a name can hold.
"""

from __future__ import annotations

import stat
from array import array
from bisect import bisect_left
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile

Xattrs = tuple[tuple[bytes, bytes], ...]
"""Extended attributes, sorted by their full name (`b"security.capability"`)."""

NO_DIGEST = bytes(32)


def sort_key(path: bytes) -> bytes:
    return path.replace(b"/", b"\0")


def parent_of(path: bytes) -> bytes:
    """The directory that holds `path`; the root is its own parent."""
    return path.rpartition(b"/")[0]


def show_path(path: bytes) -> str:
    """`/`-rooted text for people; bytes that are not UTF-8 appear as surrogate escapes."""
    return "/" + path.decode("utf-8", "surrogateescape")


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of a tree, for reading and for tests.

    `mode` includes the type bits (S_IFMT). `mtime` is whole seconds, 0…2³²−1. `rdev` is `os.makedev`'s number and 0
    for all but devices. `link` is a symbolic link's target. Rows with the same `group` > 0 are one inode. `digest` is
    the raw SHA-256 of a regular file's content, `NO_DIGEST` where it is not known.
    """

    path: bytes
    mode: int
    uid: int = 0
    gid: int = 0
    mtime: int = 0
    rdev: int = 0
    size: int = 0
    link: bytes = b""
    group: int = 0
    xattrs: Xattrs = ()
    digest: bytes = NO_DIGEST

    @property
    def is_dir(self) -> bool:
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        return stat.S_ISREG(self.mode)

    @property
    def is_symlink(self) -> bool:
        return stat.S_ISLNK(self.mode)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree:
    """Columns of equal length, one row an entry; treat every column as read-only.

    `xattr_sets[0]` is the empty set; `xattrs[row]` indexes `xattr_sets`. `links` holds the symbolic links' targets by
    row. `digests` holds 32 bytes a row. A tree need not be complete: a layer's tree lists only what the layer lists.
    """

    paths: Sequence[bytes]
    modes: array[int]  # 'I'
    uids: array[int]  # 'I'
    gids: array[int]  # 'I'
    mtimes: array[int]  # 'Q'
    rdevs: array[int]  # 'Q'
    sizes: array[int]  # 'Q'
    groups: array[int]  # 'I'
    xattrs: array[int]  # 'I'
    xattr_sets: tuple[Xattrs, ...] = ((),)
    links: Mapping[int, bytes] = field(default_factory=dict)
    digests: bytes = b""

    def __len__(self) -> int:
        return len(self.paths)

    def entry(self, row: int) -> Entry:
        return Entry(
            path=self.paths[row],
            mode=self.modes[row],
            uid=self.uids[row],
            gid=self.gids[row],
            mtime=self.mtimes[row],
            rdev=self.rdevs[row],
            size=self.sizes[row],
            link=self.links.get(row, b""),
            group=self.groups[row],
            xattrs=self.xattr_sets[self.xattrs[row]],
            digest=self.digest(row),
        )

    def digest(self, row: int) -> bytes:
        return self.digests[row * 32 : row * 32 + 32]

    def entries(self) -> Iterator[Entry]:
        return (self.entry(row) for row in range(len(self)))

    def find(self, path: bytes) -> int | None:
        """The row of `path`, or None; paths are compared exactly, symbolic links are not followed."""
        row = bisect_left(self.paths, sort_key(path), key=sort_key)
        return row if row < len(self.paths) and self.paths[row] == path else None

    def below(self, row: int) -> Iterator[int]:
        """The rows of all that lies below the directory in `row`, in order."""
        prefix = self.paths[row] + b"/" if self.paths[row] else b""
        return takewhile(lambda each: self.paths[each].startswith(prefix), range(row + 1, len(self.paths)))

    def names(self, row: int) -> Iterator[bytes]:
        """The names in the directory in `row`, in order; none where it is none."""
        if not stat.S_ISDIR(self.modes[row]):
            return iter(())
        start = len(self.paths[row]) + 1 if self.paths[row] else 0
        found = (self.paths[each][start:] for each in self.below(row))
        return (name for name in found if b"/" not in name)


class TreeBuilder:
    """Collects rows in any order and gives the canonical tree; the last row of a path wins."""

    def __init__(self) -> None:
        self._rows: dict[bytes, Entry] = {}

    def add(self, entry: Entry) -> None:
        self._rows[entry.path] = entry

    def finish(self) -> Tree:
        return tree_of(self._rows[path] for path in sorted(self._rows, key=sort_key))


def tree_of(entries: Iterator[Entry] | Sequence[Entry]) -> Tree:
    """Make a tree of entries that are in canonical order already; ValueError where they are not."""
    paths: list[bytes] = []
    modes, uids, gids = array("I"), array("I"), array("I")
    mtimes, rdevs, sizes = array("Q"), array("Q"), array("Q")
    groups, xattrs = array("I"), array("I")
    sets: dict[Xattrs, int] = {(): 0}
    links: dict[int, bytes] = {}
    digests = bytearray()
    last: bytes | None = None
    for row, entry in enumerate(entries):
        key = sort_key(entry.path)
        if last is not None and key <= last:
            raise ValueError(f"{entry.path!r} is out of order")
        last = key
        paths.append(entry.path)
        modes.append(entry.mode)
        uids.append(entry.uid)
        gids.append(entry.gid)
        mtimes.append(entry.mtime)
        rdevs.append(entry.rdev)
        sizes.append(entry.size)
        groups.append(entry.group)
        xattrs.append(sets.setdefault(entry.xattrs, len(sets)))
        if entry.link:
            links[row] = entry.link
        digests += entry.digest
    return Tree(
        paths=paths,
        modes=modes,
        uids=uids,
        gids=gids,
        mtimes=mtimes,
        rdevs=rdevs,
        sizes=sizes,
        groups=groups,
        xattrs=xattrs,
        xattr_sets=tuple(sets),
        links=links,
        digests=bytes(digests),
    )
