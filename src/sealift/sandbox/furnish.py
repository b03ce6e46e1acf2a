"""What a command inside finds around the image: /dev, /proc, /sys, /tmp, the host's name service and chosen paths.

All of it is mounted in a mount namespace that the command alone has, so nothing of it is there between two commands,
and nothing of it is in the upper layer.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat

from sealift.sandbox.assemble import Assembly, resolve_in
from sealift.sandbox.points import mount_asked
from sealift.sandbox.spec import SandboxSpec
from sealift.system import kernel, mounts

PRIVATE = "/dev/.sealift"
"""Where files for the sections lie that belong to no image: in /dev, which never does."""

DEVICES = (("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0))
LINKS = (
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
)


def furnish(spec: SandboxSpec, made: Assembly, *, read_only: bool = False) -> None:
    """Mount all of it below the merged root; the caller has unshared its mount namespace for this.

    `read_only` lets nothing of the root itself be written; /tmp, /var/tmp, /dev and what was asked for can be.
    """
    root = made.root
    # A root of its own: pivot_root wants a mount point, and the overlay itself stays where it is.
    mounts.bind(root, root)
    if read_only:
        mounts.bind(root, root, recursive=False, read_only=True)
    _mount_proc(made, root + resolve_in(root, "/proc"))
    with contextlib.suppress(OSError):
        mounts.bind("/sys", root + resolve_in(root, "/sys"), read_only=True)
    for path, name in (("/tmp", "tmp"), ("/var/tmp", "vartmp")):  # noqa: S108
        mounts.bind(os.path.join(made.work, name), root + resolve_in(root, path))
    _make_dev(made, root + resolve_in(root, "/dev"))
    for source, path in ((spec.resolv_conf, "/etc/resolv.conf"), (spec.hosts, "/etc/hosts")):
        copy = os.path.join(made.work, "private", os.path.basename(path))
        if not os.path.exists(copy):
            try:
                # A copy, so that a section which writes there changes nothing of the host.
                shutil.copyfile(source, copy)
            except OSError:
                continue
            os.chmod(copy, 0o644)
        # A bare root has no skeleton below it: what is not there yet cannot be covered.
        if not spec.bare or os.path.exists(root + resolve_in(root, path)):
            mounts.bind(copy, root + resolve_in(root, path))
    mount_asked(spec, root)


def enter(root: str) -> None:
    """Make `root` the root of this process's mount namespace and let go of the old one."""
    os.chdir(root)
    kernel.pivot_root(".", ".")
    kernel.umount(".", kernel.MNT_DETACH)
    os.chdir("/")


def _mount_proc(made: Assembly, target: str) -> None:
    if made.proc:
        kernel.mount("proc", target, "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    else:
        mounts.bind("/proc", target)


def _make_dev(made: Assembly, dev: str) -> None:
    kernel.mount("tmpfs", dev, "tmpfs", kernel.MS_NOSUID, "mode=0755,size=1m")
    for name, major, minor in DEVICES:
        _make_device(os.path.join(dev, name), f"/dev/{name}", major, minor)
    if os.path.exists("/dev/fuse"):
        _make_device(os.path.join(dev, "fuse"), "/dev/fuse", 10, 229)
    for name, link in LINKS:
        os.symlink(link, os.path.join(dev, name))
    pts = os.path.join(dev, "pts")
    os.mkdir(pts, 0o755)
    for options in ("newinstance,ptmxmode=0666,mode=0620,gid=5", "newinstance,ptmxmode=0666,mode=0620"):
        # Group 5 is `tty`; it cannot be named where only one id is mapped.
        try:
            kernel.mount("devpts", pts, "devpts", kernel.MS_NOSUID | kernel.MS_NOEXEC, options)
        except OSError:
            continue
        break
    shm = os.path.join(dev, "shm")
    os.mkdir(shm)
    kernel.mount("tmpfs", shm, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=1777")
    private = os.path.join(dev, os.path.basename(PRIVATE))
    os.mkdir(private)
    mounts.bind(os.path.join(made.work, "private"), private)


def _make_device(path: str, host: str, major: int, minor: int) -> None:
    try:
        os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(major, minor))
        os.chmod(path, 0o666)  # noqa: S103 -- what devices have
        with contextlib.suppress(FileNotFoundError):
            # A tmpfs of a user namespace takes no device; some kernels let one be made that cannot be opened.
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY))
    except OSError as error:
        if os.path.lexists(path):
            if error.errno == 6:  # ENXIO: /dev/tty without a terminal is as it should be
                return
            os.unlink(path)
        if not os.path.exists(host):
            return
        with open(path, "xb"):
            pass
        mounts.bind(host, path, recursive=False)
