"""`sealift doctor`: what this host can do, what is missing, and the line that mends it."""

from __future__ import annotations

import argparse
import dataclasses
import json

from sealift.core.finding import Finding

_MARKS = {"ok": "✓", "note": "·", "warning": "!", "error": "✗"}


def configure(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")


def execute(options: argparse.Namespace) -> int:
    from sealift.flows.doctor import examine
    from sealift.system.process import environment

    findings = examine(environment())
    if options.json:
        print(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2))
    else:
        print("\n".join(_lines(finding) for finding in findings))
    return 1 if any(finding.severity == "error" for finding in findings) else 0


def _lines(finding: Finding) -> str:
    text = f"{_MARKS[finding.severity]} {finding.what}"
    if finding.evidence:
        text += f"  ({finding.evidence})"
    if finding.remedy:
        text += "".join(f"\n    {line}" for line in finding.remedy.splitlines())
    return text
