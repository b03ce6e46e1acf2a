"""dpkg: /var/lib/dpkg/status, the lists of files beside it, and what was diverted.

Distroless images have a status.d with a file for each package, and its files in NAME.md5sums.
"""

from __future__ import annotations

from collections.abc import Iterator

from sealift.evidence.files import ImageFiles
from sealift.evidence.managers.paragraphs import paragraphs, text_of
from sealift.evidence.packages import Listed, Told

HOME = "/var/lib/dpkg"
_NOT_THERE = ("not-installed", "config-files")
"""States of packages whose files are gone (dpkg(1), "Package states")."""


def read(files: ImageFiles) -> Told:
    diverted = dict(_diversions(files))
    lists = set(files.names(f"{HOME}/info"))
    listed = []
    status = files.file(f"{HOME}/status")
    for fields in paragraphs(text_of(files.read(status))) if status is not None else ():
        name, state = fields.get("package", ""), fields.get("status", "").split()
        if not name or (state and state[-1] in _NOT_THERE):
            continue
        architecture = fields.get("architecture", "")
        own = next((one for one in (f"{name}:{architecture}.list", f"{name}.list") if one in lists), None)
        paths = _lines(files, f"{HOME}/info/{own}") if own else ()
        real = [diverted[path][0] if path in diverted and diverted[path][1] != name else path for path in paths]
        listed.append(_listed(fields, real))
    for one in files.names(f"{HOME}/status.d"):
        if one.endswith(".md5sums"):
            continue
        content = _text(files, f"{HOME}/status.d/{one}")
        sums = _lines(files, f"{HOME}/status.d/{one}.md5sums")
        paths = ["/" + line.partition("  ")[2].removeprefix("./") for line in sums]
        listed += [_listed(fields, paths) for fields in paragraphs(content) if "package" in fields]
    return Told(listed=tuple(listed))


def _listed(fields: dict[str, str], paths: list[str]) -> Listed:
    return Listed(
        name=fields["package"],
        version=fields.get("version", ""),
        architecture=fields.get("architecture", ""),
        paths=paths,
    )


def _diversions(files: ImageFiles) -> Iterator[tuple[str, tuple[str, str]]]:
    """The path that packages name, to where it was moved and for which package (`:` for the administrator)."""
    lines = _lines(files, f"{HOME}/diversions")
    for original, moved, package in zip(lines[::3], lines[1::3], lines[2::3], strict=False):
        yield original, (moved, package)


def _lines(files: ImageFiles, path: str) -> list[str]:
    return _text(files, path).splitlines()


def _text(files: ImageFiles, path: str) -> str:
    row = files.file(path)
    return text_of(files.read(row)) if row is not None else ""
