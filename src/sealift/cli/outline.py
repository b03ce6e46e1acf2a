"""A definition file at a glance: its stages, header, sections, files, labels and apps, each with its line number."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sealift.deffile.parse import Reading
    from sealift.deffile.values import FileGroup, Section, Stage


def outline(reading: Reading) -> list[str]:
    """The lines of text; none where the file holds no stage."""
    from sealift.deffile.characters import printable

    stages = reading.definition.stages
    rows: list[tuple[int | None, str]] = []
    for number, stage in enumerate(stages, 1):
        name = f" `{stage.name}`" if stage.name else ""
        if len(stages) > 1:
            rows += [(None, "")] * (number > 1) + [(None, f"stage {number} of {len(stages)}{name}")]
        rows += _stage(stage)
    width = max((len(str(line)) for line, _ in rows if line is not None), default=0)
    return [f"{line if line is not None else '':>{width}}  {printable(text)}".rstrip() for line, text in rows]


def _stage(stage: Stage) -> list[tuple[int | None, str]]:
    from sealift.deffile.vocabulary import show_keyword

    rows: list[tuple[int | None, str]] = [
        (field.span.line, f"{show_keyword(field.key)}: {_one_line(field.value)}") for field in stage.fields
    ]
    shown_files: set[str] = set()
    for section in stage.sections:
        rows.append((section.span.line, _heading(section)))
        if section.name == "files":
            group = next(one for one in stage.files if one.arguments == (section.arguments or ""))
            if group.arguments not in shown_files:
                rows += _copies(group)
            shown_files.add(group.arguments)
        elif section.name in ("labels", "arguments"):
            rows += _pairs(section)
    return rows


def _heading(section: Section) -> str:
    written = section.heading.rstrip("\r\n")
    if section.name in ("files", "labels", "arguments"):
        return written
    count = sum(1 for line in section.body.split("\n") if line.strip())
    return f"{written}    ({count} line{'' if count == 1 else 's'})"


def _copies(group: FileGroup) -> list[tuple[int | None, str]]:
    if group.is_ignored:
        return [(None, "    ignored")]
    return [(copy.span.line, f"    {copy.source} -> {copy.destination or 'the same path'}") for copy in group.copies]


def _pairs(section: Section) -> list[tuple[int | None, str]]:
    from sealift.deffile.characters import trim

    lines = enumerate(section.body.split("\n"), section.span.line + 1)
    return [(at, f"    {trim(line)}") for at, line in lines if trim(line) and not trim(line).startswith("#")]


def _one_line(value: str) -> str:
    return value.replace("\n", "\\n")
