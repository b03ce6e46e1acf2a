"""Plain assignments in shell form, understood without a shell: `--env-file`, and images that hold no shell.

    # a comment
    NAME=word   export NAME="with $OTHER and ${ONE:-a default}"   NAME='as it is'   A=1 B=2; C=3

Nothing is executed: a line that would need a shell is an error in an `--env-file`, as with Apptainer, and is passed
over in an image's script.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sealift.errors import Span, UsageError

_ASSIGNMENT = re.compile(
    r"""\s*(?:export\s+)?([A-Za-z_]\w*)=((?:"(?:[^"\\`]|\\.)*"|'[^']*'|\\.|[^\s"'\\`;&|<>()])*)(?=\s|;|$)""", re.DOTALL
)
_PIECE = re.compile(r"""\"((?:[^"\\`]|\\.)*)\"|'([^']*)'|\\(.)|([^"'\\]+)""", re.DOTALL)
# What 10-docker2singularity.sh says: export NAME="${NAME:-"value"}"
_DEFAULT = re.compile(r"""\s*export\s+([A-Za-z_]\w*)="\$\{\1:-"((?:[^"\\`]|\\.)*)"\}"\s*""", re.DOTALL)
# … and for values that hold quotes: [ -n "${NAME:-}" ] || NAME='value'
_GUARDED = re.compile(r"""\s*\[ -n "\$\{([A-Za-z_]\w*):-\}" \] \|\| (?=\1=)""")
_REFERENCE = re.compile(r"\\([\"\\$`])|\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?:(:?)-([^{}]*))?\})")


def read_env_file(text: str, env: Mapping[str, str], *, name: str) -> dict[str, str]:
    """The variables of an `--env-file`; references are to earlier lines and to `env`. UsageError says which line."""
    found: dict[str, str] = {}
    for number, line in _lines(text):
        position = 0
        while position < len(line) and not re.match(r"\s*(#|$)", line[position:]):
            match = _ASSIGNMENT.match(line, position)
            if match is None or "$(" in match[2]:
                column = position + len(line[position:]) - len(line[position:].lstrip()) + 1
                raise UsageError(
                    "only assignments can stand here",
                    where=Span(file=name, line=number, column=column, length=1, text=line),
                    hints=('NAME="a value"',),
                )
            found[match[1]] = _value(match[2], {**env, **found})
            position = match.end()
            position += line.startswith(";", position)
    return found


def assignments(text: str, env: Mapping[str, str]) -> dict[str, str]:
    """The variables that a script's plain assignments set; what is no such line is passed over."""
    found: dict[str, str] = {}
    for _, line in _lines(text):
        known = {**env, **found}
        if guard := _GUARDED.match(line):
            if known.get(guard[1]):
                continue
            line = line[guard.end() :]  # noqa: PLW2901 -- what stands behind the guard
        if default := _DEFAULT.fullmatch(line):
            variable, value = default.groups()
            found[variable] = known.get(variable) or expand(value, known)
        elif (match := _ASSIGNMENT.match(line)) and re.fullmatch(r"\s*(#.*)?", line[match.end() :]):
            found[match[1]] = _value(match[2], known)
    return found


def expand(value: str, env: Mapping[str, str]) -> str:
    r"""Text as in double quotes: `$NAME`, `${NAME}`, `${NAME:-default}`, and a backslash before one of `"\\$`."""

    def one(match: re.Match[str]) -> str:
        escaped, plain, braced, empty_too, default = match.groups()
        if escaped:
            return escaped
        found = env.get(plain or braced)
        return default or "" if found is None or (empty_too and not found) else found

    return _REFERENCE.sub(one, value)


def _value(word: str, env: Mapping[str, str]) -> str:
    parts = []
    for double, single, escaped, bare in _PIECE.findall(word):
        parts.append(expand(double or bare, env) if double or bare else single or escaped)
    return "".join(parts)


def _lines(text: str) -> list[tuple[int, str]]:
    """Lines with their numbers; one that ends within quotes goes on in the next."""
    found: list[tuple[int, str]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if found and _open(found[-1][1]):
            found[-1] = (found[-1][0], found[-1][1] + "\n" + line)
        else:
            found.append((number, line))
    return found


def _open(line: str) -> bool:
    quote = ""
    escaped = False
    for char in line:
        if escaped:
            escaped = False
        elif char == "\\" and quote != "'":
            escaped = True
        elif quote:
            quote = "" if char == quote else quote
        elif char in "\"'":
            quote = char
        elif char == "#":
            break
    return bool(quote)
