from __future__ import annotations

import errno
from pathlib import Path

import pytest

from sealift.sandbox.assemble import resolve_in


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", "/"),
        ("/a/b", "/a/b"),
        ("a//./b/", "/a/b"),
        ("/../../a", "/a"),
        ("/a/../../../b", "/b"),
        ("/absolute/x", "/target/x"),
        ("/relative/x", "/target/x"),
        ("/deep/up/x", "/target/x"),
        ("/escape", "/etc/passwd"),
        ("/chain", "/target"),
        ("/missing/x/y", "/missing/x/y"),
        ("/dangling", "/nowhere/at/all"),
        ("/file/below", "/file/below"),
    ],
)
def test_paths_stay_within_the_root(tmp_path: Path, path: str, expected: str) -> None:
    (tmp_path / "target").mkdir()
    (tmp_path / "deep").mkdir()
    (tmp_path / "file").touch()
    for name, target in {
        "absolute": "/target",
        "relative": "target",
        "deep/up": "../../../target",
        "escape": "../../../etc/passwd",
        "chain": "relative",
        "dangling": "/nowhere/at/all",
    }.items():
        (tmp_path / name).symlink_to(target)
    assert resolve_in(tmp_path.as_posix(), path) == expected


def test_a_circle_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("/a")
    with pytest.raises(OSError, match="symbolic links") as caught:
        resolve_in(tmp_path.as_posix(), "/a/x")
    assert caught.value.errno == errno.ELOOP
