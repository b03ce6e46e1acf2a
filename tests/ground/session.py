"""One test session: its folder, shared by parallel workers, and the check that nothing of it is left at its end."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MARK = "SEALIFT_TEST_SESSION"
"""Environment variable with the session's folder: workers find it there, and every child process carries it."""


def hear_signals() -> None:
    """A run in the background (`&`, nohup) has signals ignored, and the programs that tests start would inherit it."""
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def begin() -> Path:
    """Make the session's folder, which every user of the machine may enter, and move temporary files into it.

    What a program under test leaves in the folder for temporary files is thus seen at the end. pytest's own folders
    stay where people look for them.
    """
    usual = tempfile.gettempdir()
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", usual)
    folder = Path(usual) / f"sealift-tests-{os.getpid()}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o755)
    folder.chmod(0o755)
    temporary = folder / "tmp"
    temporary.mkdir()
    temporary.chmod(0o1777)
    os.environ[MARK] = str(folder)
    os.environ["TMPDIR"] = str(temporary)
    tempfile.tempdir = None
    return folder


def folder() -> Path:
    return Path(os.environ[MARK])


@contextmanager
def alone(what: str) -> Iterator[None]:
    """Hold the session's lock called `what`: of several workers one does the work, the others wait."""
    with (folder() / f"{what}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def end(path: Path) -> list[str]:
    """Remove the session's folder; one sentence for each thing that a test left behind."""
    left = [f"mount: {target}" for target in _mounts(path)]
    left += [f"process: {pid} {line}" for pid, line in _processes(path)]
    left += [f"file: {entry}" for entry in sorted((path / "tmp").iterdir())]
    for target in reversed(_mounts(path)):
        subprocess.run(["umount", "-l", target], check=False)
    remove(path)
    return left


def remove(path: Path) -> None:
    """Remove a tree that may hold files of subordinate users."""
    shutil.rmtree(path, ignore_errors=True)
    if path.exists() and os.geteuid() != 0:
        subprocess.run(
            ["unshare", "--map-auto", "--map-root-user", "rm", "-rf", str(path)], check=False, capture_output=True
        )


def _mounts(path: Path) -> list[str]:
    """Mount points that lie in the session's folder or show a file of it (loop devices)."""
    of_session = f"/sealift-tests-{path.name.rpartition('-')[2]}/"
    loops = {f"/dev/{entry.parent.parent.name}" for entry in _loops(str(path))}
    found = []
    for line in Path("/proc/self/mountinfo").read_text(errors="surrogateescape").splitlines():
        fields = line.split(" ")
        target, source = fields[4], fields[fields.index("-") + 2]
        if of_session in f"{target}/" or source in loops:
            found.append(target)
    return found


def _loops(path: str) -> list[Path]:
    found = []
    for entry in Path("/sys/block").glob("loop*/loop/backing_file"):
        try:
            if entry.read_text().startswith(path):
                found.append(entry)
        except OSError:
            continue  # the device was let go meanwhile
    return found


def _processes(path: Path) -> list[tuple[int, str]]:
    """Processes other than this one that carry the session's mark or name its folder."""
    mark = os.fsencode(str(path))
    family = {os.getpid(), os.getppid()}
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) in family:
            continue
        try:
            line = (entry / "cmdline").read_bytes()
            if line and (mark in line or mark in (entry / "environ").read_bytes()):
                found.append((int(entry.name), line.replace(b"\0", b" ").decode(errors="replace").strip()))
        except OSError:
            continue  # it ended meanwhile, or is not ours to read
    return found
