from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from sealift.core.tree import Entry, tree_of
from sealift.errors import ImageError
from sealift.sections.root import (
    CONTENT_LIMIT,
    DirectoryRoot,
    EmptyRoot,
    Look,
    RecordedRoot,
    Root,
    TreeRoot,
    follow,
    record,
    recorded_from_json,
)

LINKS = {
    "/usr/lib64": "lib",
    "/lib": "/usr/lib",
    "/out": "/../../etc",
    "/up/x": "../../..",
    "/a": "b",
    "/b": "/a",
    "/etc/mtab": "../proc/self/mounts",
    "/double": "//usr///./lib/",
}


@pytest.mark.parametrize(
    ("path", "real"),
    [
        ("/", "/"),
        ("/etc/passwd", "/etc/passwd"),
        ("//etc/./passwd/", "/etc/passwd"),
        ("/lib/x", "/usr/lib/x"),
        ("/usr/lib64/x", "/usr/lib/x"),
        ("/out/passwd", "/etc/passwd"),
        ("/up/x/etc", "/etc"),
        ("/../../etc", "/etc"),
        ("/nowhere/../lib", "/usr/lib"),
        ("/etc/mtab", "/proc/self/mounts"),
        ("/double/y", "/usr/lib/y"),
        ("relative", "/relative"),
    ],
)
def test_links_never_leave_the_root(path: str, real: str) -> None:
    assert follow(path, LINKS.get) == real


def test_links_in_a_circle() -> None:
    with pytest.raises(OSError, match="symbolic links"):
        follow("/a/x", LINKS.get)


@pytest.fixture(params=["directory", "tree", "recorded"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> Root:
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/file").write_bytes(b"content")
    (tmp_path / "usr/lib/file").chmod(0o640)
    (tmp_path / "usr/lib").chmod(0o755)
    (tmp_path / "lib").symlink_to("/usr/lib")
    (tmp_path / "host").symlink_to("/etc/passwd")
    os.mkfifo(tmp_path / "pipe", 0o600)
    directory = DirectoryRoot(path=str(tmp_path))
    if request.param == "directory":
        return directory
    if request.param == "recorded":
        value = record(directory, ("/lib/file", "/lib", "/host", "/pipe", "/none", "/lib/new"), ("/lib", "/none"))
        return recorded_from_json(json.loads(json.dumps(value.to_json())))
    entries = [
        Entry(path=b"", mode=stat.S_IFDIR | 0o755),
        Entry(path=b"host", mode=stat.S_IFLNK | 0o777, link=b"/etc/passwd"),
        Entry(path=b"lib", mode=stat.S_IFLNK | 0o777, link=b"/usr/lib"),
        Entry(path=b"pipe", mode=stat.S_IFIFO | 0o600),
        Entry(path=b"usr", mode=stat.S_IFDIR | 0o755),
        Entry(path=b"usr/lib", mode=stat.S_IFDIR | 0o755),
        Entry(path=b"usr/lib/file", mode=stat.S_IFREG | 0o640, size=7),
    ]
    return TreeRoot(tree=tree_of(entries), read=lambda row: b"content" if row == 6 else b"")


def test_three_kinds_of_root_show_the_same(root: Root) -> None:
    assert root.look("/lib/file") == Look(real="/usr/lib/file", kind="file", mode=0o640, content=b"content")
    assert root.look("/lib") == Look(real="/usr/lib", kind="directory", mode=0o755)
    assert root.look("/pipe") == Look(real="/pipe", kind="other", mode=0o600)
    assert root.look("/none") == Look(real="/none")
    assert root.look("/lib/new") == Look(real="/usr/lib/new")
    # The host has this file; the root has not.
    assert root.look("/host") == Look(real="/etc/passwd")
    assert root.names("/lib") == ("file",)
    assert root.names("/none") == ()


def test_names_of_a_tree() -> None:
    paths = (b"", b"a", b"a/b", b"a/b/c", b"a/d", b"a-", b"b")
    tree = tree_of([Entry(path=path, mode=stat.S_IFDIR | 0o755) for path in paths])
    root = TreeRoot(tree=tree, read=lambda _row: b"")
    assert root.names("/") == ("a", "a-", "b")
    assert root.names("/a") == ("b", "d")


def test_what_was_not_recorded_is_absent() -> None:
    recorded = RecordedRoot(looks={"/lib": Look(real="/usr/lib", kind="directory", mode=0o755)})
    assert recorded.look("/lib/deep/er") == Look(real="/usr/lib/deep/er")
    assert recorded.names("/lib") == ()


def test_nothing() -> None:
    assert EmptyRoot().look("/a/b") == Look(real="/a/b")
    assert EmptyRoot().names("/") == ()


def test_a_script_is_not_endless(tmp_path: Path) -> None:
    with (tmp_path / "big").open("wb") as file:
        file.truncate(CONTENT_LIMIT + 1)
    with pytest.raises(ImageError) as caught:
        DirectoryRoot(path=str(tmp_path)).look("/big")
    assert caught.value.message == "`/big` of the image is larger than 4 MiB"
