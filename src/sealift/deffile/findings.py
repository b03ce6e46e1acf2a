"""What a reading has to say: faults, for which Apptainer refuses the file too, and cautions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from sealift.deffile.characters import printable
from sealift.errors import DefinitionError, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A reason to refuse the file. `apptainer` is what Apptainer says; with `crashes`, its dying words."""

    message: str
    apptainer: str
    where: Span | None = None
    hints: tuple[str, ...] = ()
    crashes: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Caution:
    """Something that is allowed and does not do what it seems to do. `id` names the rule."""

    id: str
    message: str
    where: Span
    hints: tuple[str, ...] = ()


def as_error(faults: Sequence[Fault]) -> DefinitionError:
    """One error for at least one fault, in the order of the file; the first is the error, the rest its `others`."""
    errors = [
        DefinitionError(printable(fault.message), hints=tuple(map(printable, fault.hints)), where=fault.where)
        for fault in sorted(faults, key=_place)
    ]
    return DefinitionError(errors[0].message, hints=errors[0].hints, where=errors[0].where, others=tuple(errors[1:]))


def in_order(cautions: Iterable[Caution]) -> tuple[Caution, ...]:
    """In the order of the file, with words that can be printed."""
    return tuple(
        replace(one, message=printable(one.message), hints=tuple(map(printable, one.hints)))
        for one in sorted(cautions, key=lambda one: (one.where.line, one.where.column))
    )


def _place(fault: Fault) -> tuple[int, int]:
    return (fault.where.line, fault.where.column) if fault.where else (0, 0)
