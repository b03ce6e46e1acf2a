from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from sealift.system import folders, kernel
from sealift.system.folders import atomic_folder, remove_folder


@pytest.fixture(params=["exchange", "rename"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "rename":
        # NFS and Lustre answer so.
        def refusing(_one: str, _other: str) -> None:
            raise OSError(errno.EINVAL, "no exchange")

        monkeypatch.setattr(kernel, "exchange", refusing)
    return str(request.param)


def below(folder: Path) -> dict[str, str]:
    return {
        os.path.relpath(os.path.join(here, name), folder): (Path(here) / name).read_text()
        for here, _, names in os.walk(folder)
        for name in names
    }


def write(folder: Path, text: str) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "file").write_text(text)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("before", ["nothing", "empty", "full"])
def test_a_folder_appears_whole(tmp_path: Path, before: str) -> None:
    target = tmp_path / "target"
    if before != "nothing":
        target.mkdir()
    if before == "full":
        write(target / "deep", "old")
    with atomic_folder(str(target)) as folder:
        Path(folder, "new").write_text("new")
        assert (target / "new").exists() is False
    assert below(tmp_path) == {"target/new": "new"}
    assert os.listdir(tmp_path) == ["target"]


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_a_failure_leaves_the_old_folder(tmp_path: Path, error: type[BaseException]) -> None:
    write(tmp_path / "target", "old")
    with pytest.raises(error), atomic_folder(str(tmp_path / "target")) as folder:
        write(Path(folder) / "half", "half")
        (Path(folder) / "half").chmod(0)
        raise error
    assert below(tmp_path) == {"target/file": "old"}
    assert os.listdir(tmp_path) == ["target"]


def test_without_replace_a_folder_that_appeared_meanwhile_stays(tmp_path: Path) -> None:
    with pytest.raises(FileExistsError), atomic_folder(str(tmp_path / "target"), replace=False):
        write(tmp_path / "target", "quicker")
    assert below(tmp_path) == {"target/file": "quicker"}
    assert os.listdir(tmp_path) == ["target"]


@pytest.mark.usefixtures("way")
def test_of_two_writers_the_last_one_wins(tmp_path: Path) -> None:
    target = str(tmp_path / "target")
    with atomic_folder(target) as one, atomic_folder(target) as other:
        assert os.path.isdir(one)  # the second did not take the first for dead
        Path(one, "file").write_text("one")
        Path(other, "file").write_text("other")
    assert below(tmp_path) == {"target/file": "one"}
    assert os.listdir(tmp_path) == ["target"]


def killed_while(tmp_path: Path, moment: str) -> None:
    """Write `target` in another process that is killed with `kill -9` at a line of it."""
    program = f"""
        import errno, os, signal
        from sealift.system import folders, kernel
        from sealift.system.folders import atomic_folder

        def refusing(one, other):
            raise OSError(errno.EINVAL, "no exchange")

        kernel.exchange = refusing
        real = os.rename

        def counted(source, target):
            if {moment!r} == "between" and source.endswith(".part") and not os.path.exists(target):
                os.kill(os.getpid(), signal.SIGKILL)
            real(source, target)

        os.rename = counted
        with atomic_folder({str(tmp_path / "target")!r}) as folder:
            open(os.path.join(folder, "file"), "w").write("new")
            if {moment!r} == "writing":
                os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.parametrize("moment", ["writing", "between"])
def test_what_a_dead_process_left_is_cleared_away(tmp_path: Path, moment: str) -> None:
    write(tmp_path / "target", "old")
    killed_while(tmp_path, moment)
    # Killed between the two steps of a file system that has no single one, the old folder waits under another name.
    assert "old" in below(tmp_path).values()
    with pytest.raises(RuntimeError), atomic_folder(str(tmp_path / "target")):
        assert below(tmp_path)["target/file"] == "old"
        raise RuntimeError
    assert below(tmp_path) == {"target/file": "old"}
    assert os.listdir(tmp_path) == ["target"]


def test_others_folders_are_left_alone(tmp_path: Path) -> None:
    for name in (".target.12345678.part.txt", ".other.12345678.part", ".target.1234567.part"):
        (tmp_path / name).mkdir()
    (tmp_path / ".target.12345678.part").write_text("a file")
    before = sorted(os.listdir(tmp_path))
    with atomic_folder(str(tmp_path / "target")):
        pass
    assert sorted(os.listdir(tmp_path)) == sorted([*before, "target"])


def test_a_long_name(tmp_path: Path) -> None:
    target = tmp_path / ("n" * 255)
    for _ in range(2):
        with atomic_folder(str(target)) as folder:
            Path(folder, "file").write_text("x")
    assert os.listdir(tmp_path) == ["n" * 255]


def test_folders_without_rights_are_removed(tmp_path: Path) -> None:
    closed = tmp_path / "target" / "closed"
    closed.mkdir(parents=True)
    (closed / "file").write_text("x")
    closed.chmod(0)
    os.symlink(tmp_path, tmp_path / "target" / "link")
    remove_folder(str(tmp_path / "target"))
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(("age", "stays"), [(0.0, True), (folders.UNFINISHED + 60, False)])
def test_without_locks_the_age_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, age: float, stays: bool
) -> None:
    """NFS has no locks on folders."""

    def refusing(_descriptor: int, _operation: int) -> None:
        raise OSError(errno.EBADF, "no locks here")

    monkeypatch.setattr(fcntl, "flock", refusing)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + age)
    left = tmp_path / ".target.01234567.part"
    left.mkdir()
    with atomic_folder(str(tmp_path / "target")):
        pass
    assert left.exists() is stays
