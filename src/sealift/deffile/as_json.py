"""A definition file as JSON for editors and other tools: what it means, where each part stands, what is wrong with it.

docs/reference/parse-json.md explains the fields, `data/parse/schema.json` states them. Fields may be added; those that
exist keep their meaning as long as `version` stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from sealift.deffile.arguments import defaults_of, find_placeholders
from sealift.deffile.bodies import argument_pair, label_pair
from sealift.deffile.characters import show
from sealift.deffile.findings import Caution, Fault
from sealift.deffile.parse import StageReading
from sealift.deffile.prepare import Checked
from sealift.deffile.source import Source
from sealift.deffile.tokens import lines_of, split_tokens
from sealift.deffile.values import Section, Stage
from sealift.errors import Span

VERSION = 1


def as_json(checked: Checked, *, given: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Lines and columns count from 1, columns in characters. Bytes that are not UTF-8 appear as U+FFFD.

    `given` are the build arguments that `checked` was made with.
    """
    reading = checked.reading
    built = checked.prepared.definition.stages
    headers = [stage.header or {} for stage in built] if len(built) == len(reading.readings) else None
    return {
        "version": VERSION,
        "file": show(reading.definition.file),
        "valid": not checked.faults,
        "stages": [
            _stage(one, source, headers[number] if headers else {}, given or {})
            for number, (one, source) in enumerate(zip(reading.readings, reading.sources, strict=True))
        ],
        "findings": findings_as_json(checked.faults, checked.prepared.cautions),
    }


def nothing_as_json(file: str, fault: Fault) -> dict[str, Any]:
    """The answer for a file that is no definition file at all."""
    return {
        "version": VERSION,
        "file": show(file),
        "valid": False,
        "stages": [],
        "findings": findings_as_json((fault,), ()),
    }


def findings_as_json(faults: tuple[Fault, ...], cautions: tuple[Caution, ...]) -> list[dict[str, Any]]:
    """All of them in the order of the file; what has no place comes first."""
    found: list[Fault | Caution] = [*faults, *cautions]
    found.sort(key=lambda one: (one.where.line, one.where.column) if one.where is not None else (0, 0))
    return [
        {
            "severity": "error" if isinstance(one, Fault) else "warning",
            "code": one.id,
            "message": show(one.message),
            "at": None if one.where is None else _place(one.where),
            "hints": [show(hint) for hint in one.hints],
            "apptainer": (show(one.apptainer) or None) if isinstance(one, Fault) else None,
        }
        for one in found
    ]


def _stage(reading: StageReading, source: Source, built: Mapping[str, str], given: Mapping[str, str]) -> dict[str, Any]:
    stage = reading.stage
    defaults = defaults_of(stage)
    first = source.line_number(0)
    return {
        "name": show(built.get("stage", stage.name)) or None,
        "lines": [first, first + _newlines(source.text.rstrip("\n"))],
        "header": [{"key": one.key, "value": show(one.value), "at": _place(one.span)} for one in stage.fields],
        "effective_header": {key: show(value) for key, value in built.items()},
        "sections": [_section(section) for section in stage.sections],
        "arguments": list(_lines(stage, source, "arguments", argument_pair)),
        "placeholders": [
            {
                "name": one.name,
                "value": None if one.stays else _shown(given.get(one.name, defaults.get(one.name))),
                "filled": not one.stays and (one.name in given or one.name in defaults),
                "at": _place(source.span(one.start, one.end)),
            }
            for one in find_placeholders(source.text, known={*given, *defaults})
        ],
        "files": [
            {
                "arguments": show(group.arguments),
                "from_stage": _shown(group.from_stage),
                "ignored": group.is_ignored,
                "at": _place(group.span),
                "copies": [
                    {"source": show(copy.source), "destination": show(copy.destination), "at": _place(copy.span)}
                    for copy in group.copies
                ],
            }
            for group in stage.files
        ],
        "labels": list(_lines(stage, source, "labels", label_pair)),
        "apps": [{"name": show(app.name), "sections": sorted(app.sections)} for app in stage.apps],
    }


def _section(section: Section) -> dict[str, Any]:
    heading = section.span.line
    return {
        "name": show(section.name),
        "app": _shown(section.app),
        "arguments": _shown(section.arguments),
        "body": show(section.body),
        "at": _place(section.span),
        "lines": [heading, heading + _newlines(section.body.removesuffix("\n")) + bool(section.body)],
    }


def _lines(stage: Stage, source: Source, name: str, pair_of: Any) -> Iterator[dict[str, Any]]:
    """Name and value of each line that counts, in all sections of this name."""
    tokens = (token for token in split_tokens(source.text) if token.is_section)
    for token, section in zip(tokens, stage.sections, strict=True):
        for at, line in lines_of(source.text, token.body, token.end) if section.name == name else ():
            pair = pair_of(line) if line and not line.startswith("#") else None
            if pair is not None:
                where = _place(source.span(at, at + len(line)))
                yield {"name": show(pair[0]), "value": show(pair[1]), "at": where}


def _newlines(text: str) -> int:
    return text.count("\n")


def _shown(text: str | None) -> str | None:
    return None if text is None else show(text)


def _place(span: Span) -> dict[str, int]:
    return {"line": span.line, "column": span.column, "length": span.length}
