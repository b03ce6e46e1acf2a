"""What was measured of an image's size as a JSON value: for `--json`, for the page, and for tables."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from sealift.evidence.folders import notable, sums
from sealift.evidence.packages import MANAGERS, Package
from sealift.evidence.size import Share, Sizes

NO_PACKAGE = "none"
"""The manager's name for files that no package has."""


def show_name(path: bytes) -> str:
    r"""`/`-rooted text that may go anywhere: bytes that are not UTF-8, and control characters, as `\x1b`."""
    text = "/" + path.decode("utf-8", "backslashreplace")
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


def report(sizes: Sizes, *, folders: int) -> dict[str, Any]:
    """Everything, the largest first; up to `folders` folders. Sums of `packages` and of `own` are the whole's."""
    tree = sizes.files.tree
    shares = sizes.by_package()
    return {
        "image": sizes.path,
        "form": sizes.form,
        "file_size": sizes.file_size,
        "entries": len(tree),
        **_plain(sizes.whole),
        "managers": _by_manager(sizes, shares),
        "packages": [{**_named(package), **_plain(share)} for package, share in shares],
        "folders": [
            {"path": show_name(one.path), "depth": one.depth, "files": one.files, "size": one.size, "own": one.own}
            for one in notable(sums(sizes.files, sizes.rows), folders)
        ],
        "layers": [dict(layer) for layer in sizes.layers],
        "leftovers": [
            {
                "id": one.rule.id,
                "kind": one.rule.kind,
                "what": one.rule.what,
                **_plain(sizes.share(one.rows)),
                "remove": one.remove,
            }
            for one in sizes.leftovers
        ],
        "duplicates": [
            {
                "digest": one.digest,
                "size": one.size,
                "spare": one.spare,
                "spare_stored": one.stored,
                "paths": [show_name(tree.paths[row]) for row in one.rows],
            }
            for one in sizes.duplicates
        ],
        "unread": [*sizes.inventory.unread],
    }


def _plain(share: Share) -> dict[str, Any]:
    return {"files": share.files, "size": share.size, "stored": share.stored}


def _named(package: Package | None) -> dict[str, Any]:
    if package is None:
        return {"manager": NO_PACKAGE, "name": "", "version": "", "architecture": "", "place": ""}
    return {
        "manager": package.manager,
        "name": package.name,
        "version": package.version,
        "architecture": package.architecture,
        "place": package.place,
    }


def _by_manager(sizes: Sizes, shares: Iterable[tuple[Package | None, Share]]) -> list[dict[str, Any]]:
    """What each manager's packages own; `packages` counts all that are installed, owning something or not."""
    found: dict[str, list[Share]] = defaultdict(list)
    for package, share in shares:
        found[package.manager if package is not None else NO_PACKAGE].append(share)
    return [
        {
            "manager": manager,
            "packages": sum(one.manager == manager for one in sizes.inventory.packages),
            "files": sum(share.files for share in found[manager]),
            "size": sum(share.size for share in found[manager]),
            "stored": None if sizes.whole.stored is None else sum(share.stored or 0 for share in found[manager]),
        }
        for manager in (*MANAGERS, NO_PACKAGE)
        if manager in found
    ]
