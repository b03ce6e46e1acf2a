"""Mounts: a squashfs by the kernel or by FUSE, overlays, binds, and which folders can hold an overlay's upper layer.

Whatever is mounted lives in the mount namespace of the caller and goes with it; FUSE daemons die with the thread that
started them.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import signal
import stat
import struct
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from sealift.errors import HostError
from sealift.system import kernel
from sealift.system.process import find_program

_LOOP_CTL_GET_FREE = 0x4C82
_LOOP_CONFIGURE = 0x4C0A
_LOOP_SET_FD = 0x4C00
_LOOP_CLR_FD = 0x4C01
_LOOP_SET_STATUS64 = 0x4C04
_LO_FLAGS = 1 | 4  # LO_FLAGS_READ_ONLY | LO_FLAGS_AUTOCLEAR: freed with the mount, so that a killed process leaves none

PATIENCE = 30.0
"""Seconds that a FUSE daemon gets until its mount is there (a cold parallel file system is slow)."""


@dataclass(slots=True, kw_only=True)
class Mounted:
    """A mount; `by` says who serves it. `unmount` may be called twice; leaving the mount namespace does it too."""

    target: str
    by: Literal["kernel", "squashfuse", "squashfuse_ll", "fuse-overlayfs"]
    daemon: subprocess.Popen[bytes] | None = field(default=None)

    def unmount(self) -> None:
        with contextlib.suppress(OSError):
            kernel.umount(self.target)
        if self.daemon is not None:
            try:
                self.daemon.wait(timeout=2)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait()


def mount_squashfs(
    image: str,
    target: str,
    *,
    offset: int = 0,
    uid: int | None = None,
    gid: int | None = None,
    by: Literal["any", "kernel", "fuse"] = "any",
    path: str | None = None,
) -> Mounted:
    """Mount the squashfs that lies at `offset` of the file `image`, read-only.

    `any` tries a loop device first (it needs CAP_SYS_ADMIN of the machine, and loop devices may be missing in a
    container), then squashfuse_ll, then squashfuse. With `uid` and `gid` every file appears as theirs: only FUSE can
    do that. HostError keeps what the last of them said.
    """
    said = ""
    if by != "fuse" and uid is None and gid is None:
        try:
            return _mount_by_kernel(image, target, offset)
        except OSError as error:
            said = f"{error.strerror or error}"
            if by == "kernel":
                raise HostError(f"`{image}` could not be mounted by the kernel: {said}") from error
    options = [f"offset={offset}"] if offset else []
    names: tuple[Literal["squashfuse", "squashfuse_ll"], ...] = ("squashfuse_ll", "squashfuse")
    if uid is not None or gid is not None:
        # squashfuse_ll learnt these options only in 0.5.1; in squashfuse they come from libfuse itself.
        options += [f"uid={uid or 0}", f"gid={gid or 0}"]
        names = ("squashfuse", "squashfuse_ll")
    for name in names:
        program = find_program(name, path=path)
        if program is None:
            continue
        try:
            daemon = start_fuse([program, "-f", *_options(options), image, target], target)
        except HostError as error:
            said = error.message
            continue
        return Mounted(target=target, by=name, daemon=daemon)
    raise HostError(
        f"`{image}` could not be mounted: {said or 'there is no squashfuse on this host'}",
        hints=(
            "install squashfuse, for instance: apt-get install squashfuse",
            "see what this host can do: sealift doctor",
        ),
    )


def _options(options: Sequence[str]) -> list[str]:
    # Other ids of the namespace must see the files too; without root there is one id, and libfuse would refuse it.
    every = [*options, *(["allow_other"] if os.geteuid() == 0 else [])]
    return ["-o", ",".join(every)] if every else []


def start_fuse(argv: Sequence[str], target: str) -> subprocess.Popen[bytes]:
    """Start a FUSE daemon in the foreground and wait until `target` is mounted; HostError with its last words."""
    before = os.stat(target).st_dev
    mother = os.getpid()

    def die_with_mother() -> None:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != mother:
            os._exit(1)

    import tempfile

    with tempfile.TemporaryFile() as words:
        daemon = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            start_new_session=True,
            preexec_fn=die_with_mother,  # noqa: PLW1509 -- one prctl, which takes no lock
        )
        end = time.monotonic() + PATIENCE
        pause = 0.001
        while True:
            with contextlib.suppress(OSError):
                if os.stat(target).st_dev != before:
                    return daemon
            if daemon.poll() is not None or time.monotonic() > end:
                break
            time.sleep(pause)
            pause = min(pause * 1.5, 0.05)
        daemon.kill()
        code = daemon.wait()
        with contextlib.suppress(OSError):
            kernel.umount(target)
        words.seek(0)
        said = words.read(4000).decode(errors="replace").strip() or f"it ended with {code}"
    name = os.path.basename(argv[0])
    raise HostError(
        f"`{name}` could not mount on `{target}`: {said}", hints=("see what this host can do: sealift doctor",)
    )


def _mount_by_kernel(image: str, target: str, offset: int) -> Mounted:
    file = os.open(image, os.O_RDONLY | os.O_CLOEXEC)
    try:
        device, path = attach_loop(file, offset)
    finally:
        os.close(file)
    try:
        kernel.mount(path, target, "squashfs", kernel.MS_RDONLY | kernel.MS_NODEV | kernel.MS_NOSUID)
    finally:
        os.close(device)
    return Mounted(target=target, by="kernel")


def attach_loop(file: int, offset: int) -> tuple[int, str]:
    """A loop device that shows `file` from `offset` on, open; it is freed when nothing uses it any more."""
    control = os.open("/dev/loop-control", os.O_RDWR | os.O_CLOEXEC)
    try:
        # struct loop_info64 of linux/loop.h: device, inode, rdevice, offset, sizelimit, number, encryption …, names
        info = struct.pack("<5Q4I64s64s32s2Q", 0, 0, 0, offset, 0, 0, 0, 0, _LO_FLAGS, b"", b"", b"", 0, 0)
        for _ in range(64):
            path = f"/dev/loop{fcntl.ioctl(control, _LOOP_CTL_GET_FREE)}"
            device = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                # struct loop_config: fd, block size, info, reserved
                fcntl.ioctl(device, _LOOP_CONFIGURE, struct.pack("<2I", file, 0) + info + bytes(64))
            except OSError as error:
                if error.errno not in (errno.EBUSY, errno.EINVAL, errno.ENOTTY):
                    os.close(device)
                    raise
                if error.errno == errno.EBUSY or not _attach_in_two_steps(device, file, info):
                    os.close(device)  # another process took it between the two calls
                    continue
            return device, path
    finally:
        os.close(control)
    raise OSError(errno.EBUSY, "no loop device is free")


def _attach_in_two_steps(device: int, file: int, info: bytes) -> bool:
    """What LOOP_CONFIGURE does, for Linux before 5.8; False when the device is taken."""
    try:
        fcntl.ioctl(device, _LOOP_SET_FD, file)
    except OSError as error:
        if error.errno == errno.EBUSY:
            return False
        raise
    try:
        fcntl.ioctl(device, _LOOP_SET_STATUS64, info)
    except OSError:
        fcntl.ioctl(device, _LOOP_CLR_FD, 0)
        raise
    return True


def overlay(
    lowers: Sequence[str], target: str, *, upper: str | None = None, work: str | None = None, userxattr: bool = True
) -> None:
    """Mount an overlay by the kernel; `lowers` from the lowest to the highest; read-only without `upper`.

    `userxattr` keeps overlay's own marks in `user.overlay.*`, which is the only form that a user namespace may write.
    Raises OSError. The option text must fit in a page: paths are given relative to their common folder, so the
    process's working directory changes for the time of the call.
    """
    every = [*lowers, *(path for path in (upper, work) if path)]
    common = os.path.commonpath(every) if len(every) > 1 else os.path.dirname(every[0])
    short = {path: _escape(os.path.relpath(path, common)) for path in every}
    data = "lowerdir=" + ":".join(short[path] for path in reversed(lowers))
    if upper and work:
        data += f",upperdir={short[upper]},workdir={short[work]}"
    if userxattr:
        data += ",userxattr"
    if len(data) >= os.sysconf("SC_PAGE_SIZE"):
        raise OSError(errno.E2BIG, f"{len(lowers)} layers are too many for one overlay")
    here = os.open(".", os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.chdir(common)
        kernel.mount("overlay", target, "overlay", 0, data)
    finally:
        os.fchdir(here)
        os.close(here)


def _escape(path: str) -> str:
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def fuse_overlay(
    lowers: Sequence[str], target: str, *, upper: str | None = None, work: str | None = None, path: str | None = None
) -> Mounted:
    """The same overlay by `fuse-overlayfs`, for kernels that have none in user namespaces."""
    program = find_program("fuse-overlayfs", path=path)
    if program is None:
        raise HostError(
            "`fuse-overlayfs` is not installed; this kernel has no overlay for user namespaces",
            hints=("apt-get install fuse-overlayfs",),
        )
    # Without `noacl` the kernel asks for ACLs, which squashfuse cannot answer, and refuses whoever is not the owner.
    data = "noacl,lowerdir=" + ":".join(_escape(each) for each in reversed(lowers))
    if upper and work:
        data += f",upperdir={_escape(upper)},workdir={_escape(work)}"
    daemon = start_fuse([program, "-f", "-o", data, target], target)
    return Mounted(target=target, by="fuse-overlayfs", daemon=daemon)


def bind(source: str, target: str, *, recursive: bool = True, read_only: bool = False) -> None:
    """Show `source` at `target` too. Raises OSError.

    In a user namespace a mount of the host carries locked flags (nosuid, nodev, noexec …): a remount must repeat them
    or is refused, so they are read back from the mount first.
    """
    kernel.mount(source, target, "", kernel.MS_BIND | (kernel.MS_REC if recursive else 0))
    if not read_only:
        return
    if recursive:
        try:
            kernel.mount_read_only(target)
        except OSError as error:
            if error.errno != errno.ENOSYS:
                raise
        else:
            return
    kernel.mount("", target, "", kernel.MS_BIND | kernel.MS_REMOUNT | kernel.MS_RDONLY | locked_flags(target))


def locked_flags(target: str) -> int:
    """The flags of the mount at `target` that a remount must keep."""
    flags = os.statvfs(target).f_flag
    pairs = (
        (os.ST_RDONLY, kernel.MS_RDONLY),
        (os.ST_NOSUID, kernel.MS_NOSUID),
        (os.ST_NODEV, kernel.MS_NODEV),
        (os.ST_NOEXEC, kernel.MS_NOEXEC),
        (os.ST_NOATIME, kernel.MS_NOATIME),
        (os.ST_RELATIME, kernel.MS_RELATIME),
    )
    return sum(mine for theirs, mine in pairs if flags & theirs)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpperVerdict:
    """Whether a folder can hold the upper layer of an overlay; `why` says what is missing."""

    folder: str
    file_system: str
    free: int
    xattrs: bool
    whiteouts: bool
    why: str = ""

    @property
    def good(self) -> bool:
        return not self.why


_NETWORK = frozenset({"lustre", "nfs", "gpfs", "beegfs", "ceph", "cifs", "smb", "panfs", "9p", "virtiofs", "afs"})


def can_be_upper(folder: str, *, file_system: str | None = None) -> UpperVerdict:
    """Try in `folder` what an overlay needs of its upper layer; leaves nothing there.

    `file_system` overrides what the kernel says it is. Network file systems and overlays are refused by name even
    where the trial would pass: the kernel refuses them later, or loses whiteouts.
    """
    try:
        kind = file_system or kernel.file_system(folder)
        free = free_bytes(folder)
    except OSError as error:
        return UpperVerdict(
            folder=folder,
            file_system="",
            free=0,
            xattrs=False,
            whiteouts=False,
            why=os.strerror(error.errno or 0).lower(),
        )
    xattrs = whiteouts = False
    why = ""
    try:
        import tempfile

        with tempfile.TemporaryDirectory(prefix=".sealift-probe-", dir=folder) as trial:
            with contextlib.suppress(OSError):
                os.setxattr(trial, "user.overlay.probe", b"y")
                xattrs = os.getxattr(trial, "user.overlay.probe") == b"y"
            with contextlib.suppress(OSError):
                # Since Linux 5.8 a character device 0:0, which is overlay's whiteout, needs no right to be made.
                os.mknod(os.path.join(trial, "w"), stat.S_IFCHR, os.makedev(0, 0))
                whiteouts = True
    except OSError as error:
        why = f"it cannot be written: {(error.strerror or str(error)).lower()}"
    if not why:
        if kind in _NETWORK:
            why = f"it lies on {kind}, which cannot hold an overlay's upper layer"
        elif kind in ("overlay", "fuse", "squashfs", "ecryptfs"):
            why = f"it lies on {kind}, on which no overlay can stand"
        elif not xattrs:
            why = f"its file system ({kind}) keeps no extended attributes"
        elif not whiteouts:
            why = f"its file system ({kind}) takes no whiteouts"
    return UpperVerdict(folder=folder, file_system=kind, free=free, xattrs=xattrs, whiteouts=whiteouts, why=why)


def free_bytes(folder: str) -> int:
    """Bytes that an ordinary user can still write in `folder`."""
    found = os.statvfs(folder)
    return found.f_bavail * found.f_frsize
