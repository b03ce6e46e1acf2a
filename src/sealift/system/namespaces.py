"""User namespaces: which ids this user may map (subuid(5), subgid(5)), and entering one with a map.

Linux lets every user make a namespace with one id mapped; more ids need `newuidmap` and `newgidmap`, which read
/etc/subuid and /etc/subgid, or the capabilities CAP_SETUID and CAP_SETGID (user_namespaces(7)).
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from sealift.errors import HostError
from sealift.system import kernel
from sealift.system.process import find_program

MOST_LINES = 340
"""Lines that /proc/PID/uid_map takes (since Linux 4.15)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdRange:
    """`count` ids from `start` of the host that a user may map."""

    start: int
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class IdMap:
    """One line of a map: `count` ids that are `inside`… in the namespace and `outside`… in its parent."""

    inside: int
    outside: int
    count: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class UserMaps:
    """The maps of a user namespace; `by` is who may write them.

    `self`: the process itself (one line of one id, its own). `programs`: newuidmap and newgidmap. `capability`: a
    process of the parent namespace that has CAP_SETUID and CAP_SETGID there.
    """

    uids: tuple[IdMap, ...]
    gids: tuple[IdMap, ...]
    by: Literal["self", "programs", "capability"]

    @property
    def many(self) -> bool:
        """Whether more than one id can own a file."""
        return sum(line.count for line in self.uids) > 1


def single_maps(uid: int, gid: int, *, inside_uid: int = 0, inside_gid: int = 0) -> UserMaps:
    """The map that needs no rights: one's own ids, by default as root's."""
    return UserMaps(
        uids=(IdMap(inside=inside_uid, outside=uid),), gids=(IdMap(inside=inside_gid, outside=gid),), by="self"
    )


def subordinate_maps(uid: int, gid: int, uids: Sequence[IdRange], gids: Sequence[IdRange]) -> UserMaps:
    """One's own ids as root's, and the subordinate ranges one after the other from 1 on."""
    return UserMaps(uids=_stack(uid, uids), gids=_stack(gid, gids), by="programs")


def identity_maps(uid_map: str, gid_map: str) -> UserMaps:
    """Every id that the current namespace has, as itself; takes the texts of /proc/self/uid_map and gid_map."""
    return UserMaps(uids=_same(uid_map), gids=_same(gid_map), by="capability")


def _stack(own: int, ranges: Sequence[IdRange]) -> tuple[IdMap, ...]:
    lines = [IdMap(inside=0, outside=own)]
    inside = 1
    for each in ranges[: MOST_LINES - 1]:
        lines.append(IdMap(inside=inside, outside=each.start, count=each.count))
        inside += each.count
    return tuple(lines)


def _same(text: str) -> tuple[IdMap, ...]:
    rows = (line.split() for line in text.splitlines())
    return tuple(IdMap(inside=int(row[0]), outside=int(row[0]), count=int(row[2])) for row in rows if len(row) == 3)


def parse_ranges(text: str, *, name: str, uid: int) -> tuple[IdRange, ...]:
    """The ranges of one user in a text of subuid(5) form: by name or by number; lines that are neither are passed."""
    found: list[IdRange] = []
    for line in text.splitlines():
        owner, _, rest = line.strip().partition(":")
        start, _, count = rest.partition(":")
        if owner in (name, str(uid)) and owner and start.isdecimal() and count.isdecimal() and int(count) > 0:
            each = IdRange(start=int(start), count=int(count))
            if each not in found:
                found.append(each)
    return tuple(found)


def subordinate_ranges(
    kind: Literal["uid", "gid"], *, name: str, uid: int, file: str | None = None, path: str | None = None
) -> tuple[IdRange, ...]:
    """The subordinate ids of a user: from `file` (default /etc/subuid or /etc/subgid), else from `getsubids`.

    `getsubids` is asked because a site may keep the ranges in its directory service (nsswitch.conf, `subid:`); `path`
    is where it is looked for. Nothing found is an empty tuple, not an error.
    """
    try:
        with open(file or f"/etc/sub{kind}", encoding="utf-8", errors="replace") as stream:
            found = parse_ranges(stream.read(), name=name, uid=uid)
    except OSError:
        found = ()
    if found or file is not None:
        return found
    program = find_program("getsubids", path=path)
    if program is None or not name:
        return ()
    argv = [program, *(["-g"] if kind == "gid" else []), name]
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    # `0: NAME 100000 65536`
    rows = (line.split() for line in done.stdout.splitlines())
    lines = "\n".join(f"{row[-3]}:{row[-2]}:{row[-1]}" for row in rows if len(row) == 4)
    return parse_ranges(lines, name=name, uid=uid)


