"""Which row of which pack shows at each path of the image: hiding, symbolic links as parents, links to below."""

from __future__ import annotations

import stat
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge as merge_sorted

from sealift.core.tree import parent_of, show_path, sort_key
from sealift.errors import ImageError
from sealift.packs.index import HOLLOW, IMPLIED, OPAQUE, WHITEOUT
from sealift.packs.layer import MOST_LINKS
from sealift.packs.pack import Pack

LINK = 8
"""A row that stands for a `LowerLink` and takes its inode from a pack below."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """Paths in canonical order, each with the pack and the row in that pack which it shows."""

    paths: list[bytes]
    packs: array[int]
    rows: array[int]
    moved: bool = False
    """Whether a row may show at several paths that are not one inode: directories that a layer does not list."""


@dataclass(slots=True, kw_only=True)
class _Layer:
    """One pack's rows as they take part: moved where a parent is a symbolic link, links to below added.

    `origins` is empty while every row is the pack's own row of the same number.
    """

    paths: Sequence[bytes]
    flags: array[int]
    origins: list[tuple[int, int]]


def lay_over(packs: Sequence[Pack]) -> Rows:
    layers: list[_Layer] = []
    links: set[bytes] = set()
    for number, pack in enumerate(packs):
        layer = _Layer(
            paths=pack.tree.paths,
            flags=pack.flags,
            origins=[],
        )
        if links:
            moved = [
                path for path, flag in zip(layer.paths, layer.flags, strict=True) if flag & IMPLIED and path in links
            ]
            if moved:
                layer = _follow_links(_Below(packs, layers), layer, number)
        if pack.lower_links:
            layer = _add_lower_links(_Below(packs, layers), layer, pack, number)
        layers.append(layer)
        links.update(pack.tree.paths[row] for row in pack.tree.links)
    return _scan(packs, layers)


def _scan(packs: Sequence[Pack], layers: list[_Layer]) -> Rows:
    """One pass over all rows, sorted; `floor` is the lowest pack whose rows still show below the current directory."""
    if len(layers) == 1 and not any(flag & (WHITEOUT | HOLLOW) for flag in layers[0].flags):
        only = layers[0]
        if not only.origins:
            count = len(only.paths)
            return Rows(paths=list(only.paths), packs=array("I", bytes(4 * count)), rows=array("I", range(count)))
    # Merged lazily: keys of all rows at once would cost more than all else together.
    rows = merge_sorted(*(_keyed(layer, number) for number, layer in enumerate(layers)))
    modes = [pack.tree.modes for pack in packs]
    flags = [layer.flags for layer in layers]
    is_dir = stat.S_IFDIR

    out_paths: list[bytes] = []
    out_packs, out_rows = array("I"), array("I")
    covers: list[tuple[bytes, int]] = []
    key, number, row = next(rows, _END)
    while number >= 0:
        next_key, next_number, next_row = next(rows, _END)
        floor = 0
        while covers and not key.startswith(covers[-1][0]):
            covers.pop()
        if covers:
            floor = covers[-1][1]
        flag = flags[number][row]
        if (next_key != key or next_number < 0) and not flag:
            # The usual case: one layer has this path, and plainly.
            if number >= floor:
                out_paths.append(layers[number].paths[row])
                out_packs.append(number)
                out_rows.append(row)
            key, number, row = next_key, next_number, next_row
            continue
        shown = shown_row = -1
        shown_dir = False
        below = floor
        while True:
            if number >= floor:
                if flag & WHITEOUT:
                    shown = -1
                    below = number
                elif flag & OPAQUE:
                    below = number
                if flag & HOLLOW:
                    pass
                elif flag & IMPLIED:
                    if shown >= 0 and not shown_dir:
                        shown = -1
                        below = number
                    if shown < 0:
                        shown, shown_row, shown_dir = number, row, True
                elif flag != WHITEOUT:
                    a_dir = not flag & LINK and modes[number][_own_row(layers[number], row)] & 0o170000 == is_dir
                    if not a_dir or (shown >= 0 and not shown_dir):
                        below = number
                    shown, shown_row, shown_dir = number, row, a_dir
            if next_key != key or next_number < 0:
                break
            number, row = next_number, next_row
            next_key, next_number, next_row = next(rows, _END)
            flag = flags[number][row]
        if below > floor:
            covers.append((key + b"\0" if key else b"", below))
        if shown >= 0:
            out_paths.append(layers[shown].paths[shown_row])
            out_packs.append(shown)
            out_rows.append(shown_row)
        key, number, row = next_key, next_number, next_row
    for layer_number, layer in enumerate(layers):
        if layer.origins:
            _resolve_origins(out_packs, out_rows, layer_number, layer.origins)
    moved = any(layer.origins for layer in layers)
    return Rows(paths=out_paths, packs=out_packs, rows=out_rows, moved=moved)


_END = (b"", -1, -1)


def _keyed(layer: _Layer, number: int) -> Iterator[tuple[bytes, int, int]]:
    """The rows of a layer in canonical order: sort key, the layer's number, row."""
    for row, path in enumerate(layer.paths):
        yield path.replace(b"/", b"\0"), number, row


