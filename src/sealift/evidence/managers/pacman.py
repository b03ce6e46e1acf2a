"""pacman: /var/lib/pacman/local has a folder for each package, with `desc` and `files` in blocks of `%NAME%`."""

from __future__ import annotations

from sealift.evidence.files import ImageFiles
from sealift.evidence.managers.paragraphs import text_of
from sealift.evidence.packages import Listed, Told

LOCAL = "/var/lib/pacman/local"


def read(files: ImageFiles) -> Told:
    listed = []
    for name in files.names(LOCAL):
        desc = _blocks(files, f"{LOCAL}/{name}/desc")
        if "NAME" in desc:
            listed.append(
                Listed(
                    name=desc["NAME"][0],
                    version="".join(desc.get("VERSION", ())[:1]),
                    architecture="".join(desc.get("ARCH", ())[:1]),
                    paths=[f"/{path}" for path in _blocks(files, f"{LOCAL}/{name}/files").get("FILES", ())],
                )
            )
    return Told(listed=tuple(listed))


def _blocks(files: ImageFiles, path: str) -> dict[str, list[str]]:
    row = files.file(path)
    found: dict[str, list[str]] = {}
    for block in text_of(files.read(row)).split("\n\n") if row is not None else ():
        title, *lines = block.strip("\n").split("\n")
        if title.startswith("%") and title.endswith("%") and lines:
            found[title.strip("%")] = lines
    return found
