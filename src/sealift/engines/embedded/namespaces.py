"""The namespaces of a container: a user namespace in which the caller keeps its own ids, and a mount namespace.

Two steps, because what serves the image's file system must start between them: in the user namespace that will own
the mount, as the kernel demands of /dev/fuse, but outside the mount namespace, which it would keep alive.
"""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass

from sealift.errors import HostError
from sealift.system import kernel

LAST_CAPABILITY = 63


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """`name` is the caller's, for its subordinate ids; `path` is where newuidmap is looked for."""

    uid: int
    gid: int
    name: str
    fakeroot: bool = False
    userns: bool = False
    path: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """`own_namespace`: in a user namespace of its own. `keeps`: the program keeps the capabilities that it has there.

    `note` is something to be said. `inherited` are capabilities, as bits, that programs who are not root's have, too,
    as under Apptainer's fakeroot.
    """

    own_namespace: bool
    keeps: bool
    note: str = ""
    inherited: int = 0


def enter_user_namespace(wanted: Wanted) -> Rights:
    """Make this process, which must have one thread, the owner of a user namespace where it needs one or asks for it.

    Root with the rights to mount stays in its own. HostError with what an administrator has to allow.
    """
    root = os.geteuid() == 0
    if root and _may_mount():
        if wanted.userns:
            _enter_as_root()
        return Rights(own_namespace=wanted.userns, keeps=True)
    if wanted.fakeroot and not root:
        return _enter_as_fake_root(wanted)
    try:
        kernel.unshare(kernel.CLONE_NEWUSER)
        # Once setgroups is denied, a process may map its own ids without any right (user_namespaces(7)).
        for name, text in (
            ("setgroups", "deny"),
            ("uid_map", f"{wanted.uid} {wanted.uid} 1\n"),
            ("gid_map", f"{wanted.gid} {wanted.gid} 1\n"),
        ):
            _write(f"/proc/self/{name}", text)
    except OSError as error:
        raise no_namespaces(error) from error
    return Rights(own_namespace=True, keeps=False)


def _enter_as_fake_root(wanted: Wanted) -> Rights:
    """The caller is root inside, and its subordinate ids are all others; one id where it has none of those."""
    from sealift.system import namespaces as maps_of
    from sealift.system.process import find_program

    uids = maps_of.subordinate_ranges("uid", name=wanted.name, uid=wanted.uid, path=wanted.path)
    gids = maps_of.subordinate_ranges("gid", name=wanted.name, uid=wanted.uid, path=wanted.path)
    note = ""
    if uids and gids and find_program("newuidmap", path=wanted.path):
        maps = maps_of.subordinate_maps(wanted.uid, wanted.gid, uids, gids)
    else:
        maps = maps_of.single_maps(wanted.uid, wanted.gid)
        note = (
            "no file can get another owner than root: `newuidmap` is not installed"
            if uids and gids
            else f"no file can get another owner than root: /etc/subuid has no line for `{wanted.name}`"
        )
    maps_of.enter_user_namespace(maps, path=wanted.path)
    return Rights(own_namespace=True, keeps=True, note=note, inherited=_capabilities("CapPrm"))


def _enter_as_root() -> None:
    """Every id that root has, as itself."""
    from sealift.system import namespaces as maps_of

    maps = maps_of.identity_maps(_read("/proc/self/uid_map"), _read("/proc/self/gid_map"))
    maps_of.enter_user_namespace(maps)


def enter_mount_namespace() -> None:
    """Part from the host's mounts: what the host mounts later still appears here, nothing of ours appears there."""
    try:
        kernel.unshare(kernel.CLONE_NEWNS)
        kernel.mount("", "/", "", kernel.MS_REC | kernel.MS_SLAVE)
    except OSError as error:
        raise no_namespaces(error) from error


def enter_others(*, pids: bool = False, ipc: bool = False, uts: bool = False, net: bool = False) -> None:
    """Further namespaces. With `pids` the next child is process 1 of one of its own."""
    wanted = (
        (pids, kernel.CLONE_NEWPID), (ipc, kernel.CLONE_NEWIPC), (uts, kernel.CLONE_NEWUTS), (net, kernel.CLONE_NEWNET)
    )  # fmt: skip
    flags = sum(flag for asked, flag in wanted if asked)
    if not flags:
        return
    try:
        kernel.unshare(flags)
    except OSError as error:
        raise no_namespaces(error) from error


def give_up_rights(rights: Rights, *, dropped: frozenset[int] = frozenset()) -> None:
    """Nothing that the program executes can gain rights any more; unless it keeps them, it holds none either.

    `dropped` are numbers of capabilities that go in any case.
    """
    kernel.prctl(kernel.PR_SET_NO_NEW_PRIVS, 1)
    # An ordinary user's capabilities go with execve; the bounding set is emptied as Apptainer leaves it.
    for number in range(LAST_CAPABILITY + 1) if not rights.keeps else sorted(dropped):
        try:
            kernel.prctl(kernel.PR_CAPBSET_DROP, number)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            break
    if rights.keeps and rights.inherited:
        kernel.inherit_capabilities(rights.inherited & ~sum(1 << number for number in dropped))


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
    return bool(_capabilities("CapEff") >> 21 & 1)


def _capabilities(which: str) -> int:
    """A set of this process's capabilities by its name in /proc/self/status."""
    for line in _read("/proc/self/status").splitlines():
        if line.startswith(f"{which}:"):
            return int(line.split()[1], 16)
    return 0


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
