from __future__ import annotations

import errno
import fcntl
import os
import threading
from pathlib import Path

import pytest

from sealift.store import locks
from sealift.store.locks import hold, host_name, try_flock


def no_flock(number: int) -> locks.Flock:
    def refuse(descriptor: int, operation: int) -> None:
        raise OSError(number, os.strerror(number))

    return refuse


@pytest.fixture(params=["flock", "ENOLCK", "ENOSYS", "EOPNOTSUPP"])
def flock(request: pytest.FixtureRequest) -> locks.Flock:
    """The kernel's flock, and file systems that have none."""
    return fcntl.flock if request.param == "flock" else no_flock(getattr(errno, request.param))


def test_one_holds_and_the_other_waits(tmp_path: Path, flock: locks.Flock) -> None:
    path = str(tmp_path / "locks" / "key")
    seen: list[str] = []
    waiting = threading.Event()
    inside = threading.Event()

    def second() -> None:
        with hold(path, waiting=waiting.set, flock=flock):
            seen.append("second")

    thread = threading.Thread(target=second)
    with hold(path, waiting=lambda: seen.append("never"), flock=flock):
        thread.start()
        assert waiting.wait(30)
        seen.append("first")
        inside.set()
    thread.join(30)
    assert seen == ["first", "second"]
    assert os.listdir(tmp_path / "locks") == []


def test_a_lock_is_free_after_an_error(tmp_path: Path, flock: locks.Flock) -> None:
    path = str(tmp_path / "key")
    with pytest.raises(ZeroDivisionError), hold(path, flock=flock):
        raise ZeroDivisionError
    waited: list[bool] = []
    with hold(path, waiting=lambda: waited.append(True), flock=flock):
        pass
    assert waited == []


def test_shared_locks_stand_side_by_side(tmp_path: Path) -> None:
    path = str(tmp_path / "key")
    waited: list[bool] = []
    with (
        hold(path, shared=True, waiting=lambda: waited.append(True)),
        hold(path, shared=True, waiting=lambda: waited.append(True)),
    ):
        descriptor = os.open(path, os.O_RDWR)
        assert try_flock(descriptor) is False
        os.close(descriptor)
    assert waited == []


def test_a_removed_lock_file_is_made_again(tmp_path: Path) -> None:
    """A purge takes the lock file away while it is held: the next one to come gets a new one, and both go on."""
    path = str(tmp_path / "locks" / "key")
    with hold(path):
        os.unlink(path)
        os.rmdir(tmp_path / "locks")
        with hold(path):
            assert os.listdir(tmp_path / "locks") == ["key"]
    assert os.listdir(tmp_path / "locks") == []


def test_other_errors_of_flock_are_errors(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Input/output error"), hold(str(tmp_path / "key"), flock=no_flock(errno.EIO)):
        pass
    assert os.listdir("/proc/self/fd") != []


class Clock:
    """Time that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def dead_pid() -> int:
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)
    return pid


@pytest.mark.parametrize(
    ("holder", "waits"),
    [
        (lambda: f"{host_name()} {dead_pid()}\n", 0.0),
        (lambda: "another-host 1\n", locks.PATIENCE),
        (lambda: "", locks.PATIENCE),
        (lambda: f"{host_name()} {os.getpid()}\n", locks.PATIENCE),
    ],
    ids=["dead here", "silent elsewhere", "cut off", "silent here"],
)
def test_the_link_of_a_dead_holder_is_broken(tmp_path: Path, holder: object, waits: float) -> None:
    assert callable(holder)
    (tmp_path / "key.link").write_text(holder())
    clock = Clock()
    with hold(str(tmp_path / "key"), flock=no_flock(errno.ENOLCK), sleep=clock.sleep, clock=clock):
        assert (tmp_path / "key.link").read_text() == f"{host_name()} {os.getpid()}\n"
    assert waits <= clock.now <= waits + 2 * locks.POLL
    assert os.listdir(tmp_path) == []


def test_a_living_holder_elsewhere_is_waited_for(tmp_path: Path) -> None:
    """Its renewals keep the lock for far longer than a dead one's would last."""
    link = tmp_path / "key.link"
    link.write_text("another-host 1\n")
    clock = Clock()

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.now < 10 * locks.PATIENCE:
            os.utime(link, (clock.now, clock.now))
        else:
            link.unlink(missing_ok=True)

    with hold(str(tmp_path / "key"), flock=no_flock(errno.ENOLCK), sleep=sleep, clock=clock):
        pass
    assert 10 * locks.PATIENCE <= clock.now <= 10 * locks.PATIENCE + 1


def test_a_lock_that_was_taken_anew_is_not_broken(tmp_path: Path) -> None:
    """Two waiters see a dead holder; the slower one finds the faster one's lock and gives it back."""
    link = tmp_path / "key.link"
    link.write_text("the new holder")
    locks._break(str(link), inode=link.stat().st_ino + 1)
    assert link.read_text() == "the new holder"
    assert os.listdir(tmp_path) == ["key.link"]
