"""A definition file as JSON for editors and other tools: what it means, and where each part stands."""

from __future__ import annotations

from typing import Any

from sealift.deffile.characters import show
from sealift.deffile.findings import Caution, Fault
from sealift.deffile.parse import Reading
from sealift.deffile.values import Stage
from sealift.errors import Span


def as_json(reading: Reading) -> dict[str, Any]:
    """Lines and columns count from 1. Bytes that are not UTF-8 appear as U+FFFD."""
    return {
        "file": reading.definition.file,
        "valid": not reading.faults,
        "stages": [_stage(stage) for stage in reading.definition.stages],
        "faults": [_fault(fault) for fault in reading.faults],
        "cautions": [_caution(caution) for caution in reading.cautions],
    }


def _stage(stage: Stage) -> dict[str, Any]:
    return {
        "at": _place(stage.span),
        "header": [{"key": field.key, "value": show(field.value), "at": _place(field.span)} for field in stage.fields],
        "sections": [
            {
                "name": show(section.name),
                "app": None if section.app is None else show(section.app),
                "arguments": None if section.arguments is None else show(section.arguments),
                "body": show(section.body),
                "at": _place(section.span),
            }
            for section in stage.sections
        ],
        "files": [
            {
                "arguments": show(group.arguments),
                "from_stage": group.from_stage,
                "ignored": group.is_ignored,
                "copies": [
                    {"source": show(copy.source), "destination": show(copy.destination), "at": _place(copy.span)}
                    for copy in group.copies
                ],
            }
            for group in stage.files
        ],
        "labels": {show(key): show(value) for key, value in stage.labels.items()},
        "apps": [show(app.name) for app in stage.apps],
    }


def _fault(fault: Fault) -> dict[str, Any]:
    return {
        "message": show(fault.message),
        "at": _place(fault.where),
        "hints": [show(hint) for hint in fault.hints],
        "apptainer": show(fault.apptainer),
    }


def _caution(caution: Caution) -> dict[str, Any]:
    return {
        "id": caution.id,
        "message": show(caution.message),
        "at": _place(caution.where),
        "hints": [show(hint) for hint in caution.hints],
    }


def _place(span: Span | None) -> dict[str, int] | None:
    return None if span is None else {"line": span.line, "column": span.column, "length": span.length}
