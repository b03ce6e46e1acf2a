"""Puts the root of a sandbox together: lower layers, a skeleton of mount points, the overlay.

WORK/low/0 … n    the lower layers, mounted (or unpacked)
WORK/bare         the skeleton: a lowest layer that has what the base lacks as a place to mount on, so that
                  the upper layer never holds a mount point of ours
WORK/upper        what the sections change, and nothing else
WORK/root         the merged tree
WORK/tmp, vartmp  /tmp and /var/tmp of the sections, on disk
WORK/private      /dev/.sealift: files for the sections that are in no image
WORK/proc         a proc of the sandbox's own process namespace
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field

from sealift.errors import HostError
from sealift.sandbox.spec import Lower, SandboxSpec
from sealift.system import kernel, mounts
from sealift.system.mounts import Mounted

MOUNT_POINTS = (("/proc", True), ("/sys", True), ("/dev", True), ("/tmp", True), ("/var/tmp", True))  # noqa: S108
FILE_POINTS = ("/etc/resolv.conf", "/etc/hosts")


@dataclass(slots=True, kw_only=True)
class Assembly:
    """The mounted parts; paths are absolute. `proc` is empty where the kernel refused one."""

    work: str
    root: str
    upper: str
    lowers: tuple[str, ...]
    proc: str
    copied: bool = False
    mounted: list[Mounted] = field(default_factory=list)

    @property
    def daemons(self) -> set[int]:
        return {each.daemon.pid for each in self.mounted if each.daemon is not None}


def assemble(spec: SandboxSpec) -> Assembly:
    """Mount everything in the calling process's mount namespace, which must be the sandbox's own."""
    work = os.path.abspath(spec.work)
    for name, mode in (
        ("low", 0o755), ("bare", 0o755), ("upper", 0o755), ("ovl", 0o755), ("root", 0o755),
        ("tmp", 0o1777), ("vartmp", 0o1777), ("private", 0o755), ("proc", 0o555),
    ):  # fmt: skip
        path = os.path.join(work, name)
        os.mkdir(path)
        os.chmod(path, mode)  # whatever the umask
    made = Assembly(work=work, root=os.path.join(work, "root"), upper=os.path.join(work, "upper"), lowers=(), proc="")
    if spec.footing.own_proc:
        with contextlib.suppress(OSError):
            kernel.mount("proc", f"{work}/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
            made.proc = f"{work}/proc"
    if spec.bare:
        made.root = made.upper
        return made
    lowers: list[str] = []
    for number, lower in enumerate(spec.lowers):
        lowers.append(_show(spec, lower, os.path.join(work, "low", str(number)), made))
    made.lowers = tuple(lowers)
    skeleton = os.path.join(work, "bare")
    if spec.footing.overlay == "copy":
        from sealift.sandbox.copied import copy_lowers, take_listing

        copy_lowers(made)
        _furnish_skeleton(spec, made.root, made.root)
        take_listing(made)
        return made
    if lowers:
        looked = _stack(spec, [*lowers] if len(lowers) > 1 else [skeleton, *lowers], made.root, None)
        try:
            _furnish_skeleton(spec, made.root, skeleton)
            _take_root_from(lowers[-1], made.upper)
        finally:
            if looked is None:
                kernel.umount(made.root)
            else:
                looked.unmount()
    else:
        _furnish_skeleton(spec, skeleton, skeleton)
    stacked = _stack(spec, [skeleton, *lowers], made.root, made)
    if stacked is not None:
        made.mounted.append(stacked)
    return made


def _show(spec: SandboxSpec, lower: Lower, target: str, made: Assembly) -> str:
    if lower.kind == "directory":
        return os.path.abspath(lower.path)
    os.mkdir(target)
    if spec.footing.squashfs == "unpack":
        from sealift.sandbox.copied import unpack_squashfs

        unpack_squashfs(lower, target, single=spec.footing.mode == "single")
        return target
    # With one id in the namespace no file of another owner could be copied up (EOVERFLOW): all appear as root's.
    owner = 0 if spec.footing.mode == "single" else None
    made.mounted.append(
        mounts.mount_squashfs(
            os.path.abspath(lower.path), target, offset=lower.offset, uid=owner, gid=owner, by=spec.footing.squashfs
        )
    )
    return target


def _stack(spec: SandboxSpec, lowers: list[str], target: str, made: Assembly | None) -> Mounted | None:
    upper, work = (made.upper, os.path.join(made.work, "ovl")) if made else (None, None)
    if spec.footing.overlay == "fuse":
        return mounts.fuse_overlay(lowers, target, upper=upper, work=work)
    try:
        mounts.overlay(lowers, target, upper=upper, work=work)
    except OSError as error:
        raise HostError(
            f"the kernel mounted no overlay in `{spec.work}`: {(error.strerror or str(error)).lower()}",
            hints=("see what this host can do: sealift doctor", "or use another folder: export SEALIFT_TMPDIR=…"),
        ) from error
    return None


def _furnish_skeleton(spec: SandboxSpec, merged: str, skeleton: str) -> None:
    """Make in `skeleton` whatever must be mounted on and is not in `merged`."""
    for path, is_dir in (*MOUNT_POINTS, *((path, False) for path in FILE_POINTS)):
        inside = resolve_in(merged, path)
        if os.path.lexists(merged + inside):
            continue
        _make_point(skeleton + inside, folder=is_dir)
    if skeleton == merged and spec.lowers:
        return
    _forget_times(skeleton)


def _make_point(place: str, *, folder: bool) -> None:
    os.makedirs(place if folder else os.path.dirname(place), mode=0o755, exist_ok=True)
    if not folder and not os.path.lexists(place):
        with open(place, "xb"):
            pass


def _forget_times(skeleton: str) -> None:
    for folder, folders, files in os.walk(skeleton, topdown=False):
        for name in files + folders:
            os.utime(os.path.join(folder, name), (0, 0), follow_symlinks=False)
    os.utime(skeleton, (0, 0))


def restack(spec: SandboxSpec, made: Assembly, points: Mapping[str, bool]) -> None:
    """Add `points` (true: a folder) to the skeleton, below what the sections have made so far. No command may run."""
    if made.copied:
        from sealift.sandbox.copied import add_points

        add_points(made, points)
        return
    skeleton = os.path.join(made.work, "bare")
    served = next((each for each in made.mounted if each.target == made.root), None)
    if served is None:
        kernel.umount(made.root)
    else:
        served.unmount()
        made.mounted.remove(served)
    for place, folder in points.items():
        _make_point(skeleton + place, folder=folder)
    _forget_times(skeleton)
    stacked = _stack(spec, [skeleton, *made.lowers], made.root, made)
    if stacked is not None:
        made.mounted.append(stacked)


def _take_root_from(merged: str, upper: str) -> None:
    # The upper folder is the merged root: what nobody changed there must read as the base has it.
    found = os.stat(merged)
    with contextlib.suppress(OSError):  # an owner that this namespace does not have
        os.chown(upper, found.st_uid, found.st_gid)
    os.chmod(upper, stat.S_IMODE(found.st_mode))
    os.utime(upper, ns=(found.st_mtime_ns, found.st_mtime_ns))


def resolve_in(root: str, path: str) -> str:
    """Follow `path` as a process with `root` as its root would; the result starts with `/`. It need not exist.

    Raises OSError (ELOOP) after forty symbolic links, as the kernel does.
    """
    todo = [part for part in path.split("/") if part][::-1]
    done: list[str] = []
    links = 0
    while todo:
        part = todo.pop()
        if part == ".":
            continue
        if part == "..":
            if done:
                done.pop()
            continue
        here = root + "/" + "/".join([*done, part])
        try:
            mode = os.lstat(here).st_mode
        except OSError:
            mode = 0
        if stat.S_ISLNK(mode):
            links += 1
            if links > 40:
                raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
            target = os.readlink(here)
            if target.startswith("/"):
                done = []
            todo.extend([each for each in target.split("/") if each][::-1])
        else:
            done.append(part)
    return "/" + "/".join(done)
