"""`sealift check IMAGE --site NAME`: will it run there? A verdict, and what was seen."""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import json
import shutil
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from sealift.cli.inspection import say

if TYPE_CHECKING:
    from sealift.preflight.checks import Verdict

INTERMIXED = True
"""Flags may stand between the words."""
EPILOG = """\
examples:
  sealift check app.sif --site perlmutter          will it run there? nothing is run, and no GPU is needed
  sealift check docker://python:3.12-slim --site frontier
  sealift check app.sif --site perlmutter --engine shifter
  sealift check app.sif                            the site where this runs, else this host
  sealift check app.sif --probe                    and try it on this host: programs, libraries, GPUs, Python

It ends with 0 for yes, and with 1 for no.
"""


def configure(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    add = parser.add_argument
    add("image", metavar="IMAGE", help="x.sif, x.sqfs, a folder, docker://…, oras://…, oci:DIR[:TAG], …")
    add("--site", default="", metavar="NAME", help="the machine it is meant for (sealift sites)")
    add("--engine", default="", metavar="NAME", help="what runs it there; the site's first one when left out")
    add("--probe", action="store_true", help="run the image on this host, too")
    add("--fail-on", choices=("error", "warning", "note"), default="error", help="end with 1 from here on (error)")
    add("--no-https", action="store_true", help="talk plain HTTP to the registry")
    add("--json", action="store_true", help="print the verdict as JSON")


def execute(options: argparse.Namespace) -> int:
    from sealift.cli.app import end_gently
    from sealift.flows.check import CheckRequest, check
    from sealift.system.process import environment

    end_gently()
    verdict = check(
        CheckRequest(
            image=options.image,
            environment=environment(),
            site=options.site,
            engine=options.engine,
            probe=options.probe,
            insecure=options.no_https,
            today=dt.datetime.now(tz=dt.UTC).date().isoformat(),
            events=say,
        )
    )
    if options.json:
        print(json.dumps(_json(verdict), indent=2))
    else:
        width = shutil.get_terminal_size((100, 24)).columns if sys.stdout.isatty() else 0
        print("\n".join(lines_of(verdict, width=width)))
        if width and verdict.findings:
            apart = "" if verdict.unknown or (verdict.runs and verdict.how) else "\n"
            print(f"{apart}  what is known of the site, and from where: sealift sites {verdict.site}")
    counted = {"error": ("error",), "warning": ("error", "warning"), "note": ("error", "warning", "note")}
    return 1 if any(finding.severity in counted[options.fail_on] for finding in verdict.findings) else 0


def lines_of(verdict: Verdict, *, width: int = 0) -> Iterator[str]:
    """With `width` in lines that fit a terminal."""
    from sealift.cli.findings import MARKS, finding_lines

    yield verdict.sentence
    if verdict.runs and verdict.fits:
        yield ""
        yield from (f"{MARKS['ok']} {line}" for line in verdict.fits)
    for finding in verdict.findings:
        yield ""
        yield from finding_lines(finding, width=width)
    how = verdict.how if verdict.runs else ()
    if how or verdict.unknown:
        yield ""
    yield from (f"  {line}" for line in how)
    if verdict.unknown:
        yield f"  not judged, for the profile of {verdict.site} does not say it: {', '.join(verdict.unknown)}"


def _json(verdict: Verdict) -> dict[str, Any]:
    return {
        "image": verdict.image,
        "site": verdict.site,
        "engine": verdict.engine,
        "runs": verdict.runs,
        "sentence": verdict.sentence,
        "fits": list(verdict.fits),
        "before": list(verdict.before),
        "how": list(verdict.how),
        "unknown": list(verdict.unknown),
        "findings": [dataclasses.asdict(finding) for finding in verdict.findings],
    }
