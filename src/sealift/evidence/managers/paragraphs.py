"""Texts of `Name: value` lines in paragraphs, as dpkg and Python's metadata have them."""

from __future__ import annotations

from collections.abc import Iterator


def paragraphs(text: str) -> Iterator[dict[str, str]]:
    """Each paragraph's fields by lower-case name, the first of a name; lines that go on are joined by newlines."""
    fields: dict[str, str] = {}
    name = ""
    for line in text.split("\n"):
        line = line.rstrip("\r")  # noqa: PLW2901 -- Python's metadata may have either end
        if not line.strip():
            if fields:
                yield fields
            fields, name = {}, ""
        elif line[0] in " \t":
            if name:
                fields[name] += "\n" + line.strip()
        else:
            name, _, value = line.partition(":")
            name = name.lower()
            if name in fields:
                name = ""
            else:
                fields[name] = value.strip()
    if fields:
        yield fields


def text_of(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")
