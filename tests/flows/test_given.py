from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from sealift.flows import given
from sealift.flows.given import Given
from sealift.sandbox.spec import HostPath


def of(path: Path) -> Given:
    return Given(asked=(HostPath(source=str(path), destination="/mnt"),))


def tree(root: Path) -> Path:
    (root / "folder/sub").mkdir(parents=True)
    (root / "folder/file").write_text("content\n")
    os.utime(root / "folder/file", (1, 1))
    (root / "folder/link").symlink_to("file")
    os.mkfifo(root / "folder/pipe")
    return root / "folder"


CHANGES: dict[str, Callable[[Path], object]] = {
    "content": lambda folder: (folder / "file").write_text("CONTENT\n"),
    "time": lambda folder: os.utime(folder / "file", (2, 2)),
    "mode": lambda folder: (folder / "file").chmod(0o600),
    "new": lambda folder: (folder / "sub/new").write_text(""),
    "gone": lambda folder: (folder / "pipe").unlink(),
    "name": lambda folder: (folder / "sub").rename(folder / "sup"),
    "link": lambda folder: (folder / "link").rename(folder / "sub/link"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_of_a_bind_is_another_identity(tmp_path: Path, change: str) -> None:
    folder = tree(tmp_path)
    before = of(folder).identity()
    assert before == of(folder).identity()
    CHANGES[change](folder)
    if change == "content":
        os.utime(folder / "file", (1, 1))
    after = of(folder).identity()
    assert after is not None
    assert after != before


def test_a_bind_is_told_by_its_place_and_kind_too(tmp_path: Path) -> None:
    source = str(tree(tmp_path))
    kinds = [
        Given(asked=(HostPath(source=source, destination=place, read_only=read_only),)).identity()
        for place in ("/mnt", "/opt")
        for read_only in (False, True)
    ]
    assert len({repr(kind) for kind in kinds}) == 4
    assert Given().identity() == [[], []]


def test_too_much_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tree(tmp_path)
    assert of(folder).identity() is not None
    monkeypatch.setattr(given, "ENTRIES_LIMIT", 4)
    assert of(folder).identity() is None
    monkeypatch.setattr(given, "ENTRIES_LIMIT", 5)
    assert of(folder).identity() is not None
    monkeypatch.setattr(given, "BYTES_LIMIT", 7)
    assert of(folder).identity() is None
    # Not even opened: a hole of a terabyte costs nothing.
    monkeypatch.undo()
    with (folder / "huge").open("wb") as file:
        file.truncate(1 << 40)
    assert of(folder).identity() is None


def test_a_driver_is_told_by_its_files_names_and_times(tmp_path: Path) -> None:
    library = tmp_path / "libcuda.so.1"
    library.write_text("550\n")

    def identity() -> object:
        return Given(
            driver=(HostPath(source=str(library), destination="/.singularity.d/libs/libcuda.so.1"),)
        ).identity()

    before = identity()
    assert identity() == before
    library.rename(tmp_path / "libcuda.so.560")
    library.symlink_to("libcuda.so.560")
    assert identity() != before
