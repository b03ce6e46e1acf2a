"""Words for a shell in which some values are known when the job runs and not before.

`at_run_time("SCRATCH")` stands for what `$SCRATCH` will hold. It can be put into any text, a path or a variable's
value, and passes through all that only moves texts about: the engines' command lines. `quoted` writes it down at last.
"""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterable

# No text that a person types has these characters (a NUL could stand in no argument at all).
_OPEN, _CLOSE = "\x01", "\x02"
# Only these names: texts come out of images, too, and must not bring a shell's commands along.
_MARK = re.compile(f"/?{_OPEN}(/?)([A-Za-z_][A-Za-z0-9_]*|[1-9]|@(?::2)?){_CLOSE}")
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*|[1-9]")
_NAMED = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([A-Za-z_][A-Za-z0-9_]*)\})")
WIDTH = 100


def at_run_time(name: str, *, path: bool = False) -> str:
    """What the variable `name` will hold; one that holds a `path` reads as an absolute path until then."""
    return f"/{_OPEN}/{name}{_CLOSE}" if path else f"{_OPEN}{name}{_CLOSE}"


ARGUMENTS = (at_run_time("1"), at_run_time("@:2"))
"""The words that a script was given: its first, and all others."""


def with_variables(text: str, *, path: bool = False) -> str:
    """`$NAME` and `${NAME}` in a text that a person typed; with `path` one that begins it names an absolute path."""

    def mark(found: re.Match[str]) -> str:
        return at_run_time(found[1] or found[2], path=path and found.start() == 0)

    return _NAMED.sub(mark, text)


def variables_in(texts: Iterable[str]) -> tuple[str, ...]:
    """The variables that these texts wait for, each once."""
    names = (found[2] for text in texts for found in _MARK.finditer(text))
    return tuple(dict.fromkeys(name for name in names if name[:1].isalpha() or name[:1] == "_"))


def quoted(word: str) -> str:
    """One word of a shell's command line."""
    if _OPEN not in word:
        return shlex.quote(word)
    parts, last = [], 0
    for found in _MARK.finditer(word):
        parts.append(_in_quotes(word[last : found.start()]))
        if found[0][0] == "/" and not found[1]:
            parts.append("/")
        follows = word[found.end() : found.end() + 1]
        braces = re.match(r"[A-Za-z0-9_\[]", follows) or not _PLAIN.fullmatch(found[2])
        parts.append(f"${{{found[2]}}}" if braces else f"${found[2]}")
        last = found.end()
    parts.append(_in_quotes(word[last:]))
    return f'"{"".join(parts)}"'


def _in_quotes(text: str) -> str:
    return re.sub(r'([\\"$`])', r"\\\1", text)


def command(words: Iterable[str], *, indent: int = 0) -> str:
    """A command line, broken where it is long; an option and its value stay on one line."""
    chunks: list[str] = []
    is_option = False
    texts = [(quoted(word), word) for word in words]
    if tuple(word for _, word in texts[-2:]) == ARGUMENTS:
        texts[-2:] = [('"$@"', "")]
    for text, word in texts:
        if is_option and not word.startswith("-"):
            chunks[-1] += f" {text}"
        else:
            chunks.append(text)
        is_option = word.startswith("-") and "=" not in word
    lines = [""]
    for chunk in chunks:
        if lines[-1] and len(lines[-1]) + len(chunk) >= WIDTH - indent:
            lines.append(chunk)
        else:
            lines[-1] += f" {chunk}" if lines[-1] else chunk
    return f" \\\n{' ' * (indent + 4)}".join(lines)


def one_line(text: str) -> str:
    """A text for a comment: what stood behind an end of line in it would be commands."""
    return re.sub(r"[\r\n]+", " ", text)


def patterns(names: Iterable[str], *, indent: int = 12) -> str:
    """A pattern of `case`, over as many lines as it needs."""
    lines = textwrap.wrap("~| ".join(names), WIDTH, break_long_words=False, break_on_hyphens=False)
    return f" \\\n{' ' * indent}".join(lines).replace("~|", " |")
