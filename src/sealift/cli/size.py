"""`sealift size IMAGE`: where the bytes of an image went, for the terminal, as JSON, or as an HTML page."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sealift.cli.findings import safe
from sealift.cli.inspection import say
from sealift.cli.summary import FORMS, size_text

EPILOG = """\
examples:
  sealift size pytorch.sif
  sealift size pytorch.sif --html size.html     a map to look at, to zoom and to search, in any browser
  sealift size pytorch.sif --json | jq .leftovers
"""
_KINDS = {"build": "what only building needs", "cache": "caches left"}


def configure(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    add = parser.add_argument
    add("image", metavar="IMAGE", help="x.sif, x.sqfs, a folder, docker://…, oras://…, oci:DIR[:TAG], …")
    add("--html", metavar="FILE", default="", help="write a page with a map of the image")
    add("--json", action="store_true", help="print everything as JSON")
    add("--top", metavar="N", type=_number, default=10, help="lines of each table (10)")
    add("--no-https", action="store_true", help="talk plain HTTP to the registry")


def execute(options: argparse.Namespace) -> int:
    from sealift.flows.size import size
    from sealift.system.process import environment

    found = size(
        options.image,
        environment(),
        page=options.html,
        folders=options.top,
        insecure=options.no_https,
        events=say,
    )
    print(json.dumps(found, indent=2) if options.json else "\n".join(_lines(found, options.top)))
    if options.html:
        print(f"look at it: {options.html}", file=sys.stderr)
    return 0


def _number(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"`{text}` is no number of lines")
    return int(text)


def _lines(found: Mapping[str, Any], top: int) -> Iterable[str]:
    yield _head(found)
    yield from _table("by package", [_package(one) for one in found["packages"]], top)
    yield from _table("by folder", [_folder(one) for one in found["folders"]])
    if found["layers"]:
        yield from _table("by layer", [_layer(one) for one in found["layers"]])
    for kind, title in _KINDS.items():
        yield from _leftovers(title, [one for one in found["leftovers"] if one["kind"] == kind])
    yield from _duplicates(found["duplicates"], top)
    if found["unread"]:
        yield ""
    for sentence in found["unread"]:
        yield f"not read: {safe(sentence)}"


def _head(found: Mapping[str, Any]) -> str:
    text = f"{found['image']}: {size_text(found['size'])} in {_files(found['files'])}"
    if found["stored"] is not None:
        text += (
            f", which take {size_text(found['stored'])} of the {FORMS[found['form']]}'s {size_text(found['file_size'])}"
        )
    return text


_Row = tuple[str, int, int, int | None]
"""A line's text, its files, what they hold, and what that takes in the image file."""


def _package(one: Mapping[str, Any]) -> _Row:
    name = " ".join(filter(None, (one["manager"], one["name"], one["version"]))) if one["name"] else "no package's"
    return name, one["files"], one["size"], one["stored"]


def _folder(one: Mapping[str, Any]) -> _Row:
    return "  " * one["depth"] + one["path"], one["files"], one["size"], None


def _layer(one: Mapping[str, Any]) -> _Row:
    return one["name"], one["entries"], one["size"], None


def _table(title: str, rows: Sequence[_Row], top: int | None = None) -> Iterable[str]:
    """The first `top` rows, and one for all others together."""
    shown, rest = (rows, ()) if top is None else (rows[:top], rows[top:])
    if rest:
        taken = [row[3] for row in rest if row[3] is not None]
        other = f"{len(rest)} more", sum(row[1] for row in rest), sum(row[2] for row in rest)
        shown = [*shown, (*other, sum(taken) if taken else None)]
    width = max([len(title), *(len(safe(row[0])) for row in shown)])
    with_stored = any(row[3] is not None for row in shown)
    unit = "entries" if title == "by layer" else "files"
    yield ""
    yield f"{title:<{width}}  {unit:>9}  {'bytes':>9}" + (f"  {'stored':>9}" if with_stored else "")
    for name, files, size, stored in shown:
        line = f"{safe(name):<{width}}  {files:>9,}  {size_text(size):>9}"
        yield line + (f"  {size_text(stored):>9}" if stored is not None else "")


def _leftovers(title: str, found: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    if not found:
        return
    yield f"\n{title}, and the line for the end of `%post` that removes them"
    for one in found:
        stored = f", {size_text(one['stored'])} stored" if one["stored"] is not None else ""
        yield f"  {size_text(one['size'])} in {_files(one['files'])}{stored}: {one['what']}"
        yield f"      {safe(one['remove'])}"


def _duplicates(found: Sequence[Mapping[str, Any]], top: int) -> Iterable[str]:
    if not found:
        return
    spare = size_text(sum(one["spare"] for one in found))
    stored = [one["spare_stored"] for one in found if one["spare_stored"] is not None]
    yield f"\ncontents that are there several times: {spare} to spare" + (
        f", {size_text(sum(stored))} of the image file" if stored else ""
    )
    for one in found[:top]:
        yield f"  {len(one['paths'])} x {size_text(one['size'])}"
        for path in one["paths"][:4]:
            yield f"      {safe(path)}"
        if len(one["paths"]) > 4:
            yield f"      and {len(one['paths']) - 4} more"
    if len(found) > top:
        yield f"  {len(found) - top} more contents"


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"
