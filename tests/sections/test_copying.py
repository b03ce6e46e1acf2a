"""Copying into a root. That it equals `cp -fLr` is judged against `cp` itself."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sealift.sections.copying import Copier, CopyError, match_in
from sealift.sections.inner import copy_from_host, copy_from_stage


@dataclass(frozen=True, slots=True, kw_only=True)
class Inside:
    root: str
    work: str


def listing(root: Path) -> dict[str, tuple[int, Any]]:
    found: dict[str, tuple[int, Any]] = {}
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            place = Path(folder, name)
            status = place.lstat()
            content: Any = None
            if stat.S_ISLNK(status.st_mode):
                content = os.readlink(place)
            elif stat.S_ISREG(status.st_mode):
                content = place.read_bytes()
            found[place.relative_to(root).as_posix()] = (status.st_mode, content)
    return found


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Files, modes, links to files and folders, a pipe, a hole."""
    given = tmp_path / "source"
    (given / "folder/sub").mkdir(parents=True)
    for name, mode in (
        ("a", 0o640),
        ("b c", 0o600),
        ("folder/x", 0o4755),
        ("folder/.h", 0o444),
        ("folder/sub/y", 0o644),
    ):
        (given / name).write_text(name)
        (given / name).chmod(mode)
    (given / "folder/sub").chmod(0o700)
    (given / "group").mkdir()
    (given / "group").chmod(0o2775)
    (given / "sticky").mkdir()
    (given / "sticky").chmod(0o1777)
    (given / "to-file").symlink_to("a")
    (given / "to-folder").symlink_to("folder")
    (given / "folder/up").symlink_to("../a")
    os.mkfifo(given / "folder/pipe")
    with (given / "hole").open("wb") as file:
        file.write(b"start")
        file.seek(1 << 20)
        file.write(b"middle")
        file.truncate(3 << 20)
    return given


def prepared_root(tmp_path: Path, name: str) -> Path:
    root = tmp_path / name
    (root / "there/folder").mkdir(parents=True)
    (root / "there/a").write_text("old and longer")
    (root / "there/a").chmod(0o755)
    (root / "group").mkdir()
    (root / "group").chmod(0o2775)
    return root


@pytest.mark.parametrize(
    ("names", "destination"),
    [
        (("a",), "/new"),
        (("a",), "/there/"),
        (("a",), "/there"),
        (("a",), "/there/a"),
        (("b c",), "/there/b c"),
        (("to-file",), "/there/"),
        (("to-folder",), "/there/"),
        (("folder",), "/there"),
        (("folder",), "/new"),
        (("folder/",), "/new"),
        (("folder/.",), "/there"),
        (("folder/sub/..",), "/there"),
        (("sticky",), "/new"),
        (("group",), "/new"),
        (("folder", "a"), "/group"),
        (("hole",), "/new"),
        (("a", "b c", "folder"), "/there"),
    ],
)
def test_as_cp_does_it(tmp_path: Path, source: Path, names: tuple[str, ...], destination: str) -> None:
    ours, theirs = prepared_root(tmp_path, "ours"), prepared_root(tmp_path, "theirs")
    copier = Copier(root=str(ours), umask=0o002)
    for name in names:
        copier.copy(f"{source}/{name}", destination)
        subprocess.run(["cp", "-fLr", f"{source}/{name}", f"{theirs}{destination}"], check=True, umask=0o002)
    assert listing(ours) == listing(theirs)


def test_holes_stay_holes(tmp_path: Path, source: Path) -> None:
    root = prepared_root(tmp_path, "root")
    Copier(root=str(root)).copy(f"{source}/hole", "/hole")
    assert (root / "hole").stat().st_blocks * 512 < 1 << 20
    assert (root / "hole").read_bytes() == (source / "hole").read_bytes()


