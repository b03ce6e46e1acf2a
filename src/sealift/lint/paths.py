"""Paths in scripts: in which folder a command runs, and what lies in what."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING

from sealift.shell.follow import UNKNOWN

if TYPE_CHECKING:
    from sealift.lint.recipe import ScriptView


def folders_of(script: ScriptView) -> dict[int, str]:
    """The folder in which each pipeline runs, by its number; those of which one cannot say are left out.

    A `cd` in a subshell is taken to last, which errs on the side of a folder that is not known.
    """
    folder: str | None = "/"
    before: str | None = None
    stack: list[str | None] = []
    found: dict[int, str] = {}
    for call in script.calls:
        if folder is not None:
            found[call.run.pipe] = folder
        if call.name == "cd":
            operands = [one.text for one in call.operands()]
            target = operands[0] if operands else call.variable("HOME") or "/root"
            folder, before = (before if target == "-" else moved(folder, target)), folder
        elif call.name == "pushd":
            stack.append(folder)
            folder = moved(folder, call.texts[0]) if call.texts else None
        elif call.name == "popd":
            folder = stack.pop() if stack else None
    return found


def moved(folder: str | None, target: str) -> str | None:
    if target.startswith("~/") or target == "~":
        target = "/root" + target[1:]
    if UNKNOWN in target or any(mark in target for mark in "*?["):
        return None
    if target.startswith("/"):
        return posixpath.normpath(target)
    return posixpath.normpath(posixpath.join(folder, target)) if folder is not None else None


def inside(path: str, folder: str) -> bool:
    """Does `path` lie in `folder`, or is it the folder?"""
    folder = folder.rstrip("/")
    return path == folder or path.startswith(folder + "/")
