"""Parts of scripts that do not depend on the job, as files of their own, so that tools for shells can read them."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from importlib import resources


@functools.cache
def part(name: str) -> str:
    """The text of data/jobs/NAME.sh; `#@WORD@` stands where something of the job goes."""
    return resources.files("sealift").joinpath(f"data/jobs/{name}.sh").read_text("utf-8").rstrip("\n")


def heredoc(name: str, lines: tuple[str, ...]) -> Iterator[str]:
    """A text of several lines as the value of a variable, word by word as it stands here."""
    end = name.upper()
    while any(end in line.split("\n") for line in lines):
        end += "_"
    yield f"IFS= read -r -d '' {name} <<'{end}' || :"
    yield from lines
    yield end
