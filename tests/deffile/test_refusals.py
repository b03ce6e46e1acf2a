"""Each way in which a definition file can be wrong is a file, with the exact text that the user sees beside it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealift.deffile.parse import parse, read
from sealift.deffile.prepare import prepare
from sealift.errors import DefinitionError

from .shown import definition_files, shown_error


@pytest.mark.parametrize("path", definition_files("refused"), ids=lambda path: path.stem)
def test_what_the_parser_refuses(path: Path) -> None:
    with pytest.raises(DefinitionError) as caught:
        parse(path.read_bytes(), file=path.name)
    assert shown_error(caught.value) == path.with_suffix(".txt").read_bytes().decode()


@pytest.mark.parametrize("path", definition_files("unbuildable"), ids=lambda path: path.stem)
def test_what_parses_but_cannot_be_built(path: Path) -> None:
    assert read(path.read_bytes()).faults == ()
    with pytest.raises(DefinitionError) as caught:
        prepare(path.read_bytes(), file=path.name)
    assert shown_error(caught.value) == path.with_suffix(".txt").read_bytes().decode()
