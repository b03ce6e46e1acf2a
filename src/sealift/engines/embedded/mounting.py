"""Carries a layout out, step by step, in the tree that becomes the container's root."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable

from sealift.engines.embedded.layout import Step
from sealift.engines.embedded.paths import inside
from sealift.errors import HostError, UsageError
from sealift.system import kernel

RESTRICTED = kernel.MOUNT_ATTR_NOSUID | kernel.MOUNT_ATTR_NODEV


class Mounter:
    """`root` is the container's root, `host` where the host's root is seen, `session` a folder in memory.

    Without `make_points`, nothing is made in the root itself: what is missing there is not mounted.
    """

    def __init__(self, *, root: str, host: str, session: str, make_points: bool = True) -> None:
        self._root = root
        self._host = host
        self._session = session
        self._make_points = make_points
        self._covered: list[str] = []
        self._number = 0

    def carry_out(self, steps: Iterable[Step]) -> list[str]:
        """Do all steps; returns what has to be said about optional ones that could not be done."""
        warnings = []
        for step in steps:
            try:
                self._covered.append(self._do(step))
            except OSError as error:
                if not step.optional and (self._make_points or step.asked or error.errno != errno.ENOENT):
                    raise _cannot(step, error) from error
                warnings.append(f"`{step.target}` is not mounted: {_reason(error)}")
        return warnings

    def _do(self, step: Step) -> str:
        """Where it was mounted."""
        target = inside(self._root, step.target)
        match step.kind:
            case "link":
                os.symlink(step.source, target)
            case "bind":
                if step.unless_there and _same(self._host + step.source, target):
                    return target
                self._point(step, target)
                self._bind(self._host + step.source, target, step)
            case "folder" | "file":
                self._point(step, target)
                self._bind(self._own(step), target, step)
            case "tmpfs":
                self._point(step, target)
                flags = kernel.MS_NOSUID | (kernel.MS_NODEV if step.restrict else 0)
                kernel.mount("tmpfs", target, "tmpfs", flags, "mode=755" if step.target == "/dev" else "mode=1777")
            case "proc" | "mqueue":
                self._point(step, target)
                kernel.mount(step.kind, target, step.kind, kernel.MS_NOSUID | kernel.MS_NODEV)
            case "devpts":
                self._point(step, target)
                flags = kernel.MS_NOSUID | kernel.MS_NOEXEC
                kernel.mount("devpts", target, "devpts", flags, "mode=0620,newinstance,ptmxmode=0666")
        return target

    def _bind(self, source: str, target: str, step: Step) -> None:
        kernel.mount(source, target, "", kernel.MS_BIND | kernel.MS_REC)
        wanted = (RESTRICTED if step.restrict else 0) | (kernel.MOUNT_ATTR_RDONLY if step.read_only else 0)
        if not wanted:
            return
        try:
            kernel.add_mount_attributes(target, wanted)
        except OSError as error:
            if error.errno not in (errno.ENOSYS, errno.EPERM):
                raise
            _remount(target, step)

    def _own(self, step: Step) -> str:
        """A file or folder of the session for this step."""
        self._number += 1
        path = f"{self._session}/own{self._number}"
        if step.kind == "folder":
            os.mkdir(path)
            os.chmod(path, step.made)
        else:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
            with os.fdopen(descriptor, "wb") as file:
                file.write(step.content)
        return path

    def _point(self, step: Step, target: str) -> None:
        """Make the mount point where it lies in another mount and is missing there."""
        if os.path.lexists(target):
            return
        if step.target.startswith(("/proc/", "/sys/")):
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), step.target)
        if not self._make_points and not any(target.startswith(each + "/") for each in self._covered):
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), step.target)
        parent = os.path.dirname(target)
        os.makedirs(parent, exist_ok=True)
        if step.folder:
            os.mkdir(target, 0o755)
        else:
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))


def _remount(target: str, step: Step) -> None:
    """Before Linux 5.12: the mount itself, without those below it; locked flags of the host's must be repeated."""
    from sealift.system.mounts import locked_flags

    flags = kernel.MS_BIND | kernel.MS_REMOUNT | locked_flags(target)
    flags |= kernel.MS_NOSUID | kernel.MS_NODEV if step.restrict else 0
    kernel.mount("", target, "", flags | (kernel.MS_RDONLY if step.read_only else 0))


def _same(one: str, other: str) -> bool:
    try:
        return os.path.samefile(one, other)
    except OSError:
        return False


def _reason(error: OSError) -> str:
    """In the system's words alone: texts of our own calls name paths that only we know."""
    return os.strerror(error.errno).lower() if error.errno else str(error)


def _cannot(step: Step, error: OSError) -> HostError | UsageError:
    why = _reason(error)
    if not step.asked:
        return HostError(f"`{step.target}` cannot be mounted in the container: {why}", hints=("sealift doctor",))
    if error.errno == errno.ENOENT:
        why = f"`{step.target}` does not exist in the container"
    elif error.errno in (errno.ENOTDIR, errno.EISDIR):
        why = "one is a folder, the other is not"
    return UsageError(f"`{step.source}` cannot be bound at `{step.target}`: {why}", hints=("choose another target",))
