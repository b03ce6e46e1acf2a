"""`sealift parse FILE`: an outline for people, JSON for editors, or Apptainer's own answer for comparisons."""

from __future__ import annotations

import argparse
import json
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sealift.flows.parsing import Parsed


def configure(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.description = "Show what a definition file says and everything that is wrong with it, without building."
    parser.add_argument("file", metavar="FILE", help="a definition file; - reads it from stdin")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="values, places and findings, for editors and other tools")
    form.add_argument("--as-apptainer", action="store_true", help="the answer of Apptainer's own parser, as JSON")
    parser.add_argument("--build-arg", action="append", default=[], metavar="K=V", help="a value for {{ K }}")
    parser.add_argument("--build-arg-file", metavar="FILE", help="lines of K=V")
    parser.add_argument("--warn-unused-build-args", action="store_true", help="do not refuse unused ones")


def execute(options: argparse.Namespace) -> int:
    """0 where a build would get past reading the file, 3 where not."""
    from sealift.errors import DefinitionError
    from sealift.flows.parsing import ParseRequest, answer_of_apptainer, parse_file

    request = ParseRequest(
        path=options.file,
        read_stdin=sys.stdin.buffer.read,
        build_arguments=tuple(options.build_arg),
        build_argument_file=options.build_arg_file,
        allow_unused=options.warn_unused_build_args,
    )
    if options.as_apptainer:
        answer = answer_of_apptainer(request)
        print(json.dumps(answer, indent=1, ensure_ascii=False))
        return 0 if answer.get("templateOK") else DefinitionError.exit_code
    parsed = parse_file(request)
    if options.json:
        print(json.dumps(parsed.as_json(), indent=2, ensure_ascii=False))
    else:
        _show(parsed)
    return DefinitionError.exit_code if parsed.faults else 0


def _show(parsed: Parsed) -> None:
    from sealift.cli.faults import render_finding, show_findings, use_colour
    from sealift.cli.outline import outline

    lines = outline(parsed.checked.reading) if parsed.checked is not None else []
    if lines:
        print("\n".join(lines), flush=True)
    colour = use_colour()
    found = [
        *(f"warning: `{line}` is not K=V and is skipped" for line in parsed.given.skipped),
        *(render_finding("error", one.message, one.where, one.hints, colour=colour) for one in parsed.faults),
        *(render_finding("warning", one.message, one.where, one.hints, colour=colour) for one in parsed.cautions),
    ]
    if found:
        if lines:
            print(file=sys.stderr)
        show_findings(found, file=parsed.file)
