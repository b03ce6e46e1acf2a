"""Which rows of a merged tree change, and how: pure, so that a report and the image come from the same value."""

from __future__ import annotations

import re
import stat
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sealift.core.tree import Tree
from sealift.normalise.rules import Rule

_PYC = re.compile(rb"(?s)(.*/|)__pycache__/([^/]+?)\.[^./]+(?:\.opt-[^./]+)?\.pyc")


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Rows by what happens to them. `removed` and `emptied` map a row to its rule's id; `compiled` are `.pyc` files
    whose source's time changes, with that source's row: their header must follow, or Python would compile anew at
    every start, because an image cannot be written to.
    """

    epoch: int
    removed: dict[int, str]
    emptied: dict[int, str]
    retimed: tuple[int, ...]
    compiled: tuple[tuple[int, int], ...]


def plan_normalising(tree: Tree, above: Sequence[int], epoch: int, rules: Iterable[Rule]) -> Plan:
    """Plan over `above`, the rows that do not come from the base as it was fetched.

    Only times later than `epoch` change: a file that a package shipped keeps its own. Hard links and directories are
    never removed or emptied.
    """
    removed: dict[int, str] = {}
    emptied: dict[int, str] = {}
    retimed: list[int] = []
    suspects: list[int] = []
    rules = tuple(rules)
    paths, modes, mtimes, groups, sizes = tree.paths, tree.modes, tree.mtimes, tree.groups, tree.sizes
    for row in above:
        path = paths[row]
        if stat.S_ISREG(modes[row]) and not groups[row]:
            rule = next((r for r in rules if r.pattern.fullmatch(path)), None)
            if rule is not None and rule.action == "remove":
                removed[row] = rule.id
                continue
            if rule is not None and sizes[row]:
                emptied[row] = rule.id
            if path.endswith(b".pyc"):
                suspects.append(row)
        if mtimes[row] > epoch:
            retimed.append(row)
    changed = set(retimed)
    compiled = [
        (row, source) for row in suspects if (source := _source_row(tree, paths[row])) is not None and source in changed
    ]
    return Plan(epoch=epoch, removed=removed, emptied=emptied, retimed=tuple(retimed), compiled=tuple(compiled))


def _source_row(tree: Tree, path: bytes) -> int | None:
    match = _PYC.fullmatch(path)
    return tree.find(match[1] + match[2] + b".py") if match else None


def follow_source(pyc: bytes, source_mtime: int, new_mtime: int) -> bytes | None:
    """The `.pyc` with its header's source time moved to `new_mtime`; None where the header does not speak of it.

    Header (PEP 552): magic, flags, then source mtime and source size where flags are 0; hash-based ones carry no time.
    """
    if len(pyc) < 16:
        return None
    flags, mtime = struct.unpack_from("<II", pyc, 4)
    if flags != 0 or mtime != source_mtime & 0xFFFFFFFF:
        return None
    return pyc[:8] + struct.pack("<I", new_mtime & 0xFFFFFFFF) + pyc[12:]
