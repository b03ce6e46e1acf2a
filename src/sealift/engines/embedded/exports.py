r"""Reads `export -p`, which every shell that is a /bin/sh prints in its own quoting.

    dash, busybox     export NAME='it'"'"'s'
    bash              declare -x NAME="a \"b\" \$c"      declare -x NAME=$'tab\there'
    ksh, mksh         typeset -x NAME=value              export NAME=value

A name without `=` is marked for export but has no value. POSIX asks that the text can be read by the same shell again
(2.14, export), so its quoting is shell quoting.
"""

from __future__ import annotations

_PLAIN = {"a": "\a", "b": "\b", "e": "\033", "E": "\033", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_DIGITS = {"x": (16, 2), "u": (16, 4), "U": (16, 8)}


def read_exports(text: str) -> dict[str, str]:
    """The exported variables that have a value; ValueError where the text is none of the forms above."""
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        words: list[str] = []
        while position < len(text) and text[position] != "\n":
            word, position = _word(text, position)
            words.append(word)
            while position < len(text) and text[position] in " \t":
                position += 1
        position += 1
        if not words:
            continue
        if words[0] not in ("export", "declare", "typeset"):
            raise ValueError(f"`{words[0]}` is not how a shell prints its exports")
        for word in words[1:]:
            name, equals, value = word.partition("=")
            if equals and not name.startswith("-"):
                found[name] = value
    return found


def read_words(text: str) -> list[str]:
    """The words of a line in shell quoting; nothing is expanded."""
    words: list[str] = []
    position = 0
    while position < len(text):
        if text[position] in " \t\n":
            position += 1
            continue
        word, position = _word(text, position)
        words.append(word)
    return words


def _word(text: str, position: int) -> tuple[str, int]:
    """One shell word from `position` on, unquoted, and where it ends."""
    parts: list[str] = []
    while position < len(text):
        char = text[position]
        if char in " \t\n":
            break
        if char == "'":
            end = text.index("'", position + 1)
            parts.append(text[position + 1 : end])
            position = end + 1
        elif char == '"':
            part, position = _double(text, position + 1)
            parts.append(part)
        elif text.startswith("$'", position):
            part, position = _ansi(text, position + 2)
            parts.append(part)
        elif char == "\\":
            parts.append(text[position + 1 : position + 2])
            position += 2
        else:
            parts.append(char)
            position += 1
    return "".join(parts), position


def _double(text: str, position: int) -> tuple[str, int]:
    parts: list[str] = []
    while text[position] != '"':
        if text[position] == "\\" and text[position + 1] in '"\\$`':
            position += 1
        elif text.startswith("\\\n", position):
            position += 2
            continue
        parts.append(text[position])
        position += 1
    return "".join(parts), position + 1


def _ansi(text: str, position: int) -> tuple[str, int]:
    """`$'…'`: bytes given in octal or hexadecimal may together be UTF-8."""
    out = bytearray()
    while text[position] != "'":
        char = text[position]
        position += 1
        if char != "\\":
            out += char.encode("utf-8", "surrogateescape")
            continue
        kind = text[position]
        position += 1
        if kind in "01234567":
            digits, position = _digits(text, position - 1, 8, 3)
            out.append(int(digits, 8) & 0xFF)
        elif kind in _DIGITS:
            base, most = _DIGITS[kind]
            digits, position = _digits(text, position, base, most)
            out += bytes([int(digits, 16)]) if kind == "x" else chr(int(digits, 16)).encode()
        elif kind == "c":
            out.append(ord(text[position]) & 0x1F)
            position += 1
        else:
            out += _PLAIN.get(kind, kind).encode("utf-8", "surrogateescape")
    return out.decode("utf-8", "surrogateescape"), position + 1


def _digits(text: str, position: int, base: int, most: int) -> tuple[str, int]:
    end = position
    while end < position + most and text[end] in "0123456789abcdefABCDEF"[: 8 if base == 8 else 22]:
        end += 1
    return text[position:end], end
