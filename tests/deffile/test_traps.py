"""Each trap is a file that parses, with the exact text of its cautions beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealift.deffile.prepare import prepare

from .shown import definition_files, shown_cautions

CASES = definition_files("cautioned")


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_a_trap_is_named(path: Path) -> None:
    prepared = prepare(path.read_bytes(), file=path.name)
    assert shown_cautions(prepared.cautions) == path.with_suffix(".txt").read_bytes().decode()


def test_a_plain_file_has_none() -> None:
    text = b"""Bootstrap: docker
From: alpine:3.20
Stage: build

# what is needed
%arguments
  VERSION=1
%files
  a b
  "c d" /e
%post -c /bin/bash
#!/bin/bash
  cat > /x <<'EOF'
  100 % sure
EOF
  echo {{ VERSION }} # {{ OTHER }}

Bootstrap: docker
From: alpine:3.20
%files from build
  /e
%labels
  Author me
%runscript
#!/bin/sh
  exec "$@"
"""
    assert prepare(text).cautions == ()


def test_every_trap_has_a_case() -> None:
    shown = {caution.id for path in CASES for caution in prepare(path.read_bytes()).cautions}
    assert shown == TRAPS


TRAPS = {
    "app-arguments",
    "argument-comment",
    "carriage-return",
    "debootstrap-without-mirror",
    "files-backslash",
    "files-comment",
    "files-expansion",
    "files-ignored",
    "files-in-tmp",
    "files-not-from",
    "files-single-quote",
    "files-third-word",
    "files-without-source",
    "header-comment",
    "heading-in-heredoc",
    "label-colon",
    "label-quotes",
    "label-separator",
    "label-without-value",
    "lost-header-key",
    "open-heredoc",
    "placeholder-behind-hash",
    "repeated-arguments",
    "repeated-header-key",
    "section-of-earlier-stage",
    "shebang-is-comment",
    "shebang-not-first",
    "skipped-argument",
    "unread-header-key",
}
