"""The story of `parse`: what a definition file says, and everything that is wrong with it, without building."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sealift.deffile.arguments import BuildArguments
from sealift.deffile.findings import Caution, Fault
from sealift.deffile.prepare import Checked, check
from sealift.deffile.sniff import other_file
from sealift.flows.definitions import bounded, read_given_arguments, read_spec

if TYPE_CHECKING:
    from collections.abc import Callable

STDIN = "-"
STDIN_NAME = "<stdin>"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParseRequest:
    """`path` is a file, or `-`, for which `read_stdin` is asked. The build arguments are as `build` takes them."""

    path: str
    read_stdin: Callable[[], bytes]
    build_arguments: tuple[str, ...] = ()
    build_argument_file: str | None = None
    allow_unused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Parsed:
    """`checked` is None where the file is no definition file at all; `faults` says so then."""

    file: str
    data: bytes
    given: BuildArguments
    checked: Checked | None
    faults: tuple[Fault, ...]
    cautions: tuple[Caution, ...] = ()

    def as_json(self) -> dict[str, Any]:
        from sealift.deffile.as_json import as_json, nothing_as_json

        if self.checked is None:
            return nothing_as_json(self.file, self.faults[0])
        return as_json(self.checked, given=self.given.values)


def parse_file(request: ParseRequest) -> Parsed:
    """Read and check a definition file. UsageError where it cannot be read."""
    file, data = _read(request)
    given = read_given_arguments(request.build_arguments, request.build_argument_file)
    other = other_file(data, name=file)
    if other is not None:
        return Parsed(file=file, data=data, given=given, checked=None, faults=(other,))
    checked = check(data, file=file, given=given, allow_unused=request.allow_unused)
    return Parsed(
        file=file,
        data=data,
        given=given,
        checked=checked,
        faults=checked.faults,
        cautions=checked.prepared.cautions,
    )


def answer_of_apptainer(request: ParseRequest) -> dict[str, Any]:
    """What Apptainer's own parser makes of the file, in the form of its test data; whatever the file is."""
    from sealift.deffile.as_apptainer import as_apptainer

    return as_apptainer(_read(request)[1])


def _read(request: ParseRequest) -> tuple[str, bytes]:
    if request.path == STDIN:
        return STDIN_NAME, bounded(request.read_stdin(), name=STDIN_NAME)
    return request.path, read_spec(request.path)[1]
