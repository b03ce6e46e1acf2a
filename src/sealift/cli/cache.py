"""`sealift cache show|prune|verify` (`list` and `clean` as Apptainer calls them)."""

from __future__ import annotations

import argparse
import json
import re
import sys

from sealift.errors import UsageError

_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}


def configure(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.add_argument("what", choices=("show", "prune", "verify", "list", "clean"), help="what to do with the cache")
    parser.add_argument("--max-size", metavar="SIZE", help="prune: keep at most this much, for instance 20G")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("-f", "--force", action="store_true", help="accepted for `clean`; nothing is asked")


def execute(options: argparse.Namespace) -> int:
    from sealift.flows.cache import prune, show, verify
    from sealift.system.process import environment

    if options.max_size and options.what not in ("prune", "clean"):
        raise UsageError(f"`--max-size` belongs to prune, not to {options.what}")
    match options.what:
        case "show" | "list":
            report = show(environment())
        case "prune" | "clean":
            default = 0 if options.what == "clean" else None
            report = prune(environment(), parse_size(options.max_size) if options.max_size else default)
        case _:
            report = verify(environment())
    print(json.dumps(report.as_json(), indent=2) if options.json else report.as_text())
    if report.damaged:
        print(f"{report.damaged} damaged entries removed; they will be fetched or made anew", file=sys.stderr)
        return 1
    return 0


def parse_size(text: str) -> int:
    """Read `20G`, `500MB` or a number of bytes; powers of 1000."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", text.strip(), re.IGNORECASE)
    if not match:
        raise UsageError(f"`{text}` is not a size", hints=("--max-size 20G",))
    return int(float(match[1]) * _UNITS[match[2].upper()])
