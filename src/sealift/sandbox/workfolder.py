"""Where a sandbox keeps its layers while it works: the choice of the folder, its making, and what dead builds left.

PLACE/sealift-UID-RANDOM/lock    held (flock) as long as the build lives
PLACE/sealift-UID-RANDOM/work    the sandbox's, see assemble.py
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from sealift.errors import HostError
from sealift.system.mounts import UpperVerdict, can_be_upper

BUILD_PLACES = ("SEALIFT_TMPDIR", "APPTAINER_TMPDIR", "SINGULARITY_TMPDIR")
"""Variables that name a folder for builds alone: who sets one means it."""

PLACES = (*BUILD_PLACES, "TMPDIR")
ENOUGH = 2 << 30
"""Bytes free below which another place is preferred."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkPlace:
    """The folder chosen, what was tried before it and why that was passed over.

    `upper` is false where no folder can hold an upper layer: then the base has to be copied.
    """

    folder: str
    upper: bool
    verdict: UpperVerdict
    passed: tuple[UpperVerdict, ...] = ()


def candidates(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The folders to try, in order: the variables' (ours, Apptainer's, everybody's), then /tmp and /var/tmp."""
    named = [environment[name] for name in PLACES if environment.get(name)]
    return tuple(dict.fromkeys([*named, "/tmp", "/var/tmp"]))  # noqa: S108


def choose_work_place(
    environment: Mapping[str, str],
    *,
    folders: Sequence[str] | None = None,
    need: int = ENOUGH,
    file_systems: Mapping[str, str] | None = None,
) -> WorkPlace:
    """The first folder that can hold an upper layer and has `need` bytes free; else the best of what there is.

    A folder on tmpfs is taken last, for it is memory, unless it was named for builds. `file_systems` says of folders
    what they lie on, against the kernel (doctor's and tests' way to see another host). HostError when nothing can be
    written at all.
    """
    verdicts = [
        can_be_upper(folder, file_system=(file_systems or {}).get(folder))
        for folder in (folders if folders is not None else candidates(environment))
    ]
    roomy = [each for each in verdicts if each.good and each.free >= need]
    named = [environment.get(name) for name in BUILD_PLACES]
    order = [
        *(each for each in roomy if each.file_system not in ("tmpfs", "ramfs") or each.folder in named),
        *roomy,
        *sorted((each for each in verdicts if each.good), key=lambda each: -each.free),
    ]
    if order:
        chosen = order[0]
        before = tuple(_passed_over(each) for each in verdicts[: verdicts.index(chosen)])
        return WorkPlace(folder=chosen.folder, upper=True, verdict=chosen, passed=before)
    writable = [each for each in verdicts if each.free and not each.why.startswith("it cannot be written")]
    if not writable:
        tried = ", ".join(f"`{each.folder}` ({each.why})" for each in verdicts)
        raise HostError(
            f"there is no folder to build in: {tried}",
            hints=("name one on a local disk: export SEALIFT_TMPDIR=/path",),
        )
    chosen = max(writable, key=lambda each: each.free)
    return WorkPlace(
        folder=chosen.folder, upper=False, verdict=chosen, passed=tuple(v for v in verdicts if v is not chosen)
    )


def _passed_over(verdict: UpperVerdict) -> UpperVerdict:
    """With the reason, where the folder itself could hold an upper layer."""
    if not verdict.good:
        return verdict
    memory = verdict.file_system in ("tmpfs", "ramfs")
    return replace(verdict, why="it is memory" if memory else "another has more room")


@contextlib.contextmanager
def work_folder(place: str) -> Iterator[str]:
    """Make the folder of one build in `place` and give its `work`; removed at the end.

    What the namespace's ids own in it must have been removed from within before (a sandbox does that when it closes).
    """
    uid = os.getuid()
    try:
        folder = tempfile.mkdtemp(prefix=f"sealift-{uid}-", dir=place)
    except OSError as error:
        raise HostError(
            f"`{place}` cannot be written: {(error.strerror or str(error)).lower()}",
            hints=("name another folder: export SEALIFT_TMPDIR=/path",),
        ) from error
    lock = os.open(os.path.join(folder, "lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # A file system without flock keeps no locks: then what dead builds leave there stays until a person removes it.
        with contextlib.suppress(OSError):
            fcntl.flock(lock, fcntl.LOCK_EX)
        work = os.path.join(folder, "work")
        os.mkdir(work, 0o755)
        yield work
    finally:
        empty(os.path.join(folder, "work"))
        # What only the namespace's ids may remove keeps its lock, by which the next sandbox knows that it is nobody's.
        with contextlib.suppress(OSError):
            os.rmdir(os.path.join(folder, "work"))
            shutil.rmtree(folder, ignore_errors=True)
        os.close(lock)


def stale_folders(place: str) -> tuple[str, ...]:
    """The folders of builds of this user in `place` whose process is gone."""
    found: list[str] = []
    prefix = f"sealift-{os.getuid()}-"
    with contextlib.suppress(OSError), os.scandir(place) as entries:
        for entry in entries:
            if not entry.name.startswith(prefix) or not entry.is_dir(follow_symlinks=False):
                continue
            if entry.stat(follow_symlinks=False).st_uid != os.getuid():
                continue
            with contextlib.suppress(OSError):
                lock = os.open(os.path.join(entry.path, "lock"), os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    found.append(entry.path)
                finally:
                    os.close(lock)
    return tuple(sorted(found))


def remove_stale(_inside: object, *, folders: Sequence[str]) -> None:
    """Called inside a sandbox, whose root may remove what the sections' users owned."""
    for folder in folders:
        empty(folder)
        with contextlib.suppress(OSError):
            os.rmdir(folder)


def empty(folder: str) -> None:
    """Remove all that is in `folder`, without entering another file system; what cannot go stays."""
    device = os.lstat(folder).st_dev
    with contextlib.suppress(OSError):
        names = os.listdir(folder)
        for name in names:
            path = os.path.join(folder, name)
            with contextlib.suppress(OSError):
                found = os.lstat(path)
                if found.st_dev != device:
                    continue
                if stat.S_ISDIR(found.st_mode):
                    if found.st_mode & 0o700 != 0o700:
                        os.chmod(path, 0o700)
                    empty(path)
                    os.rmdir(path)
                else:
                    os.unlink(path)
