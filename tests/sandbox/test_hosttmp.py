from __future__ import annotations

import os
import socket
from pathlib import Path

from sealift.sandbox.hosttmp import look, written_since


def test_what_was_written_since(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    (one / "before").write_text("x")
    (one / "changed").write_text("x")
    (one / "folder").mkdir()
    before = look((one.as_posix(), two.as_posix()))
    (one / "changed").write_text("y")
    (one / "folder" / "new").write_text("x")
    (two / "deep" / "er").mkdir(parents=True)
    (two / "deep" / "er" / "f").touch()
    (two / "link").symlink_to("nowhere")
    (two / f"sealift-{os.getuid()}-abc").mkdir()
    (two / f"sealift-{os.getuid()}-abc" / "ours").touch()
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(f"{two}/socket")
    assert sorted(written_since(before)) == sorted(
        [
            f"{one}/changed",
            f"{one}/folder",
            f"{one}/folder/new",
            f"{two}/deep",
            f"{two}/deep/er",
            f"{two}/deep/er/f",
            f"{two}/link",
        ]
    )


def test_folders_come_before_what_is_in_them(tmp_path: Path) -> None:
    before = look((tmp_path.as_posix(),))
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "c").touch()
    assert written_since(before) == (f"{tmp_path}/a", f"{tmp_path}/a/b", f"{tmp_path}/a/b/c")


def test_nothing_written_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    assert written_since(look((tmp_path.as_posix(), f"{tmp_path}/missing"))) == ()