def test_a_file_that_is_written_loses_its_rights(tmp_path: Path, source: Path) -> None:
    """For whoever builds, as the kernel has it for all but the machine's root."""
    root = prepared_root(tmp_path, "root")
    for before, after in ((0o4755, 0o755), (0o2755, 0o755), (0o2644, 0o2644), (0o1755, 0o1755)):
        (root / "there/a").chmod(before)
        Copier(root=str(root)).copy(f"{source}/a", "/there/a")
        assert stat.S_IMODE((root / "there/a").stat().st_mode) == after


def test_a_file_without_a_size(tmp_path: Path) -> None:
    root = prepared_root(tmp_path, "root")
    Copier(root=str(root)).copy("/proc/sys/kernel/ostype", "/ostype")
    assert (root / "ostype").read_bytes() == b"Linux\n"


def test_missing_parents_are_made(tmp_path: Path, source: Path) -> None:
    root = prepared_root(tmp_path, "root")
    mask = os.umask(0o077)
    try:
        copier = Copier(root=str(root))
        copier.copy(f"{source}/a", "/x/y/z")
        copier.copy(f"{source}/a", "/p/q/")
    finally:
        os.umask(mask)
    found = listing(root)
    assert {path: oct(found[path][0]) for path in ("x", "x/y", "x/y/z", "p/q", "p/q/a")} == {
        "x": "0o40755",
        "x/y": "0o40755",
        "x/y/z": "0o100640",
        "p/q": "0o40755",
        "p/q/a": "0o100640",
    }


