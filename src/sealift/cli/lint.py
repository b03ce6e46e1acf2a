"""`sealift lint FILE…`: what will bite when a recipe is built, kept, moved or run; and mending what can be mended."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sealift.flows.linting import Linted

INTERMIXED = True
"""Flags may stand between the files."""

EPILOG = """\
examples:
  sealift lint app.def
  sealift lint --fix app.def                  mend what can be mended safely
  sealift lint --site perlmutter app.def      with the rules of a site
  sealift lint --select pinning,size *.def    rules or families
  sealift lint --explain apt-lists-left       a rule's page; without a rule, the list of all
  sealift lint --format sarif app.def > lint.sarif

In the file, on a finding's line or the one above: # sealift: ignore=RULE why it is right here
"""


def configure(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.description = "Say what will bite when a definition file is built, kept, moved or run."
    parser.epilog = EPILOG
    parser.add_argument("files", nargs="*", metavar="FILE", help="definition files; - reads stdin")
    parser.add_argument("--format", choices=("text", "json", "sarif", "github"), default="text", help="how to print")
    parser.add_argument("--fix", action="store_true", help="mend what can be mended safely; nothing else changes")
    parser.add_argument(
        "--fail-on",
        choices=("error", "warning", "note"),
        help="exit with 1 where a finding is at least that grave (default: warning)",
    )
    parser.add_argument("--select", action="append", default=[], metavar="RULES", help="only these rules or families")
    parser.add_argument("--ignore", action="append", default=[], metavar="RULES", help="not these rules or families")
    parser.add_argument("--site", metavar="NAME", default="", help="the machine that the image is for (sealift sites)")
    parser.add_argument("--explain", nargs="?", const="", metavar="RULE", help="show a rule's page, or list all rules")


def execute(options: argparse.Namespace) -> int:
    """0 where nothing is as grave as `--fail-on`, 1 where something is, 3 where a file is no definition file."""
    from sealift.errors import DefinitionError, UsageError
    from sealift.flows.linting import LintRequest, explanation, lint_files, rendered
    from sealift.system.process import environment

    if options.explain is not None:
        print(explanation(options.explain))
        return 0
    if not options.files:
        raise UsageError("`sealift lint` wants files", hints=("sealift lint app.def",))
    linted = lint_files(
        LintRequest(
            paths=tuple(options.files),
            read_stdin=sys.stdin.buffer.read,
            environment=environment(),
            select=tuple(options.select),
            ignore=tuple(options.ignore),
            site=options.site,
            fail_on=options.fail_on,
            fix=options.fix,
        )
    )
    if options.format == "text":
        _show(linted, notes_in_full=options.fail_on == "note")
    else:
        text = rendered(linted, options.format)
        if text:
            print(text)
    _show_others(linted)
    if linted.others:
        return DefinitionError.exit_code
    return 1 if linted.failed else 0


def _show(linted: Linted, *, notes_in_full: bool) -> None:
    """The findings on stdout, for they are the answer; the sum of them on stderr.

    What is grave comes first, with its line and its hints; a note is a line, for there are many of them.
    """
    from sealift.cli.faults import render_finding, render_in_a_line, use_colour

    colour = use_colour(sys.stdout)
    found: list[str] = []
    for report in linted.reports:
        notes: list[str] = []
        for one in report.findings:
            word = f"{one.level}[{one.rule.id}]"
            if one.level == "note" and not notes_in_full:
                notes.append(render_in_a_line(word, one.message, one.where, colour=colour))
            else:
                found.append(render_finding(word, one.message, one.where, one.hints, colour=colour))
        found += ["\n".join(notes)] if notes else []
    if found:
        print("\n\n".join(found), flush=True)
        print(file=sys.stderr)
    for file, mended in linted.mended.items():
        if mended:
            print(f"mended in {file}: {_counted(one.rule.id for one in mended)}", file=sys.stderr)
    if linted.reports:
        print(_sum(linted), file=sys.stderr)


def _counted(names: Iterable[str]) -> str:
    from collections import Counter

    return ", ".join(f"{name}" + (f" ({count})" if count > 1 else "") for name, count in Counter(names).items())


def _sum(linted: Linted) -> str:
    from sealift.lint.values import LEVELS

    findings = [one for report in linted.reports for one in report.findings]
    ignored = sum(len(report.ignored) for report in linted.reports)
    counts = [
        f"{count} {level}{'s' if count > 1 else ''}"
        for level in ("error", "warning", "note")
        if (count := sum(one.level == level for one in findings))
    ]
    said = ", ".join(counts) or "nothing found"
    if ignored:
        said += f"; {ignored} ignored"
    files = dict.fromkeys(one.where.file for one in findings if one.edits)
    if files:
        number = sum(bool(one.edits) for one in findings)
        said += f"\nhint: {number} of them can be mended: sealift lint --fix {' '.join(files)}"
    if findings:
        gravest = max(findings, key=lambda one: LEVELS.index(one.level))
        said += f"\nhint: what a rule means, and what to type: sealift lint --explain {gravest.rule.id}"
        said += "\nhint: to live with a finding, on its line or above it: # sealift: ignore=RULE and why it is right"
    return said


def _show_others(linted: Linted) -> None:
    from sealift.cli.faults import render_finding, use_colour

    for one in linted.others:
        print(render_finding("error", one.message, one.where, one.hints, colour=use_colour()), file=sys.stderr)
