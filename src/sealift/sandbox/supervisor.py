"""Answers the calls that a user namespace refuses, and records what was asked for (seccomp_unotify(2)).

The supervisor is the guardian of the command: in its mount namespace and root, with the namespace's capabilities. A
change of owner is done as root:root for real, which copies the file up and clears setuid bits and capabilities just as
the kernel would; then the owner that was asked for is recorded. A device becomes an empty file and a record.
"""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import os
import re
import select
import socket
import stat
import struct
import time
from collections.abc import Iterator
from dataclasses import replace

from sealift.errors import HostError
from sealift.sandbox import syscalls
from sealift.sandbox.assemble import Assembly
from sealift.sandbox.owners import Record, read_records
from sealift.sandbox.spec import Footing
from sealift.system import kernel

_RECEIVE, _SEND, _VALID, _VALID_OLD = 0xC0502100, 0xC0182101, 0x40082102, 0x80082102
_NOTIFICATION = struct.Struct("<QII iIQ 6Q")
_RESPONSE = struct.Struct("<QqiI")
_LONGEST_PATH = 4096
_NOBODY = 0xFFFFFFFF


class Supervision:
    """One command's: prepared before its root is entered, installed in the child, served by the guardian."""

    def __init__(self, program: bytes, *, listen: bool, made: Assembly, inside: bool) -> None:
        self._program = program
        self._listen = listen
        self._root = "" if inside else made.root
        self._upper = os.open(made.upper if not made.copied else made.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._proc = os.open(made.proc or "/proc", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._records = read_records(os.path.join(made.work, "owners"))
        self._journal = os.open(
            os.path.join(made.work, "owners"), os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600
        )
        self._ours, self._theirs = socket.socketpair()
        self._names = syscalls.names_of(syscalls.this_machine())
        self._own_root = -1
        self._root_key = (0, 0)
        self._foreign: tuple[str, ...] = ()

    @classmethod
    def prepare(cls, footing: Footing, made: Assembly, *, inside: bool) -> Supervision | None:
        """None where the command needs no supervision. Called while the sandbox's own paths are in view."""
        # Without a proc of this process namespace the numbers of the callers would mean nothing.
        listen = footing.notify and bool(made.proc)
        program = syscalls.filter_for(footing.mode, syscalls.this_machine(), notify=listen)
        return None if program is None else cls(program, listen=listen, made=made, inside=inside)

    def install(self) -> None:
        """In the child, last before it becomes its program."""
        listener = syscalls.install(self._program, listen=self._listen)
        if self._listen:
            self._theirs.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [listener]))])
            os.close(listener)

    def supervise(self, child: int, failed: int) -> tuple[int, bytes]:
        """In the guardian: serve until `child` ends; its status, and what it wrote to `failed` before it began."""
        self._theirs.close()
        listener = self._take_listener() if self._listen else -1
        said = b""
        while part := os.read(failed, 1 << 16):
            said += part
        if listener >= 0 and not said:
            self._serve(listener, child)
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said

    def _take_listener(self) -> int:
        data, ancillary, _, _ = self._ours.recvmsg(1, socket.CMSG_SPACE(4), socket.MSG_CMSG_CLOEXEC)
        for _, _, payload in ancillary:
            return int(array.array("i", payload[:4])[0])
        if data:
            raise HostError("the supervisor of a section got nothing to watch")
        return -1

    def _serve(self, listener: int, child: int) -> None:
        self._own_root = os.open("/", os.O_PATH | os.O_CLOEXEC)
        self._root_key = _key(os.stat("/"))
        self._foreign = self._mount_points()
        watch = os.pidfd_open(child)
        poll = select.poll()
        poll.register(listener, select.POLLIN)
        poll.register(watch, select.POLLIN)
        try:
            while True:
                events = dict(poll.poll())
                if events.get(listener, 0) & select.POLLIN:
                    self._answer_next(listener)
                elif watch in events or listener in events:
                    return
        finally:
            os.close(watch)
            os.close(listener)

    def _mount_points(self) -> tuple[str, ...]:
        """Where others than the sandbox's own file system are mounted in it: files there are not in the upper layer."""
        root = os.fsencode(self._root)
        found: list[str] = []
        with open(os.open("self/mountinfo", os.O_RDONLY | os.O_CLOEXEC, dir_fd=self._proc), "rb") as file:
            for line in file:
                # Blanks and backslashes are written in octal (proc_pid_mountinfo(5)).
                path = re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8)]), line.split(b" ")[4])
                if path.startswith(root + b"/") and path != root + b"/":
                    found.append(os.fsdecode(path) + "/")
        return tuple(found)

    def _answer_next(self, listener: int) -> None:
        buffer = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(listener, _RECEIVE, buffer)
        except OSError:
            return  # the caller was killed before it was heard
        number, pid, _, call, _, _, *arguments = _NOTIFICATION.unpack(buffer)
        try:
            self._do(listener, number, pid, self._names[call], arguments)
            failure = 0
        except OSError as error:
            failure = error.errno or errno.EIO
        with contextlib.suppress(OSError):
            fcntl.ioctl(listener, _SEND, _RESPONSE.pack(number, 0, -failure, 0))

    def _do(self, listener: int, number: int, pid: int, call: str, arguments: list[int]) -> None:
        match call:
            case "chown" | "lchown":
                path, owner, flags = arguments[0], arguments[1:3], kernel.AT_SYMLINK_NOFOLLOW if call == "lchown" else 0
                directory = kernel.AT_FDCWD
            case "fchownat":
                directory, path, owner = _signed(arguments[0]), arguments[1], arguments[2:4]
                flags = arguments[4] & 0xFFFFFFFF
                if flags & ~(kernel.AT_SYMLINK_NOFOLLOW | kernel.AT_EMPTY_PATH):
                    raise OSError(errno.EINVAL, "flags")
            case "fchown":
                directory, path, owner, flags = _signed(arguments[0]), 0, arguments[1:3], kernel.AT_EMPTY_PATH
            case "mknod":
                self._make_device(listener, number, pid, kernel.AT_FDCWD, arguments[0], arguments[1], arguments[2])
                return
            case _:
                self._make_device(
                    listener, number, pid, _signed(arguments[0]), arguments[1], arguments[2], arguments[3]
                )
                return
        text = b"" if call == "fchown" else _read_path(self._proc, pid, path)
        _check_alive(listener, number)
        if not text and not flags & kernel.AT_EMPTY_PATH:
            raise OSError(errno.ENOENT, "path")
        target = self._open(pid, directory, text, follow=not flags & kernel.AT_SYMLINK_NOFOLLOW)
        try:
            uid, gid = (None if value & _NOBODY == _NOBODY else value & _NOBODY for value in owner)
            kernel.chown_descriptor(target, -1 if uid is None else 0, -1 if gid is None else 0)
            if uid is not None or gid is not None:
                # Root's ids given by descriptor may be no wish, but what the program saw on the file that it copies.
                soft = not text and not uid and not gid
                like = self._source_of(pid, target) if soft else ""
                self._record(target, Record(inode=0, birth=0, uid=uid, gid=gid, soft=soft, like=like))
        finally:
            os.close(target)

    def _open(self, pid: int, directory: int, path: bytes, *, follow: bool) -> int:
        """Open what the caller means by `path`, with its working directory, descriptors and root."""
        base = -1
        flags = os.O_PATH | os.O_CLOEXEC | (0 if follow else os.O_NOFOLLOW)
        try:
            if not path.startswith(b"/"):
                link = f"{pid}/cwd" if directory == kernel.AT_FDCWD else f"{pid}/fd/{directory}"
                try:
                    base = os.open(link, os.O_PATH | os.O_CLOEXEC, dir_fd=self._proc)
                except FileNotFoundError as error:
                    raise OSError(errno.EBADF, "descriptor") from error
                if not path:
                    base, found = -1, base
                    return found
            elif path.startswith((b"/proc/self/", b"/proc/thread-self/")):
                # It is the caller who means itself, not the supervisor.
                path = b"%d/" % pid + path.split(b"/", 3)[3]
                return os.open(path, flags, dir_fd=self._proc)
            with self._in_root_of(pid):
                return os.open(path, flags, dir_fd=base if base >= 0 else None)
        finally:
            if base >= 0:
                os.close(base)

    @contextlib.contextmanager
    def _in_root_of(self, pid: int) -> Iterator[None]:
        """Absolute paths and links mean the caller's root: a debootstrap in a section runs in a root of its own."""
        if _key(os.stat(f"{pid}/root", dir_fd=self._proc)) == self._root_key:
            yield
            return
        theirs = os.open(f"{pid}/root", os.O_PATH | os.O_CLOEXEC, dir_fd=self._proc)
        try:
            os.fchdir(theirs)
            os.chroot(".")
            yield
        finally:
            os.close(theirs)
            os.fchdir(self._own_root)
            os.chroot(".")

    def _make_device(
        self, listener: int, number: int, pid: int, directory: int, path: int, mode: int, device: int
    ) -> None:
        text = _read_path(self._proc, pid, path)
        umask, uid = _umask_and_uid(self._proc, pid)
        _check_alive(listener, number)
        if uid != 0:
            raise OSError(errno.EPERM, "only root makes devices")
        folder, _, name = text.rstrip(b"/").rpartition(b"/")
        if not name:
            raise OSError(errno.EEXIST if text else errno.ENOENT, "path")
        if folder or text.startswith(b"/"):
            parent = self._open(pid, directory, folder or b"/", follow=True)
        else:
            parent = self._open(pid, directory, b".", follow=True)
        try:
            os.mknod(name, stat.S_IFREG, dir_fd=parent)
            target = os.open(name, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent)
            try:
                os.chmod(f"self/fd/{target}", stat.S_IMODE(mode) & ~umask, dir_fd=self._proc)
                kind = stat.S_IFMT(mode & 0xFFFF)
                self._record(target, Record(inode=0, birth=0, kind=kind, rdev=device & 0xFFFFFFFF))
            finally:
                os.close(target)
        finally:
            os.close(parent)

    def _source_of(self, pid: int, target: int) -> str:
        """The file that a process seems to copy to `target`, relative to the sandbox's root; empty where none does.

        By the name where that tells: `/etc/shadow` for `/etc/shadow+` (shadow-utils have closed it by then). Else the
        one other regular file that the process has open, or of several the one whose name `target`'s begins with.
        """
        own = os.readlink(f"self/fd/{target}", dir_fd=self._proc)
        if own.endswith(("+", "-", "~")) and self._is_ours(own):
            return own[len(self._root) + 1 : -1]
        found: set[str] = set()
        with contextlib.suppress(OSError):
            folder = os.open(f"{pid}/fd", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._proc)
            try:
                names = os.listdir(folder)
            finally:
                os.close(folder)
            for name in names:
                with contextlib.suppress(OSError):
                    link = f"{pid}/fd/{name}"
                    path = os.readlink(link, dir_fd=self._proc)
                    if path != own and self._is_ours(path) and stat.S_ISREG(os.stat(link, dir_fd=self._proc).st_mode):
                        found.add(path)
        if len(found) > 1:
            found = {path for path in found if own.startswith(path)}
        return found.pop()[len(self._root) + 1 :] if len(found) == 1 else ""

    def _is_ours(self, path: str) -> bool:
        return path.startswith(self._root + "/") and not path.startswith(self._foreign)

    def _record(self, target: int, wish: Record) -> None:
        """Write down `wish` for the file that `target` names, if it is one of the upper layer."""
        path = os.readlink(f"self/fd/{target}", dir_fd=self._proc)
        if not self._is_ours(path):
            return
        try:
            inode, birth = kernel.birth(path[len(self._root) + 1 :] or ".", self._upper)
        except FileNotFoundError:
            return  # deleted meanwhile, or on a file system that the command mounted
        if wish.like:
            with contextlib.suppress(OSError):
                known = self._records.get(kernel.birth(wish.like, self._upper))
                if known is not None and not known.soft:
                    wish = replace(wish, uid=known.uid, gid=known.gid, soft=False)
        # The clock that the kernel takes times of birth from, for the two are compared.
        now = time.clock_gettime_ns(kernel.CLOCK_REALTIME_COARSE)
        record = replace(wish, inode=inode, birth=birth, at=now)
        self._records[inode, birth] = record
        os.write(self._journal, record.line())


