"""Commands called `apptainer` and `singularity` that are not those: how ours are told from real ones.

Every rank that starts through one of ours asks; so this needs `os` alone, and reads a file only where there is one.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

MARK = b"# Written by `sealift shim install`"
"""Stands near the start of every command that we write."""

_START = 1024


def is_standin(path: str) -> bool:
    """Did `sealift shim install` write this file?"""
    try:
        with open(path, "rb") as file:
            return MARK in file.read(_START)
    except OSError:
        return False


def find_real(names: Sequence[str], path: str, *, own: str = "") -> str | None:
    """The first program on `path` under one of `names` that is not ours, in the order of `names`; else None.

    `own` is the command that asks, which need not be read.
    """
    folders = [folder for folder in path.split(os.pathsep) if folder]
    for name in names:
        for folder in folders:
            program = os.path.join(folder, name)
            if program == own or not os.access(program, os.X_OK) or os.path.isdir(program):
                continue
            if not is_standin(program):
                return os.path.abspath(program)
    return None
