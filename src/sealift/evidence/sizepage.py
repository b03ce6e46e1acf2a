"""The page of `sealift size --html`: one file with a treemap, search and tables, that asks for nothing from outside."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import resources
from typing import Any

from sealift.evidence.size import Sizes
from sealift.evidence.sizereport import show_name

FILES_LIMIT = 40_000
"""More files than these make a page that phones do not open: smaller ones are summed up in their folders."""
DEEPEST = 40
"""Folders below these are named by the rest of their path: no reader of the page's data nests without end."""


def render(sizes: Sizes, report: Mapping[str, Any], *, files_limit: int = FILES_LIMIT) -> bytes:
    """The page for what `sizereport.report` says; names of the image stand in it as data alone."""
    tree, least = _tree(sizes, files_limit)
    packages = [{"manager": one.manager, "name": one.name, "version": one.version} for one in sizes.inventory.packages]
    data = {**report, "tree": tree, "folded": least, "packages": packages, "shares": report["packages"]}
    text = json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
    page = _part("page.html")
    for mark, part in (("STYLE", _part("page.css")), ("SCRIPT", _part("page.js")), ("DATA", text)):
        before, _, after = page.partition(f"/*{mark}*/")
        page = before + part.strip("\n") + after
    return page.encode("utf-8")


def _part(name: str) -> str:
    return resources.files("sealift").joinpath(f"data/size/{name}").read_text("utf-8")


def _tree(sizes: Sizes, files_limit: int) -> tuple[list[Any], int]:
    """Folders as [name, children], files as [name, bytes, stored, package, leftover]; and from which size on.

    What is smaller is one entry of its folder, whose sixth item says how many files it stands for.
    """
    tree, stored = sizes.files.tree, sizes.files.stored
    least = 0
    if len(sizes.rows) > files_limit:
        least = sorted((tree.sizes[row] for row in sizes.rows), reverse=True)[files_limit] + 1
    left = {row: number for number, one in enumerate(sizes.leftovers) for row in one.rows}
    folders: dict[str, list[Any]] = {"": ["", []]}
    small: dict[str, list[int]] = {}
    for row in sizes.rows:
        names = show_name(tree.paths[row])[1:].split("/")
        folder, name = "/".join(names[:-1][:DEEPEST]), "/".join(names[min(len(names) - 1, DEEPEST) :])
        if tree.sizes[row] < least:
            small.setdefault(folder, []).append(row)
            continue
        entry = [
            name,
            tree.sizes[row],
            None if stored is None else stored[row],
            sizes.owned.get(row, -1),
            left.get(row, -1),
        ]
        _folder(folders, folder)[1].append(entry)
    for folder, rows in small.items():
        share = sizes.share(rows)
        entry = [
            "(1 small file)" if share.files == 1 else f"({share.files} small files)",
            share.size,
            share.stored,
            -1,
            -1,
            share.files,
        ]
        _folder(folders, folder)[1].append(entry)
    return folders[""], least


def _folder(folders: dict[str, list[Any]], path: str) -> list[Any]:
    """The folder's entry, made with those above it where they are new."""
    found = folders.get(path)
    if found is None:
        above, _, name = path.rpartition("/")
        found = folders[path] = [name, []]
        _folder(folders, above)[1].append(found)
    return found
