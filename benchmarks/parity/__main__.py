"""`make parity`: build every definition file with both, compare, and write docs/parity.md.

With `--engines`: run what Sealift builds in every engine, compare, and write docs/parity-engines.md.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.ground import standing
from benchmarks.parity import building, page
from benchmarks.parity.cases import Case, read_cases
from benchmarks.parity.comparison import compare_all
from benchmarks.parity.engines import comparison as in_engines
from benchmarks.parity.engines import ground, overview
from benchmarks.parity.rules import load_rules
from tests.ground import install, services, session, users

NEEDS = ("apptainer", "subuid-user", "squashfuse")
ENGINES_NEED = (*NEEDS, "root", "docker", "podman")


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    try:
        cases = read_cases(options.only)
    except ValueError as error:
        sys.stderr.write(f"parity: {error}\n")
        return 2
    with standing(ENGINES_NEED if options.engines else NEEDS) as folder:
        base = folder / "parity"
        base.mkdir()
        place = building.Place(folder=base, as_user=users.AsUser(bin=install.installed(), base=base))
        rows, text = (_engines if options.engines else _builders)(place, cases)
    print(text)
    if not options.only:
        (overview.FILE if options.engines else page.FILE).write_text(text)
    for row in rows:
        for builder, difference in row.rest:
            sys.stderr.write(f"parity: {row.case.name} ({builder}): {difference}\n")
    return 1 if any(row.rest for row in rows) else 0


def _builders(place: building.Place, cases: Sequence[Case]) -> tuple[list[page.Row], str]:
    rows = compare_all(place, cases, building.builders())
    return rows, page.render(rows, load_rules(), building.versions(place))


def _engines(place: building.Place, cases: Sequence[Case]) -> tuple[list[page.Row], str]:
    building.prepare(place, (building.SEALIFT,))
    built = building.build_all(place, cases, building.SEALIFT, look=False)
    # Not below the place, which makes the paths of the daemon's sockets too long.
    with services.docker(Path(session.folder()) / "docker") as docker, ground.engines(place, docker) as found:
        rows = in_engines.compare_engines(found, [case for case in cases if built[case.name].code == 0])
        versions = building.versions(found.place, ("apptainer", "docker", "podman", "sealift"))
    return rows, overview.render(rows, versions)


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parity", description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these definition files, and no page")
    parser.add_argument("--engines", action="store_true", help="the images in every engine; docs/parity-engines.md")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (RuntimeError, subprocess.CalledProcessError) as error:
        sys.exit(f"parity: {error}")
