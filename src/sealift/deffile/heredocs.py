"""Here-documents in shell text: only as much of the shell as it takes to know that a line lies inside one."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sealift.deffile.values import Section

# `<<<` is a here-string, `$((1<<2))` a shift: a delimiter is a word, perhaps quoted.
_OPENING = re.compile(r"""(?<!<)<<(?!<)(-?)[ \t]*(?:'([^'\n]+)'|"([^"\n]+)"|\\?([A-Za-z_][0-9A-Za-z_]*))""")


_REACH = 200
"""So many sections before and behind are looked at; it bounds the time that a hostile file can cost."""


def open_heredoc(text: str) -> tuple[int, str] | None:
    """(index of its line, delimiter) of the here-document that is still open at the end of `text`, or None."""
    waiting: list[tuple[int, bool, str]] = []
    for number, line in enumerate(text.split("\n")):
        if waiting:
            _, tabs, delimiter = waiting[0]
            if (line.lstrip("\t") if tabs else line).rstrip("\r") == delimiter:
                waiting.pop(0)
            continue
        if line.lstrip().startswith("#"):
            continue
        for match in _OPENING.finditer(line):
            waiting.append((number, bool(match[1]), match[2] or match[3] or match[4]))
    return (waiting[0][0], waiting[0][2]) if waiting else None


def heredoc_around(sections: Sequence[Section], row: int) -> int | None:
    """The line number of the here-document that the heading `sections[row]` stands in, or None."""
    body = ""
    for one in reversed(sections[max(0, row - _REACH) : row]):
        body = one.body + body
        opened = open_heredoc(body)
        if opened is not None and closes(sections[row:], opened[1]):
            return one.span.line + 1 + opened[0]
        body = one.heading + body
    return None


def closes(sections: Sequence[Section], delimiter: str) -> bool:
    """Does one of the next sections hold the line that ends a here-document?"""
    return any(line.strip() == delimiter for one in sections[:_REACH] for line in one.body.split("\n"))
