"""The namespaces of a container: a user namespace in which the caller keeps its own ids, and a mount namespace.

Two steps, because what serves the image's file system must start between them: in the user namespace that will own
the mount, as the kernel demands of /dev/fuse, but outside the mount namespace, which it would keep alive.
"""

from __future__ import annotations

import errno
import os

from sealift.errors import HostError
from sealift.system import kernel

LAST_CAPABILITY = 63


def enter_user_namespace(uid: int, gid: int) -> bool:
    """Make this process, which must have one thread, the owner of a user namespace; False where it needs none.

    Root with the rights to mount stays in its own. HostError with what an administrator has to allow.
    """
    if os.geteuid() == 0 and _may_mount():
        return False
    try:
        kernel.unshare(kernel.CLONE_NEWUSER)
        # Once setgroups is denied, a process may map its own ids without any right (user_namespaces(7)).
        for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1\n"), ("gid_map", f"{gid} {gid} 1\n")):
            _write(f"/proc/self/{name}", text)
    except OSError as error:
        raise no_namespaces(error) from error
    return True


def enter_mount_namespace(*, private_pids: bool = False, private_ipc: bool = False) -> None:
    """Part from the host's mounts: what the host mounts later still appears here, nothing of ours appears there.

    With `private_pids` the next child is process 1 of a namespace of its own.
    """
    flags = kernel.CLONE_NEWNS
    flags |= kernel.CLONE_NEWPID if private_pids else 0
    flags |= kernel.CLONE_NEWIPC if private_ipc else 0
    try:
        kernel.unshare(flags)
        kernel.mount("", "/", "", kernel.MS_REC | kernel.MS_SLAVE)
    except OSError as error:
        raise no_namespaces(error) from error


def give_up_rights(*, keep_capabilities: bool) -> None:
    """Nothing that the program executes can gain rights any more; with a user namespace it holds none either."""
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    if keep_capabilities:
        return
    # An ordinary user's capabilities go with execve; the bounding set is emptied as Apptainer leaves it.
    for number in range(LAST_CAPABILITY + 1):
        try:
            kernel.prctl(kernel.PR_CAPBSET_DROP, number)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            break


def no_namespaces(error: OSError) -> HostError:
    """Why this host lets this user have no container, and what to ask for."""
    hints = []
    if _read("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
        hints.append("ask an administrator for: sysctl -w kernel.apparmor_restrict_unprivileged_userns=0")
    if _read("/proc/sys/kernel/unprivileged_userns_clone") == "0":
        hints.append("ask an administrator for: sysctl -w kernel.unprivileged_userns_clone=1")
    if _read("/proc/sys/user/max_user_namespaces") == "0" or error.errno == errno.ENOSPC:
        hints.append("ask an administrator for: sysctl -w user.max_user_namespaces=15000")
    hints.append("see what this host allows: sealift doctor")
    return HostError(
        f"this host lets this user make no container: {(error.strerror or str(error)).lower()}", hints=tuple(hints)
    )


def _may_mount() -> bool:
    """Whether CAP_SYS_ADMIN (21) is effective."""
    for line in _read("/proc/self/status").splitlines():
        if line.startswith("CapEff:"):
            return bool(int(line.split()[1], 16) >> 21 & 1)
    return False


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _read(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
