"""conda: a `conda-meta` folder in each environment, with a JSON file for each package."""

from __future__ import annotations

import json
import os

from sealift.evidence.files import ImageFiles
from sealift.evidence.packages import Listed, Told

_META = b"/conda-meta/"


def read(files: ImageFiles) -> Told:
    listed, unread = [], []
    for row, path in enumerate(files.tree.paths):
        if not path.endswith(b".json") or _META not in b"/" + path:
            continue
        prefix, _, name = (b"/" + path).rpartition(_META)
        if b"/" in name:
            continue
        shown = os.fsdecode(prefix)
        try:
            value = json.loads(files.read(row))
            listed.append(
                Listed(
                    name=str(value["name"]),
                    version=str(value["version"]),
                    architecture=str(value.get("subdir") or value.get("arch") or ""),
                    place=shown or "/",
                    paths=[f"{shown}/{each}" for each in value.get("files", ())],
                )
            )
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            unread.append(f"`{os.fsdecode(path)}` is no record of conda's")
    return Told(listed=tuple(listed), unread=tuple(unread))
