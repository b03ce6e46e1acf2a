"""What of this host `%post` and `%test` are given beside their image: binds and a GPU's driver; and what it was.

What a section made of a bind is kept under a digest of what the bind held. Where that is too much to read at every
build, or where the section wrote to it, nothing is kept: the next build runs the section again.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from sealift.core.event import Said
from sealift.engines.driver import Kind
from sealift.engines.embedded.gpu import driver_steps
from sealift.flows.flags import asked_paths, with_variables
from sealift.flows.workshop import Workshop
from sealift.sandbox.spec import HostPath

ENTRIES_LIMIT = 20_000
BYTES_LIMIT = 256 << 20
"""More than this of a bind is not read: a build of which nothing is kept is better than a wait at every build."""


class _TooMuchError(Exception):
    """A bind holds more than the limits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """`asked` are the binds that the user typed, `driver` what `--nv` and `--rocm` add."""

    asked: tuple[HostPath, ...] = ()
    driver: tuple[HostPath, ...] = ()

    @property
    def paths(self) -> tuple[HostPath, ...]:
        return (*self.asked, *self.driver)

    def identity(self) -> list[object] | None:
        """What was given, as part of a key: content of binds, names and stamps of a driver's files. None: too much."""
        try:
            budget = _Budget()
            asked: list[object] = [
                [each.destination, each.read_only, _digest(each.source, budget)] for each in self.asked
            ]
        except _TooMuchError:
            return None
        return [asked, [[each.destination, os.path.realpath(each.source), _stamp(each.source)] for each in self.driver]]


def look_at_given(shop: Workshop) -> Given:
    """What the flags and Apptainer's variables ask for; UsageError where it is not there."""
    environment = shop.request.environment
    flags = with_variables(shop.request.flags, environment)
    asked = asked_paths(flags, environment, cwd=os.getcwd())
    driver: dict[str, HostPath] = {}
    kinds: tuple[tuple[bool, Kind], ...] = ((flags.nv, "nvidia"), (flags.rocm, "amd"))
    for wanted, kind in kinds:
        if not wanted:
            continue
        steps, notes = driver_steps(kind, None, contain=True, path=environment.get("PATH", ""))
        for note in notes:
            shop.events(Said(text=note, level="warning"))
        for step in steps:
            if os.path.exists(step.source):
                place = HostPath(source=step.source, destination=step.target, read_only=step.read_only)
                driver.setdefault(step.target, place)
    return Given(asked=asked, driver=tuple(driver.values()))


class _Budget:
    def __init__(self) -> None:
        self._entries, self._bytes = ENTRIES_LIMIT, BYTES_LIMIT

    def take(self, size: int) -> None:
        self._entries -= 1
        self._bytes -= size
        if self._entries < 0 or self._bytes < 0:
            raise _TooMuchError


def _digest(path: str, budget: _Budget) -> str:
    whole = hashlib.sha256()
    for line in _lines(path, b"", budget):
        whole.update(b"%d %b" % (len(line), line))
    return whole.hexdigest()


def _lines(path: str, name: bytes, budget: _Budget) -> Iterator[bytes]:
    try:
        found = os.stat(path) if not name else os.lstat(path)
        head = b"%b %o %d %d " % (name, found.st_mode, found.st_uid, found.st_gid)
        if stat.S_ISDIR(found.st_mode):
            budget.take(0)
            yield head
            for child in sorted(os.listdir(path)):
                yield from _lines(os.path.join(path, child), name + b"/" + os.fsencode(child), budget)
        elif stat.S_ISREG(found.st_mode):
            budget.take(found.st_size)
            with open(path, "rb") as file:
                yield head + b"%d " % found.st_mtime_ns + hashlib.file_digest(file, "sha256").digest()
        elif stat.S_ISLNK(found.st_mode):
            budget.take(0)
            yield head + os.fsencode(os.readlink(path))
        else:
            budget.take(0)
            yield head + b"%d" % found.st_rdev
    except OSError as error:
        # It may be readable inside, or become so: a digest of its own, by the reason.
        yield b"%b %d" % (name, error.errno or 0)


def _stamp(path: str) -> list[int]:
    found = os.stat(path)
    # A device's times are those of its last use.
    return [found.st_mode, found.st_rdev] if stat.S_ISCHR(found.st_mode) else [found.st_size, found.st_mtime_ns]
