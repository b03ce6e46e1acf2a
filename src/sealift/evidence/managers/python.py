"""Python: NAME.dist-info and NAME.egg-info in the folders where interpreters look, `site-packages` and the like.

A package that lies inside another one (`_vendor`) is a part of it, as pip has it.
"""

from __future__ import annotations

import csv
import os
import re
from collections.abc import Iterator

from sealift.evidence.files import ImageFiles
from sealift.evidence.managers.paragraphs import paragraphs, text_of
from sealift.evidence.packages import Listed, Told

_METADATA = re.compile(
    rb"(?P<site>.*(?:site|dist)-packages)/"
    rb"(?P<home>[^/]+\.dist-info(?=/METADATA$)|[^/]+\.egg-info(?=/PKG-INFO$|$)|[^/]+\.egg(?=/EGG-INFO/PKG-INFO$))"
)


def read(files: ImageFiles) -> Told:
    homes: list[tuple[int, bytes, bytes]] = []
    for row, path in enumerate(files.tree.paths):
        found = _METADATA.match(path) if b"-packages/" in path else None
        # An egg-info may be a file; where it is a folder, its PKG-INFO comes as a row of its own.
        if found is not None and files.tree.modes[row] & 0o170000 == 0o100000:
            homes.append((row, found["site"], found["home"]))
    listed, unread = [], []
    for row, site, home in homes:
        fields = next(paragraphs(text_of(files.read(row)).partition("\n\n")[0]), {})
        if "name" not in fields or "version" not in fields:
            unread.append(f"`/{os.fsdecode(files.tree.paths[row])}` names no package")
            continue
        try:
            paths = [*_files(files, os.fsdecode(site), os.fsdecode(home), row)]
        except csv.Error as error:
            unread.append(f"`/{os.fsdecode(site)}/{os.fsdecode(home)}/RECORD` is damaged: {error}")
            continue
        listed.append(
            Listed(name=fields["name"], version=fields["version"], place=f"/{os.fsdecode(site)}", paths=paths)
        )
    return Told(listed=tuple(listed), unread=tuple(unread))


def _files(files: ImageFiles, site: str, home: str, row: int) -> Iterator[str]:
    own = f"/{site}/{home}"
    if home.endswith(".egg"):
        yield from _below(files, own)
        return
    yield "/" + os.fsdecode(files.tree.paths[row])
    if files.names(own):
        yield from _below(files, own)
    record = files.file(f"{own}/RECORD")
    if record is not None:
        for line in csv.reader(text_of(files.read(record)).splitlines()):
            if line:
                yield os.path.normpath(f"/{site}/{line[0]}")
    installed = files.file(f"{own}/installed-files.txt")
    if installed is not None:
        for name in text_of(files.read(installed)).splitlines():
            yield os.path.normpath(f"{own}/{name}")


def _below(files: ImageFiles, folder: str) -> Iterator[str]:
    row = files.row(folder)
    for each in files.tree.below(row) if row is not None else ():
        yield "/" + os.fsdecode(files.tree.paths[each])