def _own_row(layer: _Layer, row: int) -> int:
    return layer.origins[row][1] if layer.origins else row


def _resolve_origins(packs: array[int], rows: array[int], number: int, origins: list[tuple[int, int]]) -> None:
    for at, pack in enumerate(packs):
        if pack == number:
            packs[at], rows[at] = origins[rows[at]]


class _Below:
    """The merged tree of the packs below, to look paths up in; made only for layers that need it."""

    def __init__(self, packs: Sequence[Pack], layers: list[_Layer]) -> None:
        self._packs = packs
        self._rows = _scan(packs, layers) if layers else Rows(paths=[], packs=array("I"), rows=array("I"))
        self._number = {path: number for number, path in enumerate(self._rows.paths)}

    def origin(self, path: bytes) -> tuple[int, int] | None:
        number = self._number.get(path)
        return None if number is None else (self._rows.packs[number], self._rows.rows[number])

    def mode(self, origin: tuple[int, int]) -> int:
        return self._packs[origin[0]].tree.modes[origin[1]]

    def link(self, path: bytes) -> bytes | None:
        """The target when `path` is a symbolic link."""
        origin = self.origin(path)
        return None if origin is None else self._packs[origin[0]].tree.links.get(origin[1])

    def listed(self, layer: _Layer, number: int) -> dict[bytes, bytes | None]:
        """The paths that pack `number` lists, or makes anew, each with its target if it is a symbolic link."""
        links = self._packs[number].tree.links
        return {
            path: links.get(_own_row(layer, row))
            for row, (path, flag) in enumerate(zip(layer.paths, layer.flags, strict=True))
            if not flag & (IMPLIED | WHITEOUT) or (flag & OPAQUE and flag & WHITEOUT)
        }

    def real(self, path: bytes, own: Mapping[bytes, bytes | None]) -> bytes:
        """Where the directory `path` really lies, links followed inside the root.

        `own` has what the layer itself lists: a symbolic link's target, or None for all else.
        """
        parts = path.split(b"/")
        parts.reverse()
        here = b""
        followed = 0
        while parts:
            part = parts.pop()
            if part in {b"", b"."}:
                continue
            if part == b"..":
                here = parent_of(here)
                continue
            there = here + b"/" + part if here else part
            target = own[there] if there in own else self.link(there)
            if target is None:
                here = there
                continue
            followed += 1
            if followed > MOST_LINKS:
                raise ImageError(f"the symbolic links at `{show_path(path)}` point in a circle")
            if target.startswith(b"/"):
                here = b""
            parts.extend(reversed(target.split(b"/")))
        return here


_Row = tuple[int, tuple[int, int]]
"""A row's flags and origin."""


