"""What stands below `%files`, `%labels`, `%arguments` and `%appfiles`: the grammar of each, line by line.

    files     = source [ destination ] …          blanks separate, "…" protects them; further words are ignored
    labels    = key [ " " value ]                 only a space separates; the last of equal keys counts
    arguments = key "=" value                     both trimmed, quotes kept
    appfiles  = source [ " " destination ]        no quotes, no patterns, cut at `#`

In each, blank lines and lines that begin with `#` do not count.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sealift.deffile.characters import trim

# Go's `\\s` and `\\w`: ASCII only, and no vertical tab.
_S = "\t\n\f\r "
_W = "0-9A-Za-z_"
_FILE_WORD = re.compile(rf"""([^{_S}"']*\{{\{{[{_S}]*[{_W}]+[{_S}]*\}}\}}*[^{_S}{{}}"']*)+|[^{_S}"']+|"[^"]*"|'[^']*""")


def file_words(line: str) -> tuple[str, ...]:
    """The words of a `%files` line, as written."""
    return tuple(match[0] for match in _FILE_WORD.finditer(line))


def file_pair(line: str) -> tuple[str, str] | None:
    """Source and destination of a trimmed line; None where there is no word at all, which crashes Apptainer."""
    found = file_words(line)
    if not found:
        return None
    source, destination = found[0], found[1] if len(found) > 1 else ""
    return trim(source).strip('"'), trim(destination).strip('"')


def meaningful_lines(text: str) -> Iterator[str]:
    """The trimmed lines that are neither blank nor comments."""
    for line in text.split("\n"):
        trimmed = trim(line)
        if trimmed and not trimmed.startswith("#"):
            yield trimmed


def label_pair(line: str) -> tuple[str, str]:
    key, _, value = line.partition(" ")
    return trim(key), trim(value)


def read_labels(text: str) -> dict[str, str]:
    """The labels in the text of `%labels`, `%applabels` or the file that `$APPTAINER_LABELS` names."""
    return dict(label_pair(line) for line in meaningful_lines(text))


def argument_pair(text: str) -> tuple[str, str] | None:
    """Key and value of `key=value`; None when there is no `=` or no key."""
    key, equals, value = text.partition("=")
    return (trim(key), trim(value)) if equals and trim(key) else None


def read_app_files(text: str) -> tuple[tuple[str, str], ...]:
    """(source, destination) of each line of `%appfiles`; without a destination it is the source's own text."""
    pairs = []
    for line in meaningful_lines(text):
        source, blank, destination = trim(line.split("#")[0]).partition(" ")
        pairs.append((source, destination if blank else source))
    return tuple(pairs)
