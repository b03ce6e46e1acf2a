"""Paths of a container, resolved as the container would see them: no link may lead out of its root."""

from __future__ import annotations

import errno
import os

MOST_LINKS = 40


def inside(root: str, path: str) -> str:
    """The host's path of `path` in the tree at `root`, all symbolic links followed within it.

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
        here = "/".join((root, *done, part))
        try:
            target = os.readlink(here)
        except OSError:
            done.append(part)
            continue
        links += 1
        if links > MOST_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
        if target.startswith("/"):
            done.clear()
        todo.extend(each for each in reversed(target.split("/")) if each not in ("", "."))
    return "/".join((root, *done))


def exists(path: str) -> bool:
    try:
        os.lstat(path)
    except OSError:
        return False
    return True


def is_folder(path: str) -> bool:
    return os.path.isdir(path)
