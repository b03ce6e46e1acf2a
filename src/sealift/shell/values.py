"""A shell script as frozen values. Every `start` and `end` is an offset in the text that was read.

Script   = { Line }                     a list; a line is an and-or list with what ends it
Line     = Pipeline { ("&&" | "||") Pipeline }
Pipeline = [ "!" ] Command { "|" Command }
Command  = Simple | Group | If | Loop | For | Case | Function | Test | Arithmetic
Word     = { Literal | Parameter | Substitution | Sum }
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal as OneOf

Dialect = OneOf["posix", "bash"]
Quote = OneOf["", "'", '"', "\\"]
"""How a part is protected: not at all, in single quotes (`$'…'` too), in double quotes, by a backslash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a shell refuses the script. A here-document without end is a `warning`: shells take all that follows."""

    message: str
    start: int
    end: int
    warning: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """`[start:end]` of the text; the pieces of a script lie end to end and are the whole text."""

    kind: OneOf["word", "operator", "newline", "blank", "comment", "here-document", "unread"]
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Literal:
    """Text that stands for itself; `text` is what the shell makes of it (escapes taken away)."""

    text: str
    start: int
    end: int
    quote: Quote = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """`$name` or `${name operator argument}`; `#` of `${#name}` and `!` of `${!name}` begin the operator."""

    name: str
    start: int
    end: int
    operator: str = ""
    argument: Word | None = None
    quote: Quote = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Substitution:
    """`$(…)`, backquotes, `<(…)` or `>(…)`."""

    script: Script
    opening: str
    start: int
    end: int
    quote: Quote = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sum:
    """`$((…))`, kept as text."""

    text: str
    start: int
    end: int
    quote: Quote = ""


Part = Literal | Parameter | Substitution | Sum


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    parts: tuple[Part, ...]
    start: int
    end: int

    @property
    def literal(self) -> str | None:
        """What the word says, where nothing in it is expanded; None otherwise."""
        texts = [part.text for part in self.parts if isinstance(part, Literal)]
        return "".join(texts) if len(texts) == len(self.parts) else None

    @property
    def bare(self) -> str:
        """The text where no part is quoted or expanded, else "": reserved words and operators of tests are bare."""
        one = self.parts[0] if len(self.parts) == 1 else None
        return one.text if isinstance(one, Literal) and not one.quote else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """`name=value`; `operator` is `=` or `+=`, `index` what stood in brackets, `array` the words of `name=(…)`."""

    name: str
    operator: str
    value: Word | None
    start: int
    end: int
    index: str = ""
    array: tuple[Word, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HereDocument:
    """`body` is what the command reads, as a word where it is expanded; `closed` is false where its end is missing."""

    delimiter: str
    body: Word
    closed: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Redirect:
    """`2>&1`: `number` is `2` (or `{name}`), `operator` `>&`, `target` `1`."""

    number: str
    operator: str
    target: Word
    start: int
    end: int
    document: HereDocument | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Simple:
    assignments: tuple[Assignment, ...]
    words: tuple[Word, ...]
    redirects: tuple[Redirect, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """`{ …; }` or, with `subshell`, `( … )`."""

    body: Script
    subshell: bool
    redirects: tuple[Redirect, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class If:
    """`branches` are condition and body of `if` and each `elif`."""

    branches: tuple[tuple[Script, Script], ...]
    otherwise: Script | None
    redirects: tuple[Redirect, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Loop:
    """`while` or `until`."""

    word: str
    condition: Script
    body: Script
    redirects: tuple[Redirect, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class For:
    """`for name in words`, or `select`; `words` is None for `for name`, `sums` the text of `for ((…))`."""

    name: str
    words: tuple[Word, ...] | None
    body: Script
    redirects: tuple[Redirect, ...]
    start: int
    end: int
    word: str = "for"
    sums: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    patterns: tuple[Word, ...]
    body: Script


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    subject: Word
    branches: tuple[Branch, ...]
    redirects: tuple[Redirect, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """`keyword` is true for bash's `function name`."""

    name: str
    body: Command
    keyword: bool
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Test:
    """`[[ … ]]`: its words, operators among them."""

    words: tuple[Word, ...]
    redirects: tuple[Redirect, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Arithmetic:
    """`(( … ))`, kept as text."""

    text: str
    redirects: tuple[Redirect, ...]
    start: int
    end: int


Command = Simple | Group | If | Loop | For | Case | Function | Test | Arithmetic


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    commands: tuple[Command, ...]
    negated: bool
    start: int
    end: int
    with_stderr: bool = False
    """Does one of its pipes take standard error too (`|&`)?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Pipelines with the operator before each (`""` before the first), and what ended them: `;`, `&`, a newline."""

    pipelines: tuple[Pipeline, ...]
    operators: tuple[str, ...]
    terminator: str
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Script:
    lines: tuple[Line, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """`script` has all that could be read; with a fault, lines may be missing from it, never from `pieces`."""

    script: Script
    pieces: tuple[Piece, ...]
    faults: tuple[Fault, ...]
