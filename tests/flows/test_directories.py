"""Directories and bare squashfs as targets: the SIF's tree, made from and onto themselves, and nothing half done."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from sealift.packs.treefile import TREE_FILE
from tests.flows.conftest import Outcome, tar_of
from tests.ground import layouts
from tests.ground.listing import full_listing
from tests.packs.directories import ODD, on_disk
from tests.packs.layers import tar

Sealift = Callable[..., Outcome]


@pytest.fixture
def odd_layout(tmp_path: Path) -> Path:
    parts = tuple(part for part in ODD if not part[0].name.startswith(".singularity.d"))
    return layouts.write_layout(tmp_path / "odd", [tar(parts)], config={"Env": ["A=1"], "Cmd": ["/bin/sh"]})


def built(sealift: Sealift, *arguments: str) -> dict[str, object]:
    outcome = sealift("build", "--json", *arguments)
    assert outcome.code == 0, outcome.err
    result = json.loads(outcome.out)
    assert isinstance(result, dict)
    return result


def tree(result: dict[str, object]) -> str:
    return str(result["tree_digest"])


def digest(path: str) -> str:
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


# -- one tree in every form --------------------------------------------------------------------------------------


@pytest.mark.needs("root")
def test_every_form_has_one_tree(sealift: Sealift, odd_layout: Path, kernel_mount: Callable[..., object]) -> None:
    source = f"oci:{odd_layout}"
    results = [
        built(sealift, *arguments, source) for arguments in (("x.sif",), ("x.sqfs",), ("--sandbox", "x"), ("-s", "y/"))
    ]
    assert {tree(result) for result in results} == {tree(results[0])}
    assert [result["form"] for result in results] == ["sif", "squashfs", "directory", "directory"]
    with kernel_mount("x.sqfs") as root:  # type: ignore[attr-defined]
        expected = full_listing(root)
    assert on_disk(Path("x")) == on_disk(Path("y")) == expected
    # What is made of them is the same image, and from a SIF and a directory of it the same bytes.
    again = [built(sealift, name, spec) for name, spec in (("a.sif", "x.sif"), ("b.sif", "x"), ("c.sif", "y"))]
    assert {tree(result) for result in again} == {tree(results[0])}
    assert digest("a.sif") == digest("b.sif") == digest("c.sif")
    assert tree(built(sealift, "-s", "z", "b.sif")) == tree(results[0])
    assert on_disk(Path("z")) == expected


@pytest.mark.needs("unsquashfs")
def test_unsquashfs_lists_a_bare_squashfs_as_it_lists_the_sifs(sealift: Sealift, odd_layout: Path) -> None:
    built(sealift, "x.sqfs", f"oci:{odd_layout}")
    built(sealift, "x.sif", f"oci:{odd_layout}")
    listed = subprocess.run(["unsquashfs", "-lln", "x.sqfs"], capture_output=True, check=True).stdout
    data = Path("x.sif").read_bytes()
    offset = data.index(b"hsqs")
    Path("cut.sqfs").write_bytes(data[offset:])
    assert subprocess.run(["unsquashfs", "-lln", "cut.sqfs"], capture_output=True, check=True).stdout == listed
    assert b"-rwxr-xr-x 0/0" in listed
    assert os.stat("x.sqfs").st_mode & 0o111 == 0


def test_each_form_runs(sealift: Sealift, tmp_path: Path) -> None:
    """Without an engine that needs rights: what an image says of itself is read from each form."""
    layout = layouts.write_layout(tmp_path / "l", [tar_of({"etc": None, "etc/x": b"x"})], config={"Env": ["A=1"]})
    (tmp_path / "here/x.def").write_text(f"Bootstrap: oci\nFrom: {layout}\n\n%labels\n    Author somebody\n")
    said = set()
    for arguments in (("x.sif",), ("x.sqfs",), ("-s", "x")):
        built(sealift, *arguments, "x.def")
        outcome = sealift("inspect", arguments[-1])
        assert outcome.code == 0, outcome.err
        assert "Author: somebody" in outcome.out
        said.add(outcome.out)
    assert len(said) == 1


# -- made from itself --------------------------------------------------------------------------------------------

DEFINITION = "Bootstrap: localimage\nFrom: {image}\n\n%labels\n    Again yes\n"
ONTO_ITSELF = [
    # target, source ("def" is a definition file whose base is the target), whether the tree stays
    (("x.sif",), "x.sif", True),
    (("x.sif",), "link.sif", True),
    (("x.sqfs",), "x.sqfs", False),
    (("-s", "x"), "x", True),
    (("-s", "x/"), "x", True),
    (("--compression", "gzip:6", "x.sif"), "x.sif", True),
    (("x.sif",), "def", False),
    (("x.sqfs",), "def", False),
    (("-s", "x"), "def", False),
]


@pytest.mark.parametrize(("target", "source", "same"), ONTO_ITSELF)
def test_an_image_is_made_from_itself(
    sealift: Sealift, small_layout: Path, target: tuple[str, ...], source: str, same: bool
) -> None:
    plain = [word for word in target if not word.startswith(("--comp", "gzip"))]
    first = built(sealift, *plain, f"oci:{small_layout}")
    os.symlink("x.sif", "link.sif")
    Path("def").write_text(DEFINITION.format(image=plain[-1]))
    names = sorted(os.listdir("."))
    second = built(sealift, "-F", *target, source)
    third = built(sealift, "-F", *target, source)
    assert (tree(second) == tree(first)) is same
    assert (tree(third) == tree(second)) is same
    assert sorted(os.listdir(".")) == names
    assert sealift("inspect", plain[-1]).code == 0
    if source == "def":
        assert "Again: yes" in sealift("inspect", plain[-1]).out


# -- changed by hand ---------------------------------------------------------------------------------------------


def test_what_was_changed_is_in_the_next_image(sealift: Sealift, odd_layout: Path) -> None:
    first = built(sealift, "-s", "x", f"oci:{odd_layout}")
    sif = built(sealift, "before.sif", "x")
    assert tree(sif) == tree(first)
    Path("x/etc/new").write_text("new\n")
    Path("x/empty").write_text("full\n")
    shutil.rmtree("x/read-only")
    outcome = sealift("build", "after.sif", "x")
    assert outcome.code == 0
    assert "is not as it was written: 4 changed or added, 2 removed\n" in outcome.err
    built(sealift, "-s", "before", "before.sif")
    built(sealift, "-s", "after", "after.sif")
    before, after = on_disk(Path("before")), on_disk(Path("after"))
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    ours = {path for path in changed if path.startswith(b".singularity.d")}
    assert changed - ours == {b"", b"etc", b"etc/new", b"empty", b"read-only", b"read-only/in"}
    epoch = before[b".singularity.d"].mtime
    # What somebody changed has the image's time, not the hour of the change.
    assert {after[path].mtime for path in (b"", b"etc", b"etc/new", b"empty")} == {epoch}
    assert ours == {
        b".singularity.d/Singularity",
        b".singularity.d/bootstrap_history",
        b".singularity.d/bootstrap_history/Apptainer0",
        b".singularity.d/labels.json",
    }
    # The same change gives the same image.
    assert tree(built(sealift, "-F", "again.sif", "x")) == tree(built(sealift, "-F", "after.sif", "x"))


def test_a_lost_tree_file_makes_it_a_directory_like_others(sealift: Sealift, odd_layout: Path) -> None:
    first = built(sealift, "-s", "x", f"oci:{odd_layout}")
    place = Path("x") / os.fsdecode(TREE_FILE)
    place.write_bytes(place.read_bytes()[:-1])
    outcome = sealift("build", "damaged.sif", "x")
    assert outcome.code == 0
    assert "warning: `" in outcome.err
    assert "the directory's tree file is damaged: owners, devices and times are taken from the disk" in outcome.err
    place.unlink()
    assert tree(built(sealift, "lost.sif", "x")) != tree(first)
    assert "warning" not in sealift("build", "-F", "lost.sif", "x").err


def test_the_tree_file_is_in_no_image(sealift: Sealift, small_layout: Path) -> None:
    built(sealift, "-s", "x", f"oci:{small_layout}")
    Path("x.def").write_text("Bootstrap: localimage\nFrom: x\n")
    names = []
    for name, spec in (("a", "x"), ("b", "x.def"), ("c", "foreign")):
        if spec == "foreign":
            # Another tool's image of our directory has the file as one of its own.
            shutil.copytree("x", "foreign", symlinks=True)
            os.rename(f"foreign/{os.fsdecode(TREE_FILE)}", "kept")
            built(sealift, "foreign.sif", "foreign")
            os.rename("kept", f"foreign/{os.fsdecode(TREE_FILE)}.copy")
        built(sealift, "-s", name, spec)
        names.append({path for path in full_listing(name) if b"sealift-tree" in path})
    assert names == [{TREE_FILE}, {TREE_FILE}, {TREE_FILE, TREE_FILE + b".copy"}]


# -- written again -----------------------------------------------------------------------------------------------


def test_what_is_there_already_is_not_written_again(sealift: Sealift, small_layout: Path) -> None:
    source = f"oci:{small_layout}"
    assert built(sealift, "-s", "x", source)["unchanged"] is False
    number = os.stat("x").st_ino
    assert built(sealift, "-F", "-s", "x", source)["unchanged"] is True
    assert os.stat("x").st_ino == number
    Path("x/etc/one").write_text("other\n")
    assert built(sealift, "-F", "-s", "x", source)["unchanged"] is False
    assert Path("x/etc/one").read_text() == "1\n"
    assert os.stat("x").st_ino != number
    assert built(sealift, "-F", "x.sqfs", source)["unchanged"] is False
    assert built(sealift, "-F", "x.sqfs", source)["unchanged"] is True


def test_a_linked_target_stays_a_link(sealift: Sealift, small_layout: Path, tmp_path: Path) -> None:
    (tmp_path / "large-disk").mkdir()
    built(sealift, "-s", str(tmp_path / "large-disk/x"), f"oci:{small_layout}")
    os.symlink(tmp_path / "large-disk/x", "x")
    built(sealift, "-F", "-s", "x", f"oci:{small_layout}", "--compression", "gzip")
    assert os.path.islink("x")
    assert (tmp_path / "large-disk/x/etc/one").read_text() == "1\n"
    assert os.listdir(tmp_path / "large-disk") == ["x"]


@pytest.mark.parametrize("inside", [("x/new.sif",), ("x/deep/new.sqfs",), ("-s", "x/new")])
def test_a_target_inside_its_source_is_refused(sealift: Sealift, small_layout: Path, inside: tuple[str, ...]) -> None:
    built(sealift, "-s", "x", f"oci:{small_layout}")
    os.mkdir("x/deep")
    before = full_listing("x")
    outcome = sealift("build", *inside, "x")
    assert (outcome.code, outcome.out) == (2, "")
    assert f"error: `{inside[-1]}` lies in `" in outcome.err
    assert full_listing("x") == before


# -- whole or not at all -----------------------------------------------------------------------------------------


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    folder.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        yield folder
    finally:
        subprocess.run(["umount", folder], check=True)


@pytest.mark.needs("root")
@pytest.mark.parametrize(("size", "old"), [("200k", False), ("200k", True), ("10M,nr_inodes=40", False)])
def test_a_full_disk_leaves_the_old_directory(
    sealift: Sealift, small_layout: Path, tmp_path: Path, size: str, old: bool
) -> None:
    tiny = layouts.write_layout(tmp_path / "tiny", [tar_of({"etc": None})])
    with small_disk(tmp_path / "small", size) as disk:
        if old:
            built(sealift, "-s", str(disk / "x"), f"oci:{tiny}")
        before = full_listing(disk)
        outcome = sealift("build", "-F", "-s", str(disk / "x"), f"oci:{small_layout}")
        assert outcome.code == 6, outcome.err
        assert "the disk is full while writing" in outcome.err
        assert {path: replace(one, mtime=0) for path, one in full_listing(disk).items()} == {
            path: replace(one, mtime=0) for path, one in before.items()
        }


MANY = 3000


@pytest.fixture
def many_layout(tmp_path: Path) -> Path:
    files: dict[str, bytes | None] = {f"f{number}": b"%d\n" % number for number in range(MANY)}
    return layouts.write_layout(tmp_path / "many", [tar_of(files)])


def started(folder: Path, *arguments: str) -> subprocess.Popen[bytes]:
    environment = dict(os.environ) | {
        "SEALIFT_CACHE_DIR": str(folder / "cache"),
        "SEALIFT_TMPDIR": str(folder / "work"),
    }
    (folder / "work").mkdir(exist_ok=True)
    return subprocess.Popen(
        [sys.executable, "-m", "sealift", "build", *arguments],
        cwd=folder / "here",
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )


def wait_for_half(here: Path) -> None:
    """Until a directory is being written, and not yet whole."""
    for _ in range(6000):
        parts = [name for name in os.listdir(here) if name.endswith(".part")]
        if parts and 100 < len(os.listdir(here / parts[0])) < MANY - 100:
            return
        time.sleep(0.005)
    raise AssertionError("it was never half written")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "old"),
    [(signal.SIGKILL, False), (signal.SIGKILL, True), (signal.SIGINT, True), (signal.SIGTERM, False)],
)
def test_a_build_that_is_ended_leaves_the_old_directory(
    sealift: Sealift, many_layout: Path, tmp_path: Path, number: signal.Signals, old: bool
) -> None:
    here = tmp_path / "here"
    if old:
        tiny = layouts.write_layout(tmp_path / "tiny", [tar_of({"etc": None, "etc/old": b"old"})])
        built(sealift, "-s", "x", f"oci:{tiny}")
    before = full_listing(here / "x") if old else {}
    build = started(tmp_path, "-F", "-s", "x", f"oci:{many_layout}")
    wait_for_half(here)
    os.kill(build.pid, number)
    _, said = build.communicate()
    assert build.returncode == (130 if number == signal.SIGINT else -number), said.decode()
    assert (full_listing(here / "x") if old else {}) == before
    left = [name for name in os.listdir(here) if name != "x"]
    assert len(left) == (number == signal.SIGKILL)
    # The next build clears away what the killed one could not.
    again = started(tmp_path, "-F", "-s", "x", f"oci:{many_layout}")
    _, said = again.communicate()
    assert again.returncode == 0, said.decode()
    assert os.listdir(here) == ["x"]
    assert len([name for name in os.listdir(here / "x") if name.startswith("f")]) == MANY


@pytest.mark.slow
def test_two_builds_of_one_target_leave_one_whole_directory(many_layout: Path, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    tiny = layouts.write_layout(tmp_path / "tiny", [tar_of({"f0": b"0\n"})])
    both = [started(tmp_path, "-F", "-s", "x", f"oci:{layout}") for layout in (many_layout, tiny, many_layout)]
    for build in both:
        _, said = build.communicate()
        assert build.returncode == 0, said.decode()
    assert os.listdir(tmp_path / "here") == ["x"]
    assert len([name for name in os.listdir(tmp_path / "here/x") if name.startswith("f")]) in (1, MANY)
