"""apk: one file of paragraphs, one letter a field; `F:` opens a folder and `R:` names a file in it (apk's wiki)."""

from __future__ import annotations

from sealift.evidence.files import ImageFiles
from sealift.evidence.managers.paragraphs import text_of
from sealift.evidence.packages import Listed, Told

DATABASES = ("/lib/apk/db/installed", "/usr/lib/apk/db/installed")
"""Newer Alpines keep it below /usr; one may be a link to the other."""


def read(files: ImageFiles) -> Told:
    rows = {row for path in DATABASES if (row := files.file(path)) is not None}
    return Told(
        listed=tuple(
            _listed(paragraph)
            for row in sorted(rows)
            for paragraph in text_of(files.read(row)).split("\n\n")
            if paragraph.strip()
        )
    )


def _listed(paragraph: str) -> Listed:
    fields: dict[str, str] = {}
    paths, folder = [], ""
    for line in paragraph.split("\n"):
        letter, _, value = line.partition(":")
        if letter == "F":
            folder = value
        elif letter == "R":
            paths.append(f"/{folder}/{value}" if folder else f"/{value}")
        else:
            fields.setdefault(letter, value)
    return Listed(name=fields.get("P", ""), version=fields.get("V", ""), architecture=fields.get("A", ""), paths=paths)
