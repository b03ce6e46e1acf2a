"""The place in a script that is being read: blanks, comments, line ends, and here-documents that wait behind them."""

from __future__ import annotations

import re
from typing import Literal as OneOf

from sealift.shell.values import Fault, Piece

_BLANK = re.compile(r"(?:[ \t]|\\\n)+")
_COMMENT = re.compile(r"#[^\n]*")
BARE = re.compile(r"""[^ \t\n;&|<>()\\'"$`]+""")
"""Text of a word that stands for itself."""
_REST_OF_LINE = re.compile(
    r"""(?:[^\n\\'"#]|\\[^\n]|\\\n|'[^']*'|"(?:[^"\\]|\\.|\\\n)*"|(?<![ \t])#|["'])*(?:(?<=[ \t])#[^\n]*)?"""
)
DEEPEST = 40
"""Levels of nesting; no person writes more, and each costs stack."""


class Wrong(Exception):  # noqa: N818 -- it never leaves this folder
    def __init__(self, message: str, start: int, end: int) -> None:
        super().__init__(message)
        self.fault = Fault(message=message, start=start, end=end)


class Cursor:
    """`text[at:stop]` is still to be read."""

    def __init__(self, text: str, *, bash: bool) -> None:
        self.text = text
        self.at = 0
        self.stop = len(text)
        self.bash = bash
        self.globs = bash and "extglob" in text
        """May `!(…)` stand in a word? A shell knows when it runs; a reader can only guess."""
        self.pieces: list[Piece] = []
        self.faults: list[Fault] = []
        self.in_word = 0
        self.depth = 0
        self.bodies: dict[int, int] = {}
        """Offsets of newlines behind which here-documents lie, to the offset behind the last of them."""

    def peek(self, length: int = 1) -> str:
        return self.text[self.at : min(self.at + length, self.stop)]

    def take(self, kind: OneOf["word", "operator", "newline", "blank", "comment", "here-document"], end: int) -> None:
        if not self.in_word and end > self.at:
            self.pieces.append(Piece(kind=kind, start=self.at, end=end))
        self.at = end

    def skip_blanks(self) -> None:
        """Pass blanks, continued line ends and a comment."""
        blank = _BLANK.match(self.text, self.at, self.stop)
        if blank:
            self.take("blank", blank.end())
        if self.peek() == "#":
            comment = _COMMENT.match(self.text, self.at, self.stop)
            self.take("comment", comment.end() if comment else self.at)

    def skip_lines(self) -> None:
        """Pass blanks, comments and line ends, with the here-documents behind them."""
        self.skip_blanks()
        while self.peek() == "\n":
            self.newline()
            self.skip_blanks()

    def newline(self) -> None:
        behind = self.bodies.get(self.at)
        self.take("newline", self.at + 1)
        if behind is not None:
            self.take("here-document", min(behind, self.stop))

    def bare(self) -> str:
        """The next word where nothing in it is quoted or expanded, else ""; it is not passed."""
        found = BARE.match(self.text, self.at, self.stop)
        if found is None:
            return ""
        behind = self.text[found.end() : min(found.end() + 3, self.stop)]
        if behind[:2] == "\\\n" and behind[2:] in (" ", "\t", "\n", ";", "&", "|", ")", ""):
            return found[0]  # the line goes on, and the word ends all the same
        return "" if behind[:1] in ("\\", "'", '"', "$", "`") and behind else found[0]

    def line_end(self, start: int) -> int:
        """Where the line that `start` stands in ends for the shell: quoted line ends do not count."""
        found = _REST_OF_LINE.match(self.text, start)
        end = found.end() if found else start
        newline = self.text.find("\n", end)
        return newline if newline >= 0 else len(self.text)

    def wrong(self, message: str, start: int | None = None, end: int | None = None) -> Wrong:
        """The reason to stop reading, to be raised."""
        start = self.at if start is None else start
        return Wrong(message, start, max(start + 1, self.at) if end is None else end)

    def unexpected(self) -> Wrong:
        """What stands here cannot stand here."""
        if self.at >= self.stop:
            where = max(0, self.stop - 1)
            return self.wrong("the script ends in the middle of a command", where, self.stop)
        if self.peek() == "\n":
            return self.wrong("the line ends in the middle of a command", self.at, self.at + 1)
        operators: tuple[str, ...] = (";;&", ";;", ";&", "&&", "||", "|&")
        word = next((one for one in operators if self.peek(len(one)) == one), "") or self.bare() or self.peek()
        return self.wrong(f"unexpected `{word}`", self.at, self.at + len(word))

    def enter(self) -> None:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.wrong("this is nested too deeply to be read")
