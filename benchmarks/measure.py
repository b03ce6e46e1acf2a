"""One command, run to its end as a given user: wall time, processor time and peak memory of all its processes."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.ground.users import User

PERIOD = 0.05
"""Seconds between two looks at memory: short beside the runs, and cheap beside two cores."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    argv: tuple[str, ...]
    code: int
    wall: float
    """Seconds."""
    cpu: float
    """Seconds of user and system time, of the command and of all children that were waited for."""
    memory: int
    """Bytes: the largest sum, over all its processes at once, of their proportional share of memory."""
    stderr: str


def run(argv: Sequence[str | Path], *, user: User, env: Mapping[str, str], cwd: Path) -> Measured:
    """Run a command; its output is thrown away but for the end of its standard error."""
    root = os.geteuid() == 0
    os.sync()  # what an earlier run wrote must not be this one's burden
    started = time.perf_counter()
    process = subprocess.Popen(
        [str(argument) for argument in argv],
        env=dict(env),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        user=user.uid if root else None,
        group=user.gid if root else None,
        extra_groups=[user.gid] if root else None,
        umask=0o022,
    )
    watch = _Watch(process.pid, owners=_owners(user) if root else None)
    watch.start()
    tail = bytearray()
    assert process.stderr is not None
    while chunk := os.read(process.stderr.fileno(), 65536):
        tail = (tail + chunk)[-8000:]
    process.stderr.close()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - started
    process.returncode = os.waitstatus_to_exitcode(status)  # it was waited for here, for its usage
    watch.stop()
    return Measured(
        argv=tuple(str(argument) for argument in argv),
        code=process.returncode,
        wall=wall,
        cpu=usage.ru_utime + usage.ru_stime,
        memory=max(watch.peak, usage.ru_maxrss * 1024 if wall < 5 * PERIOD else 0),
        stderr=tail.decode(errors="replace"),
    )


def _owners(user: User) -> tuple[range, ...]:
    """The user's own id and its subordinate ones: whatever runs under these belongs to the measured command."""
    ranges = [range(user.uid, user.uid + 1)]
    for line in Path("/etc/subuid").read_text().splitlines():
        name, first, count = line.split(":")
        if name == user.name:
            ranges.append(range(int(first), int(first) + int(count)))
    return tuple(ranges)


class _Watch(threading.Thread):
    """Looks at the memory of a command's processes until told to stop.

    As root the user is made for the benchmark, so all processes of its ids count: FUSE servers that left the tree,
    too. Otherwise the command and its descendants count.
    """

    def __init__(self, pid: int, *, owners: tuple[range, ...] | None) -> None:
        super().__init__(daemon=True)
        self._pid = pid
        self._owners = owners
        self._done = threading.Event()
        self.peak = 0

    def run(self) -> None:
        while not self._done.wait(PERIOD):
            self.peak = max(self.peak, sum(map(_proportional, self._processes())))

    def stop(self) -> None:
        self._done.set()
        self.join()

    def _processes(self) -> list[int]:
        if self._owners is None:
            return _descendants(self._pid)
        found = []
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    owner = os.stat(f"/proc/{name}").st_uid
                except OSError:
                    continue
                # A process that changed its identity shows as root's until it is dumpable: its parent tells then.
                if any(owner in owners for owners in self._owners):
                    found.append(int(name))
        return list({*found, *_descendants(self._pid)})


def _descendants(top: int) -> list[int]:
    found = [top]
    for pid in found:
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
        except OSError:
            continue  # it ended meanwhile
    return found


def _proportional(pid: int) -> int:
    """Resident bytes, each shared page divided among its sharers; the page cache of files not mapped is not in it."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
