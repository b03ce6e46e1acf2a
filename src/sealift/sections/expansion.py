"""`%files` sources as a shell reads them: `~`, `$NAME`, `{a,b}`, `*`, `?`, `[…]` and backslashes.

Apptainer 1.4 gives each source, blanks in it protected, to a shell as the words of a `for` loop. So does this; the
shell is the host's bash, which alone knows braces, else its /bin/sh.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sealift.deffile.characters import decode
from sealift.deffile.values import FileCopy
from sealift.deffile.vocabulary import nearest
from sealift.errors import DefinitionError, HostError, ToolError
from sealift.sections.base_environment import LINKS
from sealift.system import process

_SHELL_PLACE = re.compile(r"^\S*sh: (-c: )?(line \d+: |\d+: )?")

_WITH_METADATA = frozenset((".singularity.d", "scif", *(path[1:] for path, _ in LINKS)))
_WILD = re.compile(r"[*?\[]")

TIMEOUT = 60.0
"""Seconds: a `$(…)` in a source may do anything, also wait for input that never comes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Copy:
    """One source, expanded, and where it goes. `row` is the line it came from."""

    source: str
    destination: str
    row: int
    make_parents: bool = True

    def to_json(self) -> list[str | int | bool]:
        """As `inner.copy_from_host` takes it."""
        return [self.source, self.destination, self.row, self.make_parents]


def expand_host_copies(copies: Sequence[FileCopy], *, cwd: str, env: Mapping[str, str]) -> tuple[Copy, ...]:
    """Expand the lines of `%files` on this host, each to a destination. DefinitionError with all that is not there."""
    found: list[Copy] = []
    faults: list[DefinitionError] = []
    for row, copy in enumerate(copies):
        try:
            sources = expand(copy.source, cwd=cwd, env=env)
        except DefinitionError as error:
            faults.append(DefinitionError(error.message, hints=error.hints, where=copy.span))
            continue
        for source in sources:
            place = os.path.join(cwd, source)
            if not os.path.exists(place):
                faults.append(_missing(copy, source, place, cwd))
            found.append(Copy(source=place, destination=copy.destination or source, row=row))
    if faults:
        raise DefinitionError(faults[0].message, hints=faults[0].hints, where=faults[0].where, others=tuple(faults[1:]))
    return tuple(found)


def plain_copies(copies: Sequence[FileCopy], *, cwd: str) -> tuple[Copy, ...]:
    """Lines of `%appfiles`: nothing is expanded, and no missing folder is made."""
    return tuple(
        Copy(source=os.path.join(cwd, copy.source), destination=copy.destination, row=row, make_parents=False)
        for row, copy in enumerate(copies)
    )


def expand_stage_copies(copies: Sequence[FileCopy], *, cwd: str, env: Mapping[str, str]) -> tuple[Copy, ...]:
    """Expand the lines of `%files from`, but for `*`, `?` and `[…]`, which are the stage's to answer.

    `destination` is empty where the line has none. DefinitionError for what the shell cannot read.
    """
    found: list[Copy] = []
    for row, copy in enumerate(copies):
        try:
            words = expand(copy.source, cwd=cwd, env=env, patterns=False)
        except DefinitionError as error:
            raise DefinitionError(error.message, hints=error.hints, where=copy.span) from error
        found += [Copy(source=word, destination=copy.destination, row=row) for word in words]
    return tuple(found)


def brings_metadata(copies: Sequence[Copy]) -> bool:
    """May these copies from a stage bring what was added to it last: its labels, its scripts, its definition file?

    Most do not, and so do not change when only the definition file's text did.
    """
    first = (os.path.normpath("/" + copy.source.lstrip("/")).split("/")[1] for copy in copies)
    return any(not name or name in _WITH_METADATA or _WILD.search(name) for name in first)


def expand(source: str, *, cwd: str, env: Mapping[str, str], patterns: bool = True) -> tuple[str, ...]:
    """The words that a shell makes of `source`. A pattern that matches nothing stays as it is.

    Without `patterns` only `*`, `?` and `[…]` stay. DefinitionError for what the shell cannot read.
    """
    shell = process.find_program("bash", path=env.get("PATH")) or "/bin/sh"
    script = (
        ("" if patterns else "set -f\n")
        + "for word in "
        + source.replace(" ", "\\ ").replace("\0", "")  # a shell drops NUL, and no argument can hold one
        + " ; do\nprintf '%s\\0' \"$word\"\ndone\n"
    )
    argv = [shell, *(("--norc", "--noprofile") if shell.endswith("bash") else ()), "-c", script]
    try:
        done = process.run(argv, env=env, cwd=cwd, timeout=TIMEOUT)
    except ToolError as error:
        reason = _SHELL_PLACE.sub("", error.tail.partition("\n")[0])
        raise DefinitionError(
            f"a shell cannot read the source `{source}`" + (f": {reason}" if reason else ""),
            hints=("put a backslash before each character that is meant as it is: ( ) & ; | < > ' ` $ \\",),
        ) from error
    except HostError as error:
        raise HostError("the host has no /bin/sh to expand the lines of `%files`") from error
    words = tuple(decode(word) for word in done.out.split(b"\0") if word)
    # bash before 5.2 lets `.*` match `.` and `..`, which copies the whole folder and its parent.
    if "." not in source.rsplit("/", 1)[-1].lstrip("\\") or source.rsplit("/", 1)[-1] in (".", ".."):
        return words
    return tuple(word for word in words if word.rsplit("/", 1)[-1] not in (".", ".."))


def _missing(copy: FileCopy, source: str, place: str, cwd: str) -> DefinitionError:
    what = f"`{source}`" if source == copy.source else f"`{source}` (from `{copy.source}`)"
    if os.path.islink(place):
        return DefinitionError(
            f"{what} is a symbolic link to `{os.readlink(place)}`, which is not there",
            where=copy.span,
            hints=("give the link its target, or copy another file",),
        )
    hints = []
    folder, name = os.path.split(place.rstrip("/"))
    try:
        near = nearest(name, os.listdir(folder))
    except OSError:
        near = None
    if near:
        hints.append(f"did you mean `{os.path.join(os.path.dirname(source.rstrip('/')), near)}`?")
    if not source.startswith("/"):
        hints.append(f"relative sources count from where the build is started: {cwd}")
    if not hints:
        hints.append(f"see what is there: ls {os.path.dirname(source.rstrip('/')) or '.'}")
    return DefinitionError(f"{what} is not there to be copied", where=copy.span, hints=tuple(hints))
