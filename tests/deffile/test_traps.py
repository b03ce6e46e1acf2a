"""Each trap is a file that parses, with the exact text of its cautions beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealift.deffile.prepare import prepare

from .shown import definition_files, shown_cautions


@pytest.mark.parametrize("path", definition_files("cautioned"), ids=lambda path: path.stem)
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
%labels
  Author me
%post -c /bin/bash
#!/bin/bash
  cat > /x <<'EOF'
  100 % sure
EOF
  echo {{ VERSION }} # {{ OTHER }}
%runscript
#!/bin/sh
  exec "$@"

Bootstrap: docker
From: alpine:3.20
%files from build
  /e
"""
    assert prepare(text).cautions == ()
