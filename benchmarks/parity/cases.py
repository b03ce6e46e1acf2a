"""A definition file of tests/definitions, and what its comment on top asks for.

# Covers: what it is about, in words for people; may go on
#   on the next lines
# Options: --build-arg A=1          more arguments of `build`, the same for both
# Ask: run IMAGE one "two words"    a question to the finished image, the same for both; any number of them
# Fails: 3                          both refuse it, and Sealift ends with this code
# Refused by Apptainer: why         Sealift alone builds it
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[2] / "tests" / "definitions"

IMAGE = "IMAGE"
"""Stands for the image in a question."""

_FIELD = re.compile(r"# (Covers|Options|Ask|Fails|Refused by Apptainer): *(.*)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    path: Path
    covers: str
    options: tuple[str, ...] = ()
    asks: tuple[tuple[str, ...], ...] = ()
    fails: int | None = None
    """The exit code of Sealift's refusal; None for a file that builds."""
    refused: str = ""
    """Why Apptainer cannot build what Sealift can."""

    @property
    def name(self) -> str:
        return self.path.stem


def read_case(path: Path) -> Case:
    """ValueError for a comment that says not what the file covers."""
    found: list[tuple[str, str]] = []
    for line in path.read_bytes().decode("utf-8", "replace").splitlines():
        if not line.startswith("#"):
            break
        match = _FIELD.fullmatch(line)
        if match is not None:
            found.append((match[1], match[2].strip()))
        elif found:
            found[-1] = (found[-1][0], f"{found[-1][1]} {line[1:].strip()}")

    def values(key: str) -> list[str]:
        return [value for name, value in found if name == key]

    if len(values("Covers")) != 1:
        raise ValueError(f"{path} does not say what it covers")
    return Case(
        path=path,
        covers=values("Covers")[0],
        options=tuple(word for text in values("Options") for word in shlex.split(text)),
        asks=tuple(tuple(shlex.split(text)) for text in values("Ask")),
        fails=next(map(int, values("Fails")), None),
        refused=next(iter(values("Refused by Apptainer")), ""),
    )


def read_cases(names: Iterable[str] = ()) -> tuple[Case, ...]:
    """All of the folder, or those named, in order of name."""
    wanted = set(names)
    paths = sorted(FOLDER.glob("*.def"))
    unknown = wanted - {path.stem for path in paths}
    if unknown:
        raise ValueError(f"there is no definition file for {', '.join(sorted(unknown))}")
    return tuple(read_case(path) for path in paths if not wanted or path.stem in wanted)
