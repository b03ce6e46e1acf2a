from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from sealift.errors import HostError
from sealift.sandbox.workfolder import candidates, choose_work_place, empty, remove_stale, stale_folders, work_folder


def test_candidates_are_ours_then_apptainers_then_everybodys() -> None:
    environment = {"TMPDIR": "/t", "SEALIFT_TMPDIR": "/s", "APPTAINER_TMPDIR": "/a", "SINGULARITY_TMPDIR": "/a"}
    assert candidates(environment) == ("/s", "/a", "/t", "/tmp", "/var/tmp")
    assert candidates({"TMPDIR": ""}) == ("/tmp", "/var/tmp")


@pytest.fixture
def folders(tmp_path: Path) -> list[str]:
    found = [(tmp_path / name).as_posix() for name in ("first", "second", "third")]
    for each in found:
        os.mkdir(each)
    return found


def choose(folders: list[str], kinds: tuple[str, ...], need: int = 0) -> tuple[int, bool, list[str]]:
    place = choose_work_place({}, folders=folders, need=need, file_systems=dict(zip(folders, kinds, strict=True)))
    return folders.index(place.folder), place.upper, [each.why for each in place.passed]


def test_the_first_good_folder_is_taken(folders: list[str]) -> None:
    assert choose(folders, ("ext4", "ext4", "ext4")) == (0, True, [])


def test_what_was_passed_over_is_told(folders: list[str]) -> None:
    assert choose(folders, ("nfs", "overlay", "ext4")) == (
        2,
        True,
        [
            "it lies on nfs, which cannot hold an overlay's upper layer",
            "it lies on overlay, on which no overlay can stand",
        ],
    )


def test_memory_is_taken_last(folders: list[str]) -> None:
    index, _, passed = choose(folders, ("tmpfs", "nfs", "xfs"))
    assert (index, passed[0]) == (2, "it is memory")
    assert choose(folders, ("tmpfs", "nfs", "gpfs"))[:2] == (0, True)


def test_without_enough_room_the_roomiest_is_taken(folders: list[str]) -> None:
    # They lie on one disk: which of them had most room when it was looked at depends on who else writes there.
    _, upper, passed = choose(folders, ("ext4", "ext4", "ext4"), need=1 << 62)
    assert upper
    assert set(passed) <= {"another has more room"}


def test_where_none_can_be_an_upper_layer_a_base_must_be_copied(folders: list[str]) -> None:
    index, upper, passed = choose(folders, ("lustre", "lustre", "gpfs"))
    assert (upper, len(passed)) == (False, 2)
    assert index in (0, 1, 2)


def test_no_folder_at_all_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="there is no folder to build in") as caught:
        choose_work_place({}, folders=[f"{tmp_path}/missing", "/proc"])
    assert caught.value.hints == ("name one on a local disk: export SEALIFT_TMPDIR=/path",)
    assert f"`{tmp_path}/missing` (no such file or directory)" in caught.value.message


def test_a_work_folder_is_gone_afterwards(tmp_path: Path) -> None:
    with work_folder(tmp_path.as_posix()) as work:
        assert os.listdir(work) == []
        assert os.path.dirname(os.path.dirname(work)) == tmp_path.as_posix()
        assert stale_folders(tmp_path.as_posix()) == ()
        Path(work, "x").touch()
    assert os.listdir(tmp_path) == []


def test_what_a_dead_build_left_is_found_and_removed(tmp_path: Path) -> None:
    left = tmp_path / f"sealift-{os.getuid()}-dead"
    deep = left / "work" / "upper" / "closed"
    deep.mkdir(parents=True)
    (deep / "f").touch()
    (left / "lock").touch()
    deep.chmod(0)
    held = tmp_path / f"sealift-{os.getuid()}-alive"
    held.mkdir()
    with (held / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (tmp_path / "sealift-999999999-other").mkdir()
        (tmp_path / f"sealift-{os.getuid()}-nolock").mkdir()
        (tmp_path / f"sealift-{os.getuid()}-link").symlink_to(held)
        assert stale_folders(tmp_path.as_posix()) == (left.as_posix(),)
        remove_stale(None, folders=stale_folders(tmp_path.as_posix()))
    assert not left.exists()
    assert held.exists()


def test_emptying_follows_no_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "link").symlink_to(outside)
    empty(inside.as_posix())
    assert os.listdir(inside) == []
    assert os.listdir(outside) == ["kept"]


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="cannot be written"), work_folder(f"{tmp_path}/missing"):
        pass