def _follow_links(below: _Below, layer: _Layer, number: int) -> _Layer:
    """Move what the layer has below symbolic links of the packs below to where those point."""
    rows: dict[bytes, _Row] = {}
    listed = below.listed(layer, number)
    real: dict[tuple[bytes, bool], bytes] = {}
    implied: tuple[int, int] | None = None
    for row, (path, flag) in enumerate(zip(layer.paths, layer.flags, strict=True)):
        parent = parent_of(path)
        mark = flag == WHITEOUT or bool(flag & HOLLOW)
        if (parent, mark) not in real:
            try:
                # Whiteouts speak of what was there before the layer.
                real[parent, mark] = below.real(parent, {} if mark else listed)
            except ImageError:
                if not mark:
                    raise
                real[parent, mark] = parent  # nothing can be there that the mark would hide
        there = _join(real[parent, mark], path)
        if flag & IMPLIED:
            implied = (number, row)
            if there and not flag & WHITEOUT and below.link(there) is not None:
                if flag & OPAQUE:
                    behind = below.real(there, {})
                    flag_there, origin = rows.get(behind, (IMPLIED | HOLLOW, implied))
                    rows[behind] = (flag_there | OPAQUE, origin)
                continue
        row_here = (flag, (number, row))
        rows[there] = _both(rows[there], row_here, below) if there in rows else row_here
    if implied is None:
        return layer
    for path in list(rows):
        if _below_a_file(rows, path, below):
            del rows[path]
        else:
            _give_parents(rows, path, implied)
    return _layer_of(rows)


def _both(first: _Row, second: _Row, below: _Below) -> _Row:
    """One row for two of a layer that come to lie at one path: a listed one before an implied one or a whiteout."""
    flags = first[0] | second[0]
    shown, other = second, first
    if second[0] == WHITEOUT or (second[0] & IMPLIED and first[0] != WHITEOUT):
        shown, other = first, second
    if shown[0] == WHITEOUT or not stat.S_ISDIR(below.mode(shown[1])):
        return shown
    hides = OPAQUE | WHITEOUT if flags & WHITEOUT else flags & OPAQUE
    hollow = shown[0] & other[0] & HOLLOW if other[0] & IMPLIED else shown[0] & HOLLOW
    return (shown[0] & ~HOLLOW | hollow | hides, shown[1])


def _below_a_file(rows: dict[bytes, _Row], path: bytes, below: _Below) -> bool:
    """Whether the layer puts something else than a directory above `path`: then nothing can be there."""
    while path:
        path = parent_of(path)
        flag, origin = rows.get(path, (IMPLIED, (0, 0)))
        if not flag & (IMPLIED | WHITEOUT) and not stat.S_ISDIR(below.mode(origin)):
            return True
    return False


def _give_parents(rows: dict[bytes, _Row], path: bytes, implied: tuple[int, int]) -> None:
    """Make every parent of `path` a directory in the layer; `implied` is the origin of those that it does not list."""
    hollow = rows[path][0] == WHITEOUT or rows[path][0] & HOLLOW
    while path:
        path = parent_of(path)
        flag, origin = rows.get(path, (IMPLIED | HOLLOW, implied))
        if flag == WHITEOUT:
            flag, origin = IMPLIED | HOLLOW | WHITEOUT | OPAQUE, implied
        rows[path] = (flag if hollow else flag & ~HOLLOW, origin)


def _add_lower_links(below: _Below, layer: _Layer, pack: Pack, number: int) -> _Layer:
    """Add the hard links whose targets lie in the packs below."""
    origins = layer.origins or [(number, row) for row in range(len(layer.paths))]
    rows = dict(zip(layer.paths, zip(layer.flags, origins, strict=True), strict=True))
    listed = below.listed(layer, number)
    implied = next((row for row, flag in enumerate(pack.flags) if flag & IMPLIED), None)
    for link in pack.lower_links:
        target = _join(below.real(parent_of(link.target), {}), link.target)
        origin = below.origin(target)
        if target != link.target and target in rows and not rows[target][0] & (IMPLIED | WHITEOUT):
            # By links below it comes back into this layer, which could not know.
            origin = rows[target][1]
        if origin is None or stat.S_ISDIR(below.mode(origin)):
            raise ImageError(
                f"the hard link `{show_path(link.path)}` points to `{show_path(target)}`, which is no file"
            )
        path = _join(below.real(parent_of(link.path), listed), link.path)
        rows[path] = (LINK, origin)
        if implied is not None:
            _give_parents(rows, path, (number, implied))
    return _layer_of(rows)


def _join(parent: bytes, path: bytes) -> bytes:
    name = path.rpartition(b"/")[2]
    return parent + b"/" + name if parent else name


def _layer_of(rows: dict[bytes, _Row]) -> _Layer:
    paths = sorted(rows, key=sort_key)
    return _Layer(
        paths=paths,
        flags=array("B", [rows[path][0] for path in paths]),
        origins=[rows[path][1] for path in paths],
    )
