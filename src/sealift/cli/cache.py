"""`sealift cache show|prune|verify` (`list` and `clean` as Apptainer calls them)."""

from __future__ import annotations

import argparse
import dataclasses
import json
from typing import TYPE_CHECKING

from sealift.errors import UsageError

if TYPE_CHECKING:
    from sealift.flows.cache import CacheReport


def configure(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.add_argument("what", choices=("show", "prune", "verify", "list", "clean"), help="what to do with the cache")
    parser.add_argument("--max-size", metavar="SIZE", help="prune: keep at most this much, for instance 20G")
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument("-f", "--force", action="store_true", help="accepted for `clean`; nothing is asked")


def execute(options: argparse.Namespace) -> int:
    from sealift.cli.progress import drawn
    from sealift.flows import cache
    from sealift.store import parse_size
    from sealift.system.process import environment

    if options.max_size and options.what not in ("prune", "clean"):
        raise UsageError(f"`--max-size` belongs to prune, not to {options.what}")
    with drawn() as events:
        match options.what:
            case "show" | "list":
                report = cache.show(environment(), events=events)
            case "prune" | "clean":
                limit = parse_size(options.max_size) if options.max_size else (0 if options.what == "clean" else None)
                report = cache.prune(environment(), limit, events=events)
            case _:
                report = cache.verify(environment(), events=events)
    print(json.dumps(_as_json(report), indent=2) if options.json else _as_text(report))
    return 1 if report.damage else 0


def _as_json(report: CacheReport) -> dict[str, object]:
    return {
        "root": report.root,
        "cap": report.cap,
        "size": report.size,
        "usage": [dataclasses.asdict(each) for each in report.usage],
        "pruned": dataclasses.asdict(report.pruned) if report.pruned else None,
        "damage": [dataclasses.asdict(each) for each in report.damage],
    }


def _as_text(report: CacheReport) -> str:
    from sealift.cli.summary import size_text
    from sealift.flows.cache import day

    lines = [f"{report.root}: {size_text(report.size)}, at most {size_text(report.cap)}"]
    lines += [
        f"  {each.kind:<10} {each.count:>6}  {size_text(each.size):>9}  last used {day(each.latest_use)}"
        for each in report.usage
    ]
    if report.pruned is not None:
        kept = f"; {size_text(report.pruned.in_use)} in use" if report.pruned.in_use else ""
        lines.append(f"removed {report.pruned.removed} entries, {size_text(report.pruned.freed)}{kept}")
    lines += [f"damaged and removed: {each.name}: {each.problem}" for each in report.damage]
    return "\n".join(lines)
