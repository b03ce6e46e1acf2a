from __future__ import annotations

import ctypes
import errno
import os
import stat
from pathlib import Path

import pytest

from sealift.system import kernel


def test_a_file_systems_name(tmp_path: Path) -> None:
    assert kernel.file_system("/proc") == "0x9fa0"
    assert kernel.file_system(tmp_path.as_posix()) in {*kernel.FILE_SYSTEMS.values()}
    with pytest.raises(FileNotFoundError):
        kernel.file_system(f"{tmp_path}/missing")


def test_birth_is_a_files_own(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.touch()
    second.touch()
    inode, born = kernel.birth(first.as_posix())
    assert inode == first.stat().st_ino
    first.rename(tmp_path / "renamed")
    os.link(tmp_path / "renamed", tmp_path / "linked")
    assert kernel.birth(f"{tmp_path}/linked") == (inode, born)
    assert kernel.birth(second.as_posix()) != (inode, born)
    (tmp_path / "link").symlink_to("second")
    assert kernel.birth(f"{tmp_path}/link")[0] == os.lstat(tmp_path / "link").st_ino
    with pytest.raises(FileNotFoundError):
        kernel.birth(f"{tmp_path}/missing")


def test_birth_below_a_descriptor(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    folder = os.open(tmp_path, os.O_RDONLY)
    try:
        assert kernel.birth("f", folder) == kernel.birth(f"{tmp_path}/f")
    finally:
        os.close(folder)


@pytest.mark.needs("root")
def test_chown_of_a_link_by_descriptor(tmp_path: Path) -> None:
    (tmp_path / "target").touch()
    (tmp_path / "link").symlink_to("target")
    descriptor = os.open(tmp_path / "link", os.O_PATH | os.O_NOFOLLOW)
    try:
        kernel.chown_descriptor(descriptor, 5, -1)
    finally:
        os.close(descriptor)
    assert (os.lstat(tmp_path / "link").st_uid, os.stat(tmp_path / "target").st_uid) == (5, 0)


def test_refused_calls_raise_with_their_number(tmp_path: Path) -> None:
    with pytest.raises(OSError, match=r"umount .*") as caught:
        kernel.umount(f"{tmp_path}/missing")
    assert caught.value.errno in (errno.ENOENT, errno.EPERM)


def test_sizes_of_notifications_are_those_that_the_supervisor_reads() -> None:
    sizes = kernel.seccomp_notification_sizes()
    assert sizes[0] >= 80
    assert sizes[1] >= 24


def test_structures_have_the_kernels_sizes() -> None:
    assert ctypes.sizeof(kernel._Statx) == 256
    assert ctypes.sizeof(kernel._MountAttr) == 32
    assert kernel._Statx.btime.offset == 80
    assert kernel._Statx.ino.offset == 32
    assert stat.S_IFMT(0xFFFF) == 0xF000
