"""`sealift doctor`: what this host can do, what is missing, and the line that mends it."""

from __future__ import annotations

import argparse
import dataclasses
import json


def configure(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def execute(options: argparse.Namespace) -> int:
    from sealift.cli.findings import finding_line
    from sealift.flows.doctor import examine
    from sealift.system.process import environment

    findings = examine(environment())
    if options.json:
        print(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2))
    else:
        print("\n".join(finding_line(finding) for finding in findings))
    return 1 if any(finding.severity == "error" for finding in findings) else 0
