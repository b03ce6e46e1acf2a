"""Every way in which Sealift can say no.

The tree is split by who can mend the fault; the exit code hangs on the class:

    SealiftError
    ├── UsageError       2  the command line is wrong
    ├── TestFailed       1  the recipe's own `%test` said no
    ├── DefinitionError  3  the definition file is wrong (carries where)
    ├── SectionError     3  a section's script failed (carries section, code, tail)
    ├── FetchError       4  network or registry
    │   ├── NotFoundError       the server does not have it
    │   ├── DeniedError         the server wants (other) credentials
    │   ├── UnreachableError    no connection, or it broke too often
    │   └── MismatchError       the bytes are not those that the digest names
    ├── ImageError       5  an image is damaged, or not an image
    ├── StoreError       5  the cache is damaged or cannot be written
    └── HostError        6  this host lacks something
        └── ToolError       an external program failed (carries argv, code, tail)

Anything else that escapes is our own fault and is reported as such.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A place in a text that a person wrote: lines and columns count from 1, `length` in characters."""

    file: str
    line: int
    column: int
    length: int
    text: str
    """The whole line, without its newline."""


class SealiftError(Exception):
    """A foreseeable fault: one sentence, no final period, and what to type next.

    `hints` are shown below the message, each after `hint:`.
    """

    exit_code = 1

    def __init__(self, message: str, *, hints: tuple[str, ...] = (), where: Span | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hints = hints
        self.where = where


class UsageError(SealiftError):
    exit_code = 2


class TestFailed(SealiftError):  # noqa: N818 -- it is an answer, not a fault
    exit_code = 1
    __test__ = False  # pytest collects names that begin with Test


class DefinitionError(SealiftError):
    """One or more faults of a definition file; `others` are the further findings of the same reading."""

    exit_code = 3

    def __init__(
        self,
        message: str,
        *,
        hints: tuple[str, ...] = (),
        where: Span | None = None,
        others: tuple[DefinitionError, ...] = (),
    ) -> None:
        super().__init__(message, hints=hints, where=where)
        self.others = others


class SectionError(SealiftError):
    exit_code = 3

    def __init__(self, message: str, *, section: str, code: int, tail: str = "", hints: tuple[str, ...] = ()) -> None:
        super().__init__(message, hints=hints)
        self.section = section
        self.code = code
        self.tail = tail


class FetchError(SealiftError):
    exit_code = 4


class NotFoundError(FetchError):
    pass


class DeniedError(FetchError):
    pass


class UnreachableError(FetchError):
    pass


class MismatchError(FetchError):
    pass


class ImageError(SealiftError):
    exit_code = 5


class StoreError(SealiftError):
    exit_code = 5


class HostError(SealiftError):
    exit_code = 6


class ToolError(HostError):
    def __init__(
        self, message: str, *, argv: tuple[str, ...], code: int, tail: str = "", hints: tuple[str, ...] = ()
    ) -> None:
        super().__init__(message, hints=hints)
        self.argv = argv
        self.code = code
        self.tail = tail