@pytest.fixture
def trapped(tmp_path: Path) -> tuple[Path, Path]:
    """A root whose links lead to a folder beside it, by an absolute path and by `..`."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("the host's")
    root = tmp_path / "root"
    (root / "tree/folder").mkdir(parents=True)
    (root / "absolute").symlink_to(outside)
    (root / "dots").symlink_to("../outside")
    (root / "to-file").symlink_to(outside / "file")
    (root / "tree/folder/file").symlink_to(outside / "file")
    (root / "tree/deep").symlink_to(outside)
    return root, outside


@pytest.mark.parametrize(
    ("what", "destination"),
    [
        ("file", "/absolute/file"),
        ("file", "/absolute/"),
        ("file", "/dots/file"),
        ("file", "/dots/../../outside/file"),
        ("file", "/../../outside/file"),
        ("file", "/to-file"),
        ("file", "/tree/folder"),
        ("tree", "/"),
        ("tree/.", "/tree"),
    ],
)
def test_no_link_of_an_image_leads_to_the_host(
    tmp_path: Path, trapped: tuple[Path, Path], what: str, destination: str
) -> None:
    root, outside = trapped
    given = tmp_path / "given"
    (given / "tree/folder").mkdir(parents=True)
    (given / "tree/deep").mkdir()
    for name in ("file", "tree/folder/file", "tree/deep/file", "tree/deep/new"):
        (given / name).write_text("from the recipe")
    # A link that leads nowhere in the image is refused, as cp refuses one that leads nowhere.
    with contextlib.suppress(CopyError):
        Copier(root=str(root)).copy(f"{given}/{what}", destination)
    assert listing(outside) == {"file": ((outside / "file").lstat().st_mode, b"the host's")}
    assert (outside.parent / "root").exists()


def test_what_cannot_be_copied(tmp_path: Path, source: Path) -> None:
    root = prepared_root(tmp_path, "root")
    (root / "loop").symlink_to("loop")
    (root / "there/a-link").symlink_to("/nowhere")
    (source / "a-link").write_text("x")
    (source / "folder/back").symlink_to("..")
    (tmp_path / "dangling").symlink_to("nowhere")
    copier = Copier(root=str(root))
    for name, destination, reason in (
        ("none", "/x", f"`{source}/none` cannot be copied: no such file or directory"),
        ("../dangling", "/x", f"`{source}/../dangling` cannot be copied: no such file or directory"),
        ("folder", "/y", f"`{source}/folder/back/folder` leads back to a directory that holds it"),
        ("a-link", "/there", "`/there/a-link` of the image is a link to `/nowhere`, which is not there"),
        ("a", "/loop", "`/loop` cannot be copied: too many levels of symbolic links"),
        ("a", "/there/a/", "`/there/a/` of the image is no directory"),
        ("sticky", "/there/a", f"`{source}/sticky` is a directory, and `/there/a` of the image is none"),
    ):
        (root / "there/folder").mkdir(exist_ok=True)
        with pytest.raises(CopyError) as caught:
            copier.copy(f"{source}/{name}", destination)
        assert str(caught.value) == reason
    shutil.copytree(source / "sticky", root / "there/other")
    (root / "there/other/a").mkdir()
    with pytest.raises(CopyError) as caught:
        copier.copy(f"{source}/a", "/there/other/")
    assert str(caught.value) == f"`/there/other/a` of the image is a directory, and `{source}/a` is none"


def test_the_work_folder_is_not_copied_into_itself(tmp_path: Path) -> None:
    work = tmp_path / "project/work"
    (work / "root").mkdir(parents=True)
    (tmp_path / "project/file").write_text("x")
    inside = Inside(root=str(work / "root"), work=str(work))
    assert copy_from_host(inside, copies=[[str(tmp_path / "project"), "/app", 0, True]], umask=0o022) == []
    assert sorted(listing(work / "root")) == ["app", "app/file"]


def test_all_that_failed_is_told(tmp_path: Path, source: Path) -> None:
    root = prepared_root(tmp_path, "root")
    inside = Inside(root=str(root), work=str(tmp_path))
    copies = [[f"{source}/x", "/x", 3, True], [f"{source}/a", "/a", 4, True], [f"{source}/a", "/no/where", 5, False]]
    assert copy_from_host(inside, copies=copies, umask=0o022) == [
        [3, f"`{source}/x` cannot be copied: no such file or directory"],
        [5, "`/no/where` cannot be copied: no such file or directory"],
    ]
    assert (root / "a").exists()


@pytest.fixture
def stage(tmp_path: Path) -> Path:
    root = tmp_path / "stage"
    (root / "opt/real/sub").mkdir(parents=True)
    (root / "opt/real/file").write_text("content")
    (root / "opt/real/file").chmod(0o4711)
    (root / "opt/real/sub").chmod(0o2775)
    (root / "opt/real/.hidden").write_text("h")
    (root / "opt/real/absolute").symlink_to("/opt/real/file")
    (root / "opt/real/dangling").symlink_to("nowhere")
    (root / "opt/view").symlink_to("/opt/real")
    (root / "opt/[z]").write_text("z")
    os.utime(root / "opt/real/file", (5, 1_000_000_000))
    os.setxattr(root / "opt/real/file", "user.note", b"kept")
    return root


@pytest.mark.parametrize(
    ("source", "destination", "paths"),
    [
        (
            "/opt/view",
            "",
            ["opt", "opt/view", *(f"opt/view/{name}" for name in (".hidden", "absolute", "dangling", "file", "sub"))],
        ),
        ("/opt/view", "/", ["view", *(f"view/{name}" for name in (".hidden", "absolute", "dangling", "file", "sub"))]),
        ("opt/view/file", "/new", ["new"]),
        ("/opt/view/f*", "/in/", ["in", "in/file"]),
        ("/opt/*/file", "/in/", ["in", "in/file"]),
        ("/opt/view/absolute", "/in/", ["in", "in/absolute"]),
        ("/opt/[z]", "/z", ["z"]),
        ("/opt/real/sub/", "/d", ["d"]),
        ("/../../opt/real/sub", "/d", ["d"]),
    ],
)
def test_from_a_stage(tmp_path: Path, stage: Path, source: str, destination: str, paths: list[str]) -> None:
    root = tmp_path / "root"
    root.mkdir()
    inside = Inside(root=str(root), work=str(tmp_path))
    assert copy_from_stage(inside, root=str(stage), copies=[[source, destination, 0]], umask=0o002) == []
    assert sorted(listing(root)) == paths


@pytest.mark.parametrize(
    ("source", "paths"),
    [
        ("/opt", ["opt", "opt/[z]", "opt/real"]),
        ("/opt/", ["[z]", "real"]),
        ("/opt/.", ["opt", "opt/[z]", "opt/real"]),
        ("/./", ["opt", "opt/[z]", "opt/real"]),
        ("/op*/", ["[z]", "real"]),
    ],
)
def test_a_slash_behind_means_the_content(tmp_path: Path, stage: Path, source: str, paths: list[str]) -> None:
    root = tmp_path / "root"
    (root / "there").mkdir(parents=True)
    inside = Inside(root=str(root), work=str(tmp_path))
    assert copy_from_stage(inside, root=str(stage), copies=[[source, "/there", 0]], umask=0o002) == []
    found = [path for path in sorted(listing(root / "there")) if "real/" not in path and "view" not in path]
    assert found == paths


def test_names_of_one_file_stay_one_file(tmp_path: Path, stage: Path) -> None:
    os.link(stage / "opt/real/file", stage / "opt/real/sub/twin")
    root = tmp_path / "root"
    root.mkdir()
    inside = Inside(root=str(root), work=str(tmp_path))
    copies = [["/opt/real", "/copy", 0], ["/opt/real/file", "/apart", 1]]
    assert copy_from_stage(inside, root=str(stage), copies=copies, umask=0o002) == []
    inodes = [(root / path).stat().st_ino for path in ("copy/file", "copy/sub/twin", "apart")]
    assert inodes[0] == inodes[1] != inodes[2]
    assert stat.S_IMODE((root / "copy/sub/twin").stat().st_mode) == 0o4711


def test_from_a_stage_everything_is_kept(tmp_path: Path, stage: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    inside = Inside(root=str(root), work=str(tmp_path))
    assert copy_from_stage(inside, root=str(stage), copies=[["/opt/real", "/copy", 0]], umask=0o077) == []
    before, after = listing(stage / "opt/real"), listing(root / "copy")
    assert after == before
    copied = (root / "copy/file").stat()
    assert (copied.st_mtime, stat.S_IMODE(copied.st_mode)) == (1_000_000_000, 0o4711)
    assert os.getxattr(root / "copy/file", "user.note") == b"kept"
    assert stat.S_IMODE((root / "copy").stat().st_mode) == 0o755


def test_what_a_stage_has_not(tmp_path: Path, stage: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    inside = Inside(root=str(root), work=str(tmp_path))
    copies = [["/etc/passwd", "", 0], ["/opt/x*", "/x", 1], ["/opt/real/dangling", "/x", 2]]
    assert copy_from_stage(inside, root=str(stage), copies=copies, umask=0o002) == [
        [0, "`/etc/passwd` is not there to be copied"],
        [1, "`/opt/x*` is not there to be copied"],
        [2, "`/opt/real/dangling` is not there to be copied"],
    ]


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("/opt/real/*", ("/opt/real/absolute", "/opt/real/dangling", "/opt/real/file", "/opt/real/sub")),
        ("/opt/real/.*", ("/opt/real/.hidden",)),
        ("/opt/v*/[a-f]*", ("/opt/view/absolute", "/opt/view/dangling", "/opt/view/file")),
        ("/opt/real/[^a-f]*", ("/opt/real/sub",)),
        ("/opt/[z]", ("/opt/[z]",)),
        ("/opt/re?l/", ("/opt/real/",)),
        ("/none/*", ("/none/*",)),
        ("/opt/real/file/*", ("/opt/real/file/*",)),
    ],
)
def test_patterns_in_a_root(stage: Path, pattern: str, found: tuple[str, ...]) -> None:
    assert match_in(str(stage), pattern) == found
