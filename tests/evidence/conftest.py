"""Small images as folders, written from tables."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from sealift.evidence.files import ImageFiles, files_of
from sealift.evidence.opening import open_image

Content = bytes | str | None
"""A file's content, a symbolic link's target, a folder."""


def write_root(root: Path, content: Mapping[str, Content]) -> Path:
    root.mkdir(exist_ok=True)
    for name, what in content.items():
        place = root / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if what is None:
            place.mkdir(exist_ok=True)
        elif isinstance(what, str):
            os.symlink(what, place)
        else:
            place.write_bytes(what)
    return root


@pytest.fixture
def image_files(tmp_path) -> Callable[[Mapping[str, Content]], ImageFiles]:
    """The files of an image that is a folder with this content."""

    def make(content: Mapping[str, Content]) -> ImageFiles:
        with ExitStack() as stack:
            return files_of(stack.enter_context(open_image(str(write_root(tmp_path / "root", content)))))

    return make