def enter_user_namespace(maps: UserMaps, *, others: int = 0, path: str | None = None) -> None:
    """Move this process, which must have one thread only, into a new user namespace with these maps.

    `others` are further CLONE_NEW… flags for namespaces that the new one then owns. Afterwards the process has all
    capabilities in it. Raises HostError with what the kernel or `newuidmap` said; the process may then already be in
    a namespace without maps and should end.
    """
    flags = kernel.CLONE_NEWUSER | others
    if maps.by == "self":
        _unshare(flags)
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", _text(maps.uids))
        _write("/proc/self/gid_map", _text(maps.gids))
        return
    newuidmap, newgidmap = find_program("newuidmap", path=path), find_program("newgidmap", path=path)
    if maps.by == "programs" and (newuidmap is None or newgidmap is None):
        raise HostError(
            "`newuidmap` is not installed; it is needed to use this user's subordinate ids",
            hints=("ask an administrator for: apt-get install uidmap   (RHEL: dnf install shadow-utils)",),
        )
    # The maps are written from the parent namespace, by a child that is forked before this process leaves it.
    ready_out, ready_in = os.pipe()
    result_out, result_in = os.pipe()
    target = os.getpid()
    child = os.fork()
    if child == 0:
        os.close(ready_in)
        os.close(result_out)
        complaint = "the process that was to be mapped ended"
        try:
            if os.read(ready_out, 1):
                complaint = _write_maps(target, maps, newuidmap, newgidmap)
        except BaseException as error:  # noqa: BLE001 -- the child has nobody but its parent to tell
            complaint = str(error) or type(error).__name__
        finally:
            os.write(result_in, complaint.encode()[:4000] or b"\0")
            os._exit(0)
    os.close(ready_out)
    os.close(result_in)
    try:
        try:
            _unshare(flags)
        except BaseException:
            os.close(ready_in)
            raise
        os.write(ready_in, b"x")
        os.close(ready_in)
        said = b""
        while part := os.read(result_out, 4096):
            said += part
    finally:
        os.close(result_out)
        os.waitpid(child, 0)
    if said != b"\0":
        raise HostError(
            f"this user's ids could not be mapped: {said.decode(errors='replace').strip() or 'no reason given'}",
            hints=("see what this host allows: sealift doctor",),
        )
    # The supplementary groups stay: through them a user may read a project's files.
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def _write_maps(target: int, maps: UserMaps, newuidmap: str | None, newgidmap: str | None) -> str:
    if maps.by == "capability":
        _write(f"/proc/{target}/uid_map", _text(maps.uids))
        _write(f"/proc/{target}/gid_map", _text(maps.gids))
        return ""
    for program, lines in ((newuidmap, maps.uids), (newgidmap, maps.gids)):
        numbers = [str(n) for line in lines for n in (line.inside, line.outside, line.count)]
        done = subprocess.run(
            [program or "", str(target), *numbers], capture_output=True, text=True, timeout=30, check=False
        )
        if done.returncode != 0:
            return done.stderr.strip() or f"`{program}` ended with {done.returncode}"
    return ""


def _unshare(flags: int) -> None:
    try:
        kernel.unshare(flags)
    except OSError as error:
        raise HostError(
            f"this host lets this user make no user namespace: {(error.strerror or str(error)).lower()}",
            hints=("see what it allows, and what to ask for: sealift doctor",),
        ) from error


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(descriptor, text.encode())
    except OSError as error:
        raise HostError(f"this host refused to map the ids of this user: {path}: {error.strerror}") from error
    finally:
        os.close(descriptor)


def _text(lines: Sequence[IdMap]) -> str:
    return "".join(f"{line.inside} {line.outside} {line.count}\n" for line in lines)
