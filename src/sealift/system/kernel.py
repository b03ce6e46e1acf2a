"""System calls of Linux that Python's `os` does not have, through libc.

Loaded inside the functions that need it: nothing here is touched at import, so that the parts of Sealift that work on
other systems load there too. Every function raises OSError with the call's errno.
"""

from __future__ import annotations

import ctypes
import errno
import functools
import os
import struct
import sys

from sealift.errors import HostError

CLONE_NEWNS = 0x00020000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 1
MS_NOSUID = 2
MS_NODEV = 4
MS_NOEXEC = 8
MS_REMOUNT = 32
MS_NOATIME = 1024
MS_BIND = 4096
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19
MS_RELATIME = 1 << 21

MNT_DETACH = 2

PR_SET_PDEATHSIG = 1
PR_SET_NO_NEW_PRIVS = 38
PR_CAPBSET_DROP = 24
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2

AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
AT_EMPTY_PATH = 0x1000
AT_RECURSIVE = 0x8000

MOUNT_ATTR_RDONLY = 1

CLOCK_REALTIME_COARSE = 5
"""The clock of the kernel's file times; `time` has no name for it."""
MOUNT_ATTR_NOSUID = 2
MOUNT_ATTR_NODEV = 4

FILE_SYSTEMS = {
    0x0BD00BD0: "lustre",
    0x6969: "nfs",
    0x47504653: "gpfs",
    0x794C7630: "overlay",
    0x65735546: "fuse",
    0x19830326: "beegfs",
    0x00C36400: "ceph",
    0xFF534D42: "cifs",
    0xFE534D42: "smb",
    0xAAD7AAEA: "panfs",
    0x01021997: "9p",
    0x6A656A63: "virtiofs",
    0x5346414F: "afs",
    0xF15F: "ecryptfs",
    0x01021994: "tmpfs",
    0x858458F6: "ramfs",
    0xEF53: "ext4",
    0x58465342: "xfs",
    0x9123683E: "btrfs",
    0x2FC12FC1: "zfs",
    0xCA451A4E: "bcachefs",
    0xF2F52010: "f2fs",
    0x73717368: "squashfs",
}
"""Magic numbers of statfs(2), by the name that /proc/mounts gives the file system."""

_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "ppc64le": 203, "riscv64": 41, "s390x": 217}


@functools.cache
def _libc() -> ctypes.CDLL:
    if sys.platform != "linux":
        raise HostError(
            "this needs Linux",
            hints=("on macOS and Windows, use a Linux machine, WSL 2 or a Linux virtual machine",),
        )
    return ctypes.CDLL(None, use_errno=True)


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def unshare(flags: int) -> None:
    _check(_libc().unshare(ctypes.c_int(flags)), "unshare")


def setns(descriptor: int, kind: int) -> None:
    _check(_libc().setns(ctypes.c_int(descriptor), ctypes.c_int(kind)), "setns")


def mount(source: str | bytes, target: str | bytes, kind: str, flags: int = 0, data: str | bytes = "") -> None:
    result = _libc().mount(
        os.fsencode(source),
        os.fsencode(target),
        kind.encode(),
        ctypes.c_ulong(flags),
        os.fsencode(data) if data else None,
    )
    _check(result, f"mount {os.fsdecode(target)}")


def umount(target: str | bytes, flags: int = MNT_DETACH) -> None:
    _check(_libc().umount2(os.fsencode(target), ctypes.c_int(flags)), f"umount {os.fsdecode(target)}")


def pivot_root(new_root: str | bytes, put_old: str | bytes) -> None:
    number = _PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise HostError(f"pivot_root is not known for {os.uname().machine}")
    _check(
        _libc().syscall(ctypes.c_long(number), os.fsencode(new_root), os.fsencode(put_old)),
        f"pivot_root {os.fsdecode(new_root)}",
    )


def prctl(option: int, value: int = 0) -> int:
    zero = ctypes.c_ulong(0)
    return _check(_libc().prctl(ctypes.c_int(option), ctypes.c_ulong(value), zero, zero, zero), f"prctl {option}")


