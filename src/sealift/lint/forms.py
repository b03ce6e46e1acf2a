"""Findings for other programs: JSON, SARIF 2.1.0 and GitHub's annotations. For people see `cli/lint.py`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sealift.lint.check import Report
from sealift.lint.values import Finding, Ignored, Level, Rule

SARIF_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def as_json(reports: Sequence[Report]) -> dict[str, Any]:
    return {
        "version": 1,
        "files": [
            {
                "file": report.file,
                "findings": [_finding(one) for one in report.findings],
                "ignored": [
                    {**_finding(one.finding), "reason": one.reason, "origin": one.origin} for one in report.ignored
                ],
            }
            for report in reports
        ],
    }


def _finding(one: Finding) -> dict[str, Any]:
    return {
        "rule": one.rule.id,
        "family": one.rule.family,
        "level": one.level,
        "message": one.message,
        "at": {"line": one.where.line, "column": one.where.column, "length": one.where.length},
        "hints": list(one.hints),
        "fixable": bool(one.edits),
    }


def as_sarif(reports: Sequence[Report], rules: Iterable[Rule], *, version: str) -> dict[str, Any]:
    """One run with all files; what is ignored is there as suppressed."""
    listed = tuple(rules)
    rows = {rule.id: row for row, rule in enumerate(listed)}
    results = [_result(one, rows) for report in reports for one in report.findings]
    results += [_suppressed(one, rows) for report in reports for one in report.ignored]
    return {
        "$schema": SARIF_SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "sealift lint",
                        "semanticVersion": version,
                        "rules": [_rule(rule) for rule in listed],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": results,
            }
        ],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.id,
        "shortDescription": {"text": rule.title},
        "fullDescription": {"text": rule.reason},
        "help": {"text": f"{rule.remedy}\n\nSee: sealift lint --explain {rule.id}"},
        "defaultConfiguration": {"level": rule.level},
        "properties": {"tags": [rule.family]},
    }


def _result(one: Finding, rows: dict[str, int]) -> dict[str, Any]:
    return {
        "ruleId": one.rule.id,
        "ruleIndex": rows[one.rule.id],
        "level": one.level,
        "message": {"text": "\n".join((one.message, *(f"hint: {hint}" for hint in one.hints)))},
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": {"uri": _uri(one.where.file)},
                    "region": {
                        "startLine": one.where.line,
                        "startColumn": one.where.column,
                        "endLine": one.where.line,
                        "endColumn": one.where.column + one.where.length,
                    },
                }
            }
        ],
    }


def _suppressed(one: Ignored, rows: dict[str, int]) -> dict[str, Any]:
    kind = "inSource" if one.origin.startswith(one.finding.where.file + ":") else "external"
    return {
        **_result(one.finding, rows),
        "suppressions": [{"kind": kind, "justification": one.reason}],
    }


def _uri(path: str) -> str:
    from urllib.parse import quote

    return quote(path.encode("utf-8", "surrogateescape"), safe="/-._~")


_GITHUB: dict[Level, str] = {"note": "notice", "warning": "warning", "error": "error"}


def as_github(reports: Sequence[Report]) -> list[str]:
    """Workflow commands, one a finding: GitHub shows them beside the lines of a pull request."""
    return [
        f"::{_GITHUB[one.level]} file={_property(one.where.file)},line={one.where.line},col={one.where.column},"
        f"endColumn={one.where.column + one.where.length},title={_property(one.rule.id)}::"
        + _data("\n".join((one.message, *(f"hint: {hint}" for hint in one.hints))))
        for report in reports
        for one in report.findings
    ]


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
