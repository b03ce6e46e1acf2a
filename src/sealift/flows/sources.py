"""The identity of what `%files` brings from the host: names, modes and content, links followed as `cp -fLr` does."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence

from sealift.sections.expansion import Copy


def digest_sources(copies: Sequence[Copy]) -> list[list[object]]:
    """For each copy, where it goes and a digest of all that it brings. What cannot be read has a digest of its own."""
    return [[os.path.basename(copy.source.rstrip("/")), copy.destination, _digest(copy.source)] for copy in copies]


def _digest(path: str) -> str:
    whole = hashlib.sha256()
    for line in _lines(path, "", set()):
        whole.update(line)
    return whole.hexdigest()


def _lines(path: str, name: str, above: set[tuple[int, int]]) -> Iterator[bytes]:
    label = os.fsencode(name)
    try:
        found = os.stat(path)
    except OSError as error:
        yield b"%d %b\0" % (error.errno or 0, label)
        return
    identity = (found.st_dev, found.st_ino)
    if stat.S_ISDIR(found.st_mode):
        yield b"d %o %b\0" % (stat.S_IMODE(found.st_mode), label)
        if identity not in above:
            for child in sorted(os.listdir(path)):
                yield from _lines(os.path.join(path, child), f"{name}/{child}", above | {identity})
    elif stat.S_ISREG(found.st_mode):
        with open(path, "rb") as file:
            content = hashlib.file_digest(file, "sha256").digest()
        yield b"f %o %b\0%b" % (stat.S_IMODE(found.st_mode), label, content)
    else:
        yield b"o %o %d %b\0" % (found.st_mode, found.st_rdev, label)
