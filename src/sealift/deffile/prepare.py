"""From the bytes of a definition file to what is built: read, fill the placeholders, read again, look for the rest.

`check` says everything that there is to say; `prepare` refuses a wrong file.
"""

from __future__ import annotations

from dataclasses import dataclass

from sealift.deffile.arguments import (
    BuildArguments,
    argument_cautions,
    defaults_of,
    replace_placeholders,
    unused_arguments,
)
from sealift.deffile.findings import Caution, Fault, as_error, in_order
from sealift.deffile.parse import Reading, StageReading, read, read_stage
from sealift.deffile.refusals import empty_stage
from sealift.deffile.stages import find_build_cautions, find_build_faults
from sealift.deffile.values import Definition, Stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A definition file as it is built: placeholders filled, everything checked that can be without building."""

    definition: Definition
    text: str
    """The whole text with its placeholders filled."""
    consumed: frozenset[str]
    cautions: tuple[Caution, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """All that was found. `reading` is the file as written, `prepared` what is built where there are no faults."""

    reading: Reading
    prepared: Prepared
    faults: tuple[Fault, ...]
    """In the order of the file."""


def prepare(
    data: bytes,
    *,
    file: str = "definition file",
    given: BuildArguments | None = None,
    allow_unused: bool = False,
) -> Prepared:
    """What is built. DefinitionError with every fault of the file, each with its place."""
    checked = check(data, file=file, given=given, allow_unused=allow_unused)
    if checked.faults:
        raise as_error(checked.faults)
    return checked.prepared


def check(
    data: bytes,
    *,
    file: str = "definition file",
    given: BuildArguments | None = None,
    allow_unused: bool = False,
) -> Checked:
    """Read, fill and look, without raising."""
    values = (given or BuildArguments()).values
    reading = read(data, file=file)
    faults = list(reading.faults)
    cautions = list(reading.cautions)
    consumed: set[str] = set()
    stages: list[Stage] = []
    texts: list[str] = []
    unsure: set[int] = set()
    elsewhere = frozenset(name for stage in reading.definition.stages for name in defaults_of(stage))
    for first, source in zip(reading.readings, reading.sources, strict=True):
        defaults = defaults_of(first.stage)
        cautions += argument_cautions(first.stage, source)
        replaced = replace_placeholders(source, values, defaults, elsewhere=elsewhere)
        consumed |= replaced.consumed
        faults += replaced.faults
        texts.append(replaced.source.text)
        again = read_stage(replaced.source)
        if not first.faults:  # what was wrong before is so still
            faults += again.faults
        if again.stage.is_empty:
            faults.append(empty_stage(first.stage))
            continue
        if _header_is_unsure(again):
            unsure.add(len(stages))
        stages.append(again.stage)
    definition = Definition(file=file, blocks=tuple(stages))
    faults += find_build_faults(definition, unsure=unsure)
    cautions += find_build_cautions(definition)
    unused = sorted(values.keys() - consumed)
    if unused and not reading.faults and not allow_unused:
        faults.append(unused_arguments(unused, reading.definition, reading.sources))
    return Checked(
        reading=reading,
        prepared=Prepared(
            definition=definition, text="".join(texts), consumed=frozenset(consumed), cautions=in_order(cautions)
        ),
        faults=in_order(faults),
    )


def _header_is_unsure(reading: StageReading) -> bool:
    """Did a fault within the header hide a part of it?"""
    stage = reading.stage
    last = stage.sections[0].span.line if stage.sections else None
    places = (fault.where for fault in reading.faults)
    return any(where is not None and (last is None or where.line < last) for where in places)
