"""Paths of a container, resolved as the container would see them: no link may lead out of its root."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Sequence

MOST_LINKS = 40
_OPAQUE = ("user.overlay.opaque", "user.fuseoverlayfs.opaque", "trusted.overlay.opaque")
_OPAQUE_FILE = ".wh..wh..opq"
"""How overlay and fuse-overlayfs mark a folder that hides those of the layers below it."""


def inside(root: str, path: str) -> str:
    """The host's path of `path` in the tree at `root`, all symbolic links followed within it.

    What does not exist is left as it is written. OSError (ELOOP) on a circle.
    """
    return root + resolve((root,), path)


def resolve(layers: Sequence[str], path: str) -> str:
    """`path` without links, as the stack of `layers` shows it, the topmost first; it begins with `/`.

    What does not exist is left as it is written. OSError (ELOOP) on a circle.
    """
    todo = [part for part in reversed(path.split("/")) if part not in ("", ".")]
    done: list[str] = []
    links = 0
    while todo:
        part = todo.pop()
        if part == "..":
            if done:
                done.pop()
            continue
        here = "/".join(("", *done, part))
        try:
            # Most containers have one layer, which may be served by FUSE: no call more than needed.
            target = os.readlink(layers[0] + here if len(layers) == 1 else find(layers, here) or "")
        except OSError:
            done.append(part)
            continue
        links += 1
        if links > MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        if target.startswith("/"):
            done.clear()
        todo.extend(each for each in reversed(target.split("/")) if each not in ("", "."))
    return "/".join(("", *done))


def find(layers: Sequence[str], path: str) -> str | None:
    """Where the file lies that the stack of `layers` shows at `path`, which has no link in a folder's place."""
    for layer in layers:
        place = layer + path
        try:
            found = os.lstat(place)
        except OSError:
            if _hides(layer, path):
                return None
            continue
        # A character device 0:0 is a whiteout.
        return None if stat.S_ISCHR(found.st_mode) and found.st_rdev == 0 else place
    return None


def _hides(layer: str, path: str) -> bool:
    """Whether a folder above `path` in this layer lets nothing of the layers below through."""
    folder = path.rpartition("/")[0]
    while folder:
        place = layer + folder
        try:
            found = os.lstat(place)
        except OSError:
            folder = folder.rpartition("/")[0]
            continue
        if not stat.S_ISDIR(found.st_mode) or os.path.lexists(f"{place}/{_OPAQUE_FILE}"):
            return True
        for name in _OPAQUE:
            try:
                if os.getxattr(place, name, follow_symlinks=False) == b"y":
                    return True
            except OSError:
                continue
        folder = folder.rpartition("/")[0]
    return False
