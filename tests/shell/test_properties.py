from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from sealift.shell.follow import follow
from sealift.shell.parse import parse
from sealift.shell.values import Dialect

WORDS = (
    "a",
    "$b",
    "'c'",
    '"d"',
    "if",
    "then",
    "fi",
    "for",
    "in",
    "do",
    "done",
    "case",
    "esac",
    "{",
    "}",
    "[[",
    "]]",
    "x=",
)
MARKS = (
    "(",
    ")",
    "$(",
    "${",
    "`",
    "'",
    '"',
    "\\",
    ";",
    ";;",
    "&",
    "&&",
    "|",
    "\n",
    " ",
    "<<E\n",
    "E\n",
    "<",
    ">",
    "#",
    "((",
)
SCRIPTS = st.lists(st.sampled_from((*WORDS, *MARKS, " ", " ", "\n")), max_size=40).map("".join) | st.text(max_size=60)


@settings(max_examples=150, deadline=None)
@given(text=SCRIPTS, dialect=st.sampled_from(("posix", "bash")))
def test_nothing_is_lost_and_nothing_raised(text: str, dialect: Dialect) -> None:
    reading = parse(text, dialect=dialect)
    assert "".join(text[piece.start : piece.end] for piece in reading.pieces) == text
    assert all(0 <= fault.start <= fault.end <= len(text) for fault in reading.faults)
    follow(reading.script, dialect=dialect)
