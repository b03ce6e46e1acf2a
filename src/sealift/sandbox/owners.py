"""Owners and devices that were asked for in a sandbox but that its user namespace cannot hold: recorded, read back.

A record names a file of the upper layer by its inode number and its time of birth, so renames and hard links need no
care and a number that is used again is not mistaken. Records are appended as JSON lines; the last one of a file wins.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass

from sealift.system import kernel


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """What an entry of the upper layer truly is; `mode` has the type that a recorded device should have."""

    uid: int
    gid: int
    mode: int
    rdev: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """One line: `uid` and `gid` are None where nobody asked for one; `kind` is a device's type, else 0."""

    inode: int
    birth: int
    uid: int | None
    gid: int | None
    kind: int = 0
    rdev: int = 0
    at: int = 0

    def line(self) -> bytes:
        return (
            json.dumps(
                [self.inode, self.birth, self.uid, self.gid, self.kind, self.rdev, self.at], separators=(",", ":")
            ).encode()
            + b"\n"
        )


def read_records(path: str) -> dict[tuple[int, int], Record]:
    """The records of a journal, by inode and birth; a last line that a killed process left unfinished is no record."""
    found: dict[tuple[int, int], Record] = {}
    try:
        with open(path, "rb") as file:
            lines = file.read().splitlines(keepends=True)
    except FileNotFoundError:
        return found
    for line in lines:
        if not line.endswith(b"\n"):
            break
        inode, birth, uid, gid, kind, rdev, at = json.loads(line)
        old = found.get((inode, birth))
        found[inode, birth] = Record(
            inode=inode,
            birth=birth,
            uid=uid if uid is not None else (old.uid if old else None),
            gid=gid if gid is not None else (old.gid if old else None),
            kind=kind or (old.kind if old else 0),
            rdev=rdev or (old.rdev if old else 0),
            at=at,
        )
    return found


def read_owners(journal: str, upper: str) -> Mapping[int, Owner]:
    records = read_records(journal)
    if not records:
        return {}
    numbers = {inode for inode, _ in records}
    owners: dict[int, Owner] = {}
    for folder, folders, files in os.walk(os.fsencode(upper)):
        for name in (*folders, *files):
            path = os.path.join(folder, name)
            found = os.lstat(path)
            if found.st_ino not in numbers or found.st_ino in owners:
                continue
            record = records.get(kernel.birth(path))
            if record is not None:
                owners[found.st_ino] = Owner(
                    uid=found.st_uid if record.uid is None else record.uid,
                    gid=found.st_gid if record.gid is None else record.gid,
                    mode=(record.kind or stat.S_IFMT(found.st_mode)) | stat.S_IMODE(found.st_mode),
                    rdev=record.rdev if record.kind else found.st_rdev,
                )
    return owners
