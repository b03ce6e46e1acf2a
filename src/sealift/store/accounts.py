"""How much the store holds, what may go, and whether it is whole."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from sealift.core.digest import Digest, parse_digest
from sealift.errors import ImageError, SealiftError
from sealift.store.hashing import digest_file
from sealift.store.leases import Leases
from sealift.store.parts import Parts, part_name

Check = Callable[[str], object]
"""Looks at the file of a result; raises SealiftError, ValueError or OSError when it is damaged."""

KEEP_PARTS = 7 * 86400.0
"""Seconds for which an interrupted download is worth resuming."""
_REMAINS = 86400.0
"""Seconds after which nobody holds a lock any more: its holder would have renewed it."""
_YOUNG = 30.0
"""Seconds in which a part may not be locked yet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What the store holds of one kind: `blobs`, `packs`, …, `parts`. Times in seconds since 1970."""

    kind: str
    count: int
    size: int
    oldest_use: float
    latest_use: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """What a prune removed and what it left, in entries and bytes; `in_use` bytes could not go."""

    removed: int
    freed: int
    left: int
    in_use: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Damaged:
    """An entry that was damaged, and is removed now."""

    name: str
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    name: str
    path: str
    size: int
    used: float

    @property
    def kind(self) -> str:
        return self.name.partition("/")[0]


def usage(root: str, parts: Parts) -> tuple[Usage, ...]:
    by_kind: dict[str, list[_Entry]] = {}
    for entry in (*_entries(root), *_part_entries(parts.all())):
        by_kind.setdefault(entry.kind, []).append(entry)
    return tuple(
        Usage(
            kind=kind,
            count=len(entries),
            size=sum(e.size for e in entries),
            oldest_use=min(e.used for e in entries),
            latest_use=max(e.used for e in entries),
        )
        for kind, entries in sorted(by_kind.items())
    )


def prune(
    root: str,
    limit: int | None,
    *,
    parts: Parts,
    leases: Leases,
    alone: Callable[[], contextlib.AbstractContextManager[None]],
    clock: Callable[[], float] = time.time,
) -> Pruned:
    """Sweep, then remove the entries used longest ago until `limit` bytes are left; None: only sweep.

    `alone()` keeps others from claiming entries: the leases are read and the entries removed within it.
    """
    removed = freed = 0
    resumable: list[_Entry] = []
    for entry in _part_entries(parts.dead()):
        age = clock() - entry.used
        if age < _YOUNG:
            continue
        if age < KEEP_PARTS and part_name(entry.path).startswith("blobs-"):
            resumable.append(entry)
        elif _unlink(entry.path):
            removed, freed = removed + 1, freed + entry.size
    leases.in_use()  # sweeps those of dead processes
    _sweep_digests(root)
    _sweep_remains(root, clock())
    entries = [*_entries(root), *resumable]
    left = sum(entry.size for entry in entries)
    in_use = 0
    if limit is not None and left > limit:
        with alone():
            claimed = leases.in_use()
            for entry in sorted(entries, key=lambda e: (e.used, e.name)):
                if entry.name in claimed:
                    in_use += entry.size
                elif left > limit and _unlink(entry.path):
                    removed, freed, left = removed + 1, freed + entry.size, left - entry.size
    return Pruned(removed=removed, freed=freed, left=left, in_use=in_use)


def verify(root: str, checks: Mapping[str, Check], *, remove: Callable[[str], None]) -> tuple[Damaged, ...]:
    damaged = []
    for entry in _entries(root):
        try:
            _verify_entry(root, entry, checks.get(entry.kind))
        except FileNotFoundError:
            continue  # pruned meanwhile
        except (SealiftError, ValueError, OSError) as error:
            damaged.append(Damaged(name=entry.name, problem=str(error)))
            remove(entry.name)
    return tuple(damaged)


def _verify_entry(root: str, entry: _Entry, check: Check | None) -> None:
    check_digest(root, entry.name)
    if check is not None:
        check(entry.path)


def check_digest(root: str, name: str) -> None:
    """Read all of an entry whose digest is known; ImageError when it is another."""
    wanted = _known_digest(root, name)
    if wanted is not None:
        found = digest_file(os.path.join(root, name), wanted.partition(":")[0])
        if found != wanted:
            raise ImageError(f"its digest is `{found}`, not `{wanted}`")


def _known_digest(root: str, name: str) -> Digest | None:
    if name.startswith("blobs/"):
        _, algorithm, digits = name.split("/")
        return parse_digest(f"{algorithm}:{digits}")
    try:
        with open(os.path.join(root, "digests", name), encoding="utf-8") as file:
            return parse_digest(file.read().strip())
    except (OSError, ValueError):
        return None


def _entries(root: str) -> Iterator[_Entry]:
    for kind in _folders(root):
        if kind in ("parts", "leases", "locks", "digests"):
            continue
        if kind in ("blobs", "records"):
            for inner in _folders(os.path.join(root, kind)):
                yield from _files(root, f"{kind}/{inner}")
        else:
            yield from _files(root, kind)


def _folders(folder: str) -> list[str]:
    try:
        with os.scandir(folder) as found:
            return sorted(item.name for item in found if item.is_dir(follow_symlinks=False))
    except FileNotFoundError:
        return []


def _files(root: str, folder: str) -> Iterator[_Entry]:
    try:
        with os.scandir(os.path.join(root, folder)) as found:
            items = sorted(found, key=lambda item: item.name)
    except FileNotFoundError:
        return
    for item in items:
        with contextlib.suppress(FileNotFoundError):
            if item.is_file(follow_symlinks=False) and not item.name.startswith("."):
                status = item.stat(follow_symlinks=False)
                yield _Entry(name=f"{folder}/{item.name}", path=item.path, size=status.st_size, used=status.st_mtime)


def _part_entries(paths: Iterator[str]) -> Iterator[_Entry]:
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            status = os.stat(path)
            yield _Entry(name=f"parts/{os.path.basename(path)}", path=path, size=status.st_size, used=status.st_mtime)


def _sweep_digests(root: str) -> None:
    """Forget the digests of entries that are gone."""
    for kind in _folders(os.path.join(root, "digests")):
        for note in _files(root, f"digests/{kind}"):
            if time.time() - note.used > _YOUNG and not os.path.exists(
                os.path.join(root, note.name.removeprefix("digests/"))
            ):
                _unlink(note.path)


def _sweep_remains(root: str, now: float) -> None:
    """Remove small files that killed processes left: half-written records and digests, link locks."""
    folders = [os.path.join(root, "locks")]
    for kind in ("records", "digests"):
        folders += [os.path.join(root, kind, inner) for inner in _folders(os.path.join(root, kind))]
    for folder in folders:
        with contextlib.suppress(FileNotFoundError):
            for name in os.listdir(folder):
                path = os.path.join(folder, name)
                half_written = name.startswith(".") and name.endswith(".part")
                if (half_written or ".link" in name) and now - os.stat(path).st_mtime > _REMAINS:
                    _unlink(path)


def _unlink(path: str) -> bool:
    try:
        os.unlink(path)
    except OSError:
        return False
    return True