def _key(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _signed(value: int) -> int:
    value &= 0xFFFFFFFF
    return value - (1 << 32) if value & 0x80000000 else value


def _read_path(proc: int, pid: int, address: int) -> bytes:
    """The text at `address` of the caller's memory, read up to page borders: what lies behind may not be mapped."""
    memory = os.open(f"{pid}/mem", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    try:
        text = b""
        while len(text) < _LONGEST_PATH:
            here = address + len(text)
            try:
                part = os.pread(memory, 4096 - here % 4096, here)
            except OSError as error:
                raise OSError(errno.EFAULT, "path") from error
            end = part.find(b"\0")
            if end >= 0:
                return text + part[:end]
            if not part:
                raise OSError(errno.EFAULT, "path")
            text += part
        raise OSError(errno.ENAMETOOLONG, "path")
    finally:
        os.close(memory)


def _umask_and_uid(proc: int, pid: int) -> tuple[int, int]:
    umask, uid = 0o022, 0
    with open(os.open(f"{pid}/status", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc), "rb") as file:
        for line in file:
            if line.startswith(b"Umask:"):
                umask = int(line.split()[1], 8)
            elif line.startswith(b"Uid:"):
                uid = int(line.split()[2])
                break
    return umask, uid


def _check_alive(listener: int, number: int) -> None:
    """What was read of the caller is its own only if it still waits: its number may be another's by now."""
    data = struct.pack("<Q", number)
    try:
        fcntl.ioctl(listener, _VALID, data)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTTY):
            raise
        fcntl.ioctl(listener, _VALID_OLD, data)
