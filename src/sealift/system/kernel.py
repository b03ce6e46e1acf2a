"""System calls of Linux that Python's `os` does not have, through libc.

Loaded inside the functions that need it: nothing here is touched at import, so that the parts of Sealift that work on
other systems load there too. Every function raises OSError with the call's errno.
"""

from __future__ import annotations

import ctypes
import functools
import os
import platform

from sealift.errors import HostError

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
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
MS_MOVE = 8192
MS_REC = 16384
MS_PRIVATE = 1 << 18
MS_SLAVE = 1 << 19

MNT_DETACH = 2

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NO_NEW_PRIVS = 38

_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41, "ppc64le": 203, "riscv64": 41, "s390x": 217}


@functools.cache
def _libc() -> ctypes.CDLL:
    if platform.system() != "Linux":
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
    number = _PIVOT_ROOT.get(platform.machine())
    if number is None:
        raise HostError(f"pivot_root is not known for {platform.machine()}")
    _check(
        _libc().syscall(ctypes.c_long(number), os.fsencode(new_root), os.fsencode(put_old)),
        f"pivot_root {os.fsdecode(new_root)}",
    )


def prctl(option: int, value: int = 0) -> int:
    zero = ctypes.c_ulong(0)
    return _check(_libc().prctl(ctypes.c_int(option), ctypes.c_ulong(value), zero, zero, zero), f"prctl {option}")


def sethostname(name: str) -> None:
    data = name.encode()
    _check(_libc().sethostname(data, ctypes.c_size_t(len(data))), "sethostname")
