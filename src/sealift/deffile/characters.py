"""Text as Apptainer's parser sees it: which characters are blank, what lower case is, what is not UTF-8.

Definition files are bytes of no declared encoding. They are handled as `str` decoded with `surrogateescape`, so that
every byte sequence has a text and every text gives back its bytes. Apptainer is written in Go; where Go and Python
disagree about a character, Go is right here.
"""

from __future__ import annotations

import re

BLANKS = "\t\n\v\f\r \x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(map(chr, range(0x2000, 0x200B)))
"""Go's `unicode.IsSpace`. Python's own set also has U+001C to U+001F."""

_BETWEEN = re.compile(f"[{BLANKS}]+")
_PICTURES = {**{code: 0x2400 + code for code in range(0x20) if code not in (0x09, 0x0A)}, 0x7F: 0x2421}
_PICTURES |= dict.fromkeys((*range(0x80, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A), 0xFEFF), 0xFFFD)
_ESCAPED = re.compile("[\udc80-\udcff]")


def decode(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def encode(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def trim(text: str) -> str:
    return text.strip(BLANKS)


def words(text: str) -> tuple[str, ...]:
    return tuple(word for word in _BETWEEN.split(text) if word)


def lower(text: str) -> str:
    """Lower-case one character at a time, as Go does: no final sigma, and `İ` is one character before and after."""
    if text.isascii():
        return text.lower()
    return "".join("i" if character == "İ" else character.lower() for character in text)


def show(text: str) -> str:
    """Text as JSON from Go would have it: each byte that is not UTF-8 becomes U+FFFD."""
    return _ESCAPED.sub("\ufffd", text)


def printable(text: str) -> str:
    """Text for people, of the same length: control characters as their pictures, bytes that are not UTF-8 as U+FFFD.

    A recipe from elsewhere must not steer the terminal on which its faults are shown.
    """
    return show(text).translate(_PICTURES)


def quoted(path: str) -> str:
    """A path as one types it to a shell."""
    import shlex

    return shlex.quote(path)


def short(text: str) -> str:
    """At most 60 characters of a text, for a message."""
    return text if len(text) <= 60 else text[:57] + "…"
