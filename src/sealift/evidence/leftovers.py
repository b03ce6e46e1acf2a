"""What builds left behind: caches and what only building needs, by the rules of `data/rules/leftovers.toml`."""

from __future__ import annotations

import fnmatch
import functools
import os
import re
import shlex
import stat
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from typing import Literal, NamedTuple

from sealift.core.tree import parent_of, show_path
from sealift.evidence.files import ImageFiles
from sealift.evidence.packages import Package
from sealift.normalise.rules import path_pattern

LeftoverKind = Literal["cache", "build"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftoverRule:
    """`folders` and `files` match whole paths without the leading slash, `packages` and `but` match MANAGER:NAME."""

    id: str
    kind: LeftoverKind
    what: str
    remove: str
    folders: re.Pattern[bytes] | None = None
    files: re.Pattern[bytes] | None = None
    packages: re.Pattern[bytes] | None = None
    but: re.Pattern[bytes] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """What one rule found: `rows` of its files, one an inode; and the line for `%post` that removes them."""

    rule: LeftoverRule
    rows: tuple[int, ...]
    remove: str


@functools.cache
def load_leftover_rules() -> tuple[LeftoverRule, ...]:
    text = resources.files("sealift").joinpath("data/rules/leftovers.toml").read_text("utf-8")
    return tuple(
        LeftoverRule(
            id=item["id"],
            kind=item["kind"],
            what=item["what"],
            remove=item["remove"],
            folders=_paths(item["folders"]) if "folders" in item else None,
            files=_paths(item["files"]) if "files" in item else None,
            packages=_names(item["packages"]) if "packages" in item else None,
            but=_names(item["but"]) if "but" in item else None,
        )
        for item in tomllib.loads(text)["rule"]
    )


def find_leftovers(
    files: ImageFiles, packages: Sequence[Package], owned: Mapping[int, int], rules: Sequence[LeftoverRule]
) -> tuple[Leftover, ...]:
    """The rules that found something, in their order. A content of several names counts where all of them would go.

    Empty files are no leftovers: they cost nothing, and many are locks.
    """
    tree = files.tree
    of_packages = [_of_package(f"{one.manager}:{one.name}".encode(), rules) for one in packages]
    of_folders: dict[bytes, _Taken | None] = {}
    taken: dict[int, _Taken | None] = {}
    for row, (path, mode) in enumerate(zip(tree.paths, tree.modes, strict=True)):
        above = of_folders.get(parent_of(path)) if path else None
        if stat.S_ISDIR(mode):
            of_folders[path] = _first(above, _of_path(path, rules, "folders"))
        elif stat.S_ISREG(mode) and tree.sizes[row]:
            first = files.firsts[row]
            of_package = of_packages[owned[first]] if first in owned else None
            found = _first(above, _of_path(path, rules, "files"), of_package)
            before = taken.get(first, found)
            taken[first] = found if found and before and before.rule == found.rule else None
    numbers = sorted({one.rule for one in taken.values() if one is not None})
    return tuple(_leftover(number, rules[number], taken) for number in numbers)


class _Taken(NamedTuple):
    """The number of the rule that takes a file, and where: the folder, or the package's name."""

    rule: int
    found: str


def _first(*found: _Taken | None) -> _Taken | None:
    """The one whose rule stands first."""
    return min((one for one in found if one is not None), default=None, key=lambda one: one.rule)


def _leftover(number: int, rule: LeftoverRule, taken: Mapping[int, _Taken | None]) -> Leftover:
    rows = [row for row, one in taken.items() if one is not None and one.rule == number]
    found = sorted({one.found for one in taken.values() if one is not None and one.rule == number})
    return Leftover(rule=rule, rows=tuple(rows), remove=rule.remove.replace("{found}", shlex.join(found)))


def _of_path(path: bytes, rules: Sequence[LeftoverRule], kind: Literal["folders", "files"]) -> _Taken | None:
    for number, rule in enumerate(rules):
        pattern = rule.folders if kind == "folders" else rule.files
        if pattern is not None and pattern.fullmatch(path):
            return _Taken(number, show_path(path))
    return None


def _of_package(name: bytes, rules: Sequence[LeftoverRule]) -> _Taken | None:
    for number, rule in enumerate(rules):
        excepted = rule.but is not None and rule.but.fullmatch(name)
        if rule.packages is not None and rule.packages.fullmatch(name) and not excepted:
            return _Taken(number, os.fsdecode(name.partition(b":")[2]))
    return None


def _paths(globs: Sequence[str]) -> re.Pattern[bytes]:
    """`**/` at the start stands for any folder, the root included."""
    parts = (b"(?:.*/)?" + path_pattern(glob[3:]) if glob.startswith("**/") else path_pattern(glob) for glob in globs)
    return re.compile(b"|".join(parts), re.DOTALL)


def _names(globs: Sequence[str]) -> re.Pattern[bytes]:
    return re.compile("|".join(fnmatch.translate(glob) for glob in globs).encode(), re.DOTALL)
