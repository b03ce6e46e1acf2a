"""What a reading has to say: faults, for which Apptainer refuses the file too, and cautions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TypeVar

from sealift.deffile.characters import printable
from sealift.errors import DefinitionError, Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A reason to refuse the file. `id` names the rule.

    `apptainer` is what Apptainer says; with `crashes`, its dying words.
    """

    id: str
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


_Found = TypeVar("_Found", Fault, Caution)


def as_error(faults: Iterable[Fault]) -> DefinitionError:
    """One error for at least one fault; the first is the error, the rest its `others`."""
    first, *others = (
        DefinitionError(fault.message, hints=fault.hints, where=fault.where) for fault in in_order(faults)
    )
    return DefinitionError(first.message, hints=first.hints, where=first.where, others=tuple(others))


def in_order(found: Iterable[_Found]) -> tuple[_Found, ...]:
    """In the order of the file, with words that can be printed."""
    return tuple(
        replace(one, message=printable(one.message), hints=tuple(map(printable, one.hints)))
        for one in sorted(found, key=_place)
    )


def _place(found: Fault | Caution) -> tuple[int, int]:
    return (found.where.line, found.where.column) if found.where is not None else (0, 0)
