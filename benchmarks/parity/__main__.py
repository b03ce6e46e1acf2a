"""`make parity`: build every definition file with both, compare, and write docs/parity.md."""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence

from benchmarks.parity import building, page
from benchmarks.parity.cases import read_cases
from benchmarks.parity.comparison import compare_all
from benchmarks.parity.rules import load_rules
from tests import parts
from tests.ground import install, session, users

NEEDS = ("apptainer", "subuid-user", "squashfuse")


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    try:
        cases = read_cases(options.only)
    except ValueError as error:
        sys.stderr.write(f"parity: {error}\n")
        return 2
    parts.provide(NEEDS)
    lacking = [sentence for name in NEEDS if (sentence := parts.lacking(name))]
    if lacking:
        sys.stderr.write("\n".join(lacking) + "\n")
        return 6
    folder = session.begin()
    try:
        base = folder / "parity"
        base.mkdir()
        place = building.Place(folder=base, as_user=users.AsUser(bin=install.installed(), base=base))
        rows = compare_all(place, cases, building.builders())
        text = page.render(rows, load_rules(), building.versions(place))
    finally:
        for sentence in (*users.remove_made(folder), *session.end(folder)):
            sys.stderr.write(f"parity: left behind: {sentence}\n")
    print(text)
    if not options.only:
        page.FILE.write_text(text)
    for row in rows:
        for builder, difference in row.rest:
            sys.stderr.write(f"parity: {row.case.name} ({builder}): {difference}\n")
    return 1 if any(row.rest for row in rows) else 0


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.parity", description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these definition files, and no page")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except (RuntimeError, subprocess.CalledProcessError) as error:
        sys.exit(f"parity: {error}")
