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
        if path == OWN or path.startswith(OWN + b"/"):
            continue
        left, right = _facts(ours.get(path)), _facts(theirs.get(path))
        if left != right:
            lines.append(f"{show_path(path)}: {left} | {right}")
    return lines


def _facts(entry: Entry | None) -> dict[str, object] | None:
    """What is compared of an entry; None for one that is not there, or a device."""
    if entry is None or stat.S_ISCHR(entry.mode) or stat.S_ISBLK(entry.mode):
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
