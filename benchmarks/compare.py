"""Whether two images hold the same tree: `python -m benchmarks.compare OURS.sif APPTAINERS.sif`.

Compared are every path, type, mode, size, link target and content. Device nodes are left aside, for an ordinary user's
Apptainer cannot make them; so is what each builder writes about itself under /.singularity.d.
"""

from __future__ import annotations

import stat
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from sealift.core.tree import Entry, show_path
from tests.ground.images import mounted
from tests.ground.listing import full_listing

OWN = b".singularity.d"


def differences(ours: Mapping[bytes, Entry], theirs: Mapping[bytes, Entry]) -> list[str]:
    """A line for each path that is not the same in both, in order of path."""
    lines = []
    for path in sorted(ours.keys() | theirs.keys()):
        left, right = ours.get(path), theirs.get(path)
        # An unprivileged Apptainer leaves an empty file where a layer has a device.
        if path == OWN or path.startswith(OWN + b"/") or _is_device(left) or _is_device(right):
            continue
        if _facts(left) != _facts(right):
            lines.append(f"{show_path(path)}: {_facts(left)} | {_facts(right)}")
    return lines


def _is_device(entry: Entry | None) -> bool:
    return entry is not None and (stat.S_ISCHR(entry.mode) or stat.S_ISBLK(entry.mode))


def _facts(entry: Entry | None) -> dict[str, object] | None:
    """What is compared of an entry; None for one that is not there."""
    if entry is None:
        return None
    return {
        "mode": oct(entry.mode),
        "size": entry.size,
        "link": entry.link,
        "content": entry.digest.hex()[:16],
    }


def compare(ours: Path, theirs: Path) -> tuple[int, list[str]]:
    """How many paths were compared, and a line for each difference."""
    with (
        tempfile.TemporaryDirectory() as below,
        mounted(ours, below=Path(below)) as left,
        mounted(theirs, below=Path(below)) as right,
    ):
        first, second = full_listing(left), full_listing(right)
        return len(first.keys() | second.keys()), differences(first, second)


def main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        sys.stderr.write("usage: python -m benchmarks.compare OURS.sif APPTAINERS.sif\n")
        return 2
    count, lines = compare(Path(arguments[0]), Path(arguments[1]))
    print(*lines, sep="\n", end="\n" if lines else "")
    sys.stderr.write(f"{count} paths compared, {len(lines)} differ\n")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
