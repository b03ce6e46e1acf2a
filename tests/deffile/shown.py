"""Faults and cautions as text, to be compared with the files beside the definition files."""

from __future__ import annotations

from pathlib import Path

from sealift.cli.faults import render_fault
from sealift.deffile.findings import Caution
from sealift.errors import DefinitionError

HERE = Path(__file__).parent


def definition_files(folder: str) -> list[Path]:
    found = sorted((HERE / folder).glob("*.def"))
    assert found
    return found


def shown_error(error: DefinitionError) -> str:
    return "\n\n".join(render_fault(one) for one in (error, *error.others)) + "\n"


def shown_cautions(cautions: tuple[Caution, ...]) -> str:
    parts = []
    for caution in cautions:
        error = DefinitionError(caution.message, hints=caution.hints, where=caution.where)
        parts.append(render_fault(error).replace("error:", f"{caution.id}:", 1))
    return "\n\n".join(parts) + "\n"