def inherit_capabilities(mask: int) -> None:
    """Have the capabilities of `mask`, which this process must have, and no others, and let programs inherit them.

    capset(2) and the ambient set (capabilities(7), Linux 4.3).
    """
    header = struct.pack("=Ii", 0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this process
    low, high = mask & 0xFFFFFFFF, mask >> 32
    _check(_libc().capset(header, struct.pack("=6I", low, low, low, high, high, high)), "capset")
    zero = ctypes.c_ulong(0)
    for number in range(64):
        if mask >> number & 1:
            raised = ctypes.c_ulong(PR_CAP_AMBIENT_RAISE), ctypes.c_ulong(number)
            _check(_libc().prctl(ctypes.c_int(PR_CAP_AMBIENT), *raised, zero, zero), "prctl PR_CAP_AMBIENT")


def sethostname(name: str) -> None:
    data = name.encode()
    _check(_libc().sethostname(data, ctypes.c_size_t(len(data))), "sethostname")


class _Statfs(ctypes.Structure):
    # On every 64-bit Linux but s390x `f_type` is a long; the rest is not read.
    _fields_ = (("f_type", ctypes.c_long), ("rest", ctypes.c_long * 31))


def file_system(path: str | bytes) -> str:
    """The name of the file system that `path` lies on; a hexadecimal number for one that is not known."""
    buffer = _Statfs()
    _check(_libc().statfs(os.fsencode(path), ctypes.byref(buffer)), f"statfs {os.fsdecode(path)}")
    number = buffer.f_type & 0xFFFFFFFF
    return FILE_SYSTEMS.get(number, hex(number))


class _MountAttr(ctypes.Structure):
    _fields_ = (
        ("attr_set", ctypes.c_uint64),
        ("attr_clr", ctypes.c_uint64),
        ("propagation", ctypes.c_uint64),
        ("userns_fd", ctypes.c_uint64),
    )


def mount_read_only(target: str | bytes) -> None:
    """Make a mount and all below it read-only (mount_setattr(2), Linux 5.12)."""
    add_mount_attributes(target, MOUNT_ATTR_RDONLY)


def add_mount_attributes(target: str | bytes, which: int, *, recursive: bool = True) -> None:
    """Add MOUNT_ATTR_… flags to a mount, keeping what it has (mount_setattr(2), Linux 5.12; one number everywhere)."""
    attributes = _MountAttr(attr_set=which)
    result = _libc().syscall(
        ctypes.c_long(442),
        ctypes.c_long(AT_FDCWD),
        os.fsencode(target),
        ctypes.c_long(AT_RECURSIVE if recursive else 0),
        ctypes.byref(attributes),
        ctypes.c_size_t(ctypes.sizeof(attributes)),
    )
    _check(result, f"mount_setattr {os.fsdecode(target)}")


class _StatxTime(ctypes.Structure):
    _fields_ = (("sec", ctypes.c_int64), ("nsec", ctypes.c_uint32), ("pad", ctypes.c_int32))


class _Statx(ctypes.Structure):
    # statx(2): what lies before and between the fields that are read is kept as bytes.
    _fields_ = (
        ("mask", ctypes.c_uint32),
        ("before", ctypes.c_uint8 * 28),
        ("ino", ctypes.c_uint64),
        ("sizes", ctypes.c_uint8 * 24),
        ("atime", _StatxTime),
        ("btime", _StatxTime),
        ("rest", ctypes.c_uint8 * 160),
    )


def birth(path: str | bytes, directory: int = AT_FDCWD) -> tuple[int, int]:
    """The inode number and the time of birth in nanoseconds (0 where the file system keeps none); follows no link."""
    buffer = _Statx()
    result = _libc().statx(
        ctypes.c_int(directory),
        os.fsencode(path),
        ctypes.c_int(AT_SYMLINK_NOFOLLOW),
        ctypes.c_uint(0x100 | 0x800),  # STATX_INO, STATX_BTIME
        ctypes.byref(buffer),
    )
    _check(result, f"statx {os.fsdecode(path)}")
    known = buffer.mask & 0x800
    return buffer.ino, buffer.btime.sec * 10**9 + buffer.btime.nsec if known else 0


def chown_descriptor(descriptor: int, uid: int, gid: int) -> None:
    """Change the owner of what a descriptor names, one opened with O_PATH or of a symbolic link included."""
    result = _libc().fchownat(
        ctypes.c_int(descriptor), b"", ctypes.c_int(uid), ctypes.c_int(gid), ctypes.c_int(AT_EMPTY_PATH)
    )
    _check(result, "fchownat")


_RENAMEAT2 = {"x86_64": 316, "aarch64": 276, "ppc64le": 357, "riscv64": 276, "s390x": 347}


def exchange(one: str | bytes, other: str | bytes) -> None:
    """Let two paths of one file system change places in one step (renameat2(2), RENAME_EXCHANGE).

    OSError with EINVAL or ENOSYS where the file system or the machine does not know it: NFS and Lustre, for instance.
    """
    number = _RENAMEAT2.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, f"renameat2 is not known for {os.uname().machine}")
    here = ctypes.c_long(AT_FDCWD)
    result = _libc().syscall(ctypes.c_long(number), here, os.fsencode(one), here, os.fsencode(other), ctypes.c_ulong(2))
    _check(result, f"exchange {os.fsdecode(one)}")


_SECCOMP = {"x86_64": 317, "aarch64": 277, "riscv64": 277, "ppc64le": 358, "s390x": 348}


def seccomp(operation: int, flags: int, argument: ctypes.c_void_p | ctypes.Array[ctypes.c_char] | None) -> int:
    """The system call of that name (seccomp(2)), which libc has no function for."""
    number = _SECCOMP.get(os.uname().machine)
    if number is None:
        raise OSError(38, f"seccomp is not known for {os.uname().machine}")
    return _check(
        _libc().syscall(ctypes.c_long(number), ctypes.c_uint(operation), ctypes.c_uint(flags), argument), "seccomp"
    )


def seccomp_notification_sizes() -> tuple[int, int, int]:
    """Sizes of struct seccomp_notif, seccomp_notif_resp and seccomp_data (SECCOMP_GET_NOTIF_SIZES, Linux 5.0)."""
    buffer = ctypes.create_string_buffer(6)
    seccomp(3, 0, buffer)
    sizes = (ctypes.c_uint16 * 3).from_buffer(buffer)
    return sizes[0], sizes[1], sizes[2]
