import errno
import os
import signal
import subprocess
import sys
import textwrap

import pytest

from sealift.errors import HostError
from sealift.system.files import atomic_file, copy_range, explain_oserror


@pytest.fixture(params=["nameless", "named"])
def kind(request, monkeypatch):
    if request.param == "named":
        # Lustre and NFS answer so.
        real = os.open

        def refusing(path, flags, *rest, **more):
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, "no nameless files")
            return real(path, flags, *rest, **more)

        monkeypatch.setattr(os, "open", refusing)
    return request.param


def test_a_file_appears_whole(tmp_path, kind):
    target = tmp_path / "x"
    with atomic_file(target) as file:
        file.write(b"new")
        assert not target.exists()
    assert target.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["x"]


def test_a_failure_leaves_the_old_file(tmp_path, kind):
    target = tmp_path / "x"
    target.write_bytes(b"old")
    with pytest.raises(RuntimeError), atomic_file(target) as file:
        file.write(b"half")
        raise RuntimeError
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x"]


def test_without_replace_an_existing_file_stays(tmp_path, kind):
    target = tmp_path / "x"
    target.write_bytes(b"old")
    with pytest.raises(FileExistsError), atomic_file(target, replace=False) as file:
        file.write(b"new")
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["x"]


def test_the_umask_decides_the_mode(tmp_path, kind):
    before = os.umask(0o027)
    try:
        with atomic_file(tmp_path / "x", mode=0o777):
            pass
    finally:
        os.umask(before)
    assert (tmp_path / "x").stat().st_mode & 0o7777 == 0o750


def test_a_killed_writer_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "x"
    target.write_bytes(b"old")
    program = textwrap.dedent(f"""
        import os, signal
        from sealift.system.files import atomic_file
        with atomic_file({str(target)!r}) as file:
            file.write(b"half" * 100000)
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
    """)
    done = subprocess.run([sys.executable, "-c", program], check=False)
    assert done.returncode == -signal.SIGKILL
    assert target.read_bytes() == b"old"
    with atomic_file(target) as file:
        file.write(b"new")
    assert os.listdir(tmp_path) == ["x"]


def test_two_that_write_one_file_do_not_take_each_others_for_leftovers(tmp_path, monkeypatch):
    path = tmp_path / "x"
    rename = os.replace

    def late(part, target):
        monkeypatch.setattr(os, "replace", rename)
        with atomic_file(path) as other:
            other.write(b"other")
        rename(part, target)

    monkeypatch.setattr(os, "replace", late)
    with atomic_file(path) as file:
        file.write(b"one")
    assert path.read_bytes() == b"one"
    assert os.listdir(tmp_path) == ["x"]


def test_leftovers_of_the_dead_are_swept_and_those_of_the_living_stay(tmp_path):
    import fcntl

    dead = tmp_path / ".x.0123abcd.part"
    living = tmp_path / ".x.4567abcd.part"
    other = tmp_path / ".y.0123abcd.part"
    for path in (dead, living, other):
        path.write_bytes(b"?")
    with living.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with atomic_file(tmp_path / "x"):
            pass
    assert sorted(os.listdir(tmp_path)) == [living.name, other.name, "x"]


@pytest.mark.parametrize("kernel", [True, False], ids=["copy_file_range", "read and write"])
def test_a_range_is_copied_exactly(tmp_path, monkeypatch, kernel):
    if not kernel:
        monkeypatch.delattr(os, "copy_file_range")
    data = os.urandom(3_000_000)
    (tmp_path / "a").write_bytes(data)
    with (tmp_path / "a").open("rb") as source, (tmp_path / "b").open("w+b") as target:
        target.write(b"head")
        target.flush()
        copy_range(source.fileno(), 17, target.fileno(), 2_500_001)
    assert (tmp_path / "b").read_bytes() == b"head" + data[17 : 17 + 2_500_001]


@pytest.mark.parametrize("kernel", [True, False])
def test_a_short_source_is_an_error(tmp_path, monkeypatch, kernel):
    if not kernel:
        monkeypatch.delattr(os, "copy_file_range")
    (tmp_path / "a").write_bytes(b"abc")
    with (tmp_path / "a").open("rb") as source, (tmp_path / "b").open("wb") as target, pytest.raises(EOFError):
        copy_range(source.fileno(), 1, target.fileno(), 3)


@pytest.mark.parametrize(
    ("number", "start"),
    [
        (errno.ENOSPC, "the disk is full while writing x"),
        (errno.EDQUOT, "your quota is used up while writing x"),
        (errno.EACCES, "no permission while writing x: `f`"),
        (errno.EROFS, "no permission while writing x: `f`"),
        (errno.ENOENT, "not found while writing x: `f`"),
        (errno.EIO, "writing x failed: `f`"),
    ],
)
def test_file_errors_speak(number, start):
    fault = explain_oserror(OSError(number, os.strerror(number), "f"), "writing x")
    assert isinstance(fault, HostError)
    assert fault.message.startswith(start)
