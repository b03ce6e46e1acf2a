"""Copies files into a root without ever leaving it: what `cp -fLr` does for `%files`, and `%files from STAGE`.

From the host, every symbolic link of the source is followed and its target copied. From a stage, only the source itself
is followed, inside that stage's root; links below it stay links, owners and times are kept. At the destination every
component is followed inside the root, so a link of the image never leads to the host.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field

from sealift.sections.root import follow

_CHUNK = 1 << 20
"""Bytes; files of /proc/sys refuse to be read in larger pieces than four times this."""


class CopyError(Exception):
    """A source or destination that cannot be copied: one sentence for the user."""


@dataclass(slots=True, kw_only=True)
class Copier:
    """Copies into the directory `root`. `umask` is taken from modes; `skip` are directories that are not entered."""

    root: str
    umask: int = 0o002
    skip: frozenset[tuple[int, int]] = frozenset()
    keep: bool = False
    """Keep links, owners, modes, times and extended attributes: `%files from STAGE`."""
    kept: Callable[[str, str], None] | None = None
    """Told of each entry whose owner is to be kept: where it came from, and where it lies now."""
    inode: Callable[[str], int | None] | None = None
    """The number of a source's inode where it has several names; for file systems that do not tell."""
    _above: list[tuple[int, int]] = field(default_factory=list)
    _linked: dict[object, str] = field(default_factory=dict)
    """Where the first name of a file with several lies now: `%files from` keeps them one file."""

    def copy(self, source: str, destination: str, *, name: str | None = None, make_parents: bool = True) -> None:
        """Copy `source`, a path of this machine, to `destination`, a path of the root.

        Into `destination` when that is a directory, under `name` (default: the source's own); else as it. A trailing
        slash makes it a directory. CopyError with the reason where it cannot be done.
        """
        self._linked.clear()
        real = self._follow(destination)
        if destination.endswith("/") and os.path.lexists(self.root + real) and not _is_directory(self.root + real):
            raise CopyError(f"`{destination}` of the image is no directory")
        if make_parents:
            self._make_directories(real if destination.endswith("/") else os.path.dirname(real))
        last = os.path.basename(source.rstrip("/")) if name is None else name
        if _is_directory(self.root + real):
            # `.` and `..` as the last component stand for what is in them.
            target = real if last in ("", ".", "..") else self._target(f"{real}/{last}")
        elif destination.endswith("/"):
            raise CopyError(f"`{destination}` is not there in the image")
        else:
            target = real
        self._copy(source, target)

    def _copy(self, source: str, target: str) -> None:
        look = os.lstat if self.keep and self._above else os.stat
        try:
            found = look(source)
        except OSError as error:
            raise CopyError(_why(source, error)) from error
        place = self.root + target
        try:
            if self.keep and self._link_again(found, place, source, target):
                return
            if stat.S_ISDIR(found.st_mode):
                self._copy_directory(source, found, target)
            elif stat.S_ISREG(found.st_mode):
                _refuse_directory(place, source, target)
                self._copy_file(source, found, place)
            elif stat.S_ISLNK(found.st_mode):
                _refuse_directory(place, source, target)
                _remove(place)
                os.symlink(os.readlink(source), place)
            else:
                _refuse_directory(place, source, target)
                _remove(place)
                os.mknod(place, found.st_mode & ~self.umask, found.st_rdev)
            if self.keep and (self._above or not stat.S_ISDIR(found.st_mode)):
                _keep(source, found, place)
                if self.kept is not None:
                    self.kept(source, place)
        except OSError as error:
            named = error.filename if isinstance(error.filename, str) else target
            raise CopyError(_why(named.removeprefix(self.root), error)) from error

    def _link_again(self, found: os.stat_result, place: str, source: str, target: str) -> bool:
        """Was this file copied under another name, so that a link is all that it takes?"""
        if stat.S_ISDIR(found.st_mode):
            return False
        if self.inode is not None:
            key: object = self.inode(source)
        else:
            key = (found.st_dev, found.st_ino) if found.st_nlink > 1 else None
        first = self._linked.setdefault(key, place) if key is not None else place
        if first == place or not os.path.lexists(first):
            return False
        _refuse_directory(place, source, target)
        _remove(place)
        os.link(first, place, follow_symlinks=False)
        return True

    def _copy_directory(self, source: str, found: os.stat_result, target: str) -> None:
        key = (found.st_dev, found.st_ino)
        if key in self.skip:
            return
        if key in self._above:
            raise CopyError(f"`{source}` leads back to a directory that holds it")
        place = self.root + target
        new = False
        if not _is_directory(place):
            if os.path.islink(place):
                os.unlink(place)
            elif os.path.lexists(place):
                raise CopyError(f"`{source}` is a directory, and `{target}` of the image is none")
            os.mkdir(place, 0o700)
            new = True
        self._above.append(key)
        try:
            for name in sorted(os.listdir(source)):
                below = f"{target}/{name}" if target != "/" else f"/{name}"
                self._copy(f"{source.rstrip('/')}/{name}", below if self.keep else self._target(below))
        finally:
            self._above.pop()
        if new:
            # Apptainer makes the directory that a line of `%files from` names anew; what is in it keeps its mode.
            self._set_mode(place, 0o755 if self.keep else stat.S_IMODE(found.st_mode) & 0o1777 & ~self.umask)

    def _copy_file(self, source: str, found: os.stat_result, place: str) -> None:
        existing = os.path.lexists(place) and not self.keep
        reading = os.open(source, os.O_RDONLY | os.O_CLOEXEC)
        try:
            writing = _open_to_write(place, existing=existing)
            try:
                mode = stat.S_IMODE(found.st_mode)
                if existing:
                    # The kernel does this for all but the machine's root: the image shall not depend on who builds it.
                    mode = _without_rights(stat.S_IMODE(os.fstat(writing).st_mode))
                elif not self.keep:
                    mode &= 0o777 & ~self.umask
                os.fchmod(writing, mode)
                _copy_data(reading, writing, found.st_size)
            finally:
                os.close(writing)
        finally:
            os.close(reading)

    def _make_directories(self, real: str) -> None:
        made = ""
        for part in real.split("/")[1:]:
            made += "/" + part
            place = self.root + made
            if not part or _is_directory(place):
                continue
            try:
                os.mkdir(place, 0o755)
            except OSError as error:
                raise CopyError(_why(made, error)) from error
            self._set_mode(place, 0o755 & ~self.umask)

    @staticmethod
    def _set_mode(place: str, mode: int) -> None:
        """Of a new directory, which has the group bit of the one that it was made in, and keeps it."""
        os.chmod(place, mode | (os.lstat(place).st_mode & stat.S_ISGID))

    def _target(self, path: str) -> str:
        """Where `path` leads. `cp` writes through no link that leads nowhere, so neither does this."""
        real = self._follow(path)
        folder, name = os.path.split(path)
        place = f"{self._follow(folder).rstrip('/')}/{name}"
        if real != place and not os.path.lexists(self.root + real):
            raise CopyError(f"`{place}` of the image is a link to `{self._link(place)}`, which is not there")
        return real

    def _follow(self, path: str) -> str:
        try:
            return follow(path, self._link)
        except OSError as error:
            raise CopyError(_why(path, error)) from error

    def _link(self, path: str) -> str | None:
        try:
            return os.readlink(self.root + path)
        except OSError:
            return None


def match_in(root: str, pattern: str) -> tuple[str, ...]:
    """The paths of `root` that match a pattern with `*`, `?` and `[…]`, links followed inside the root.

    A path that is there as written is not a pattern. What matches nothing stays as it is. Names that begin with a dot
    want one in the pattern.
    """
    from fnmatch import fnmatchcase

    def link(path: str) -> str | None:
        try:
            return os.readlink(root + path)
        except OSError:
            return None

    def is_there(path: str) -> bool:
        folder, name = os.path.split(path.rstrip("/"))
        with contextlib.suppress(OSError):
            return os.path.lexists(f"{root}{follow(folder or '/', link)}/{name}")
        return False

    if is_there(pattern):
        return (pattern,)
    found = [""]
    for part in [part for part in pattern.split("/") if part not in ("", ".")]:
        if not any(mark in part for mark in "*?["):
            found = [f"{one}/{part}" for one in found]
            continue
        matched = []
        for one in found:
            with contextlib.suppress(OSError):
                names = sorted(os.listdir(root + follow(one or "/", link)), key=os.fsencode)
                matched += [
                    f"{one}/{name}"
                    for name in names
                    if fnmatchcase(name, part.replace("[^", "[!")) and (part[0] == "." or name[0] != ".")
                ]
        found = matched
    slash = "/" if pattern.endswith("/") else ""
    return tuple(one + slash for one in found if is_there(one)) or (pattern,)


def _without_rights(mode: int) -> int:
    """What is left of a mode when the file is written: no setuid, and no setgid where it is one."""
    mode &= ~stat.S_ISUID
    return mode & ~stat.S_ISGID if mode & stat.S_IXGRP else mode


def _open_to_write(place: str, *, existing: bool) -> int:
    flags = os.O_WRONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    if existing:
        try:
            return os.open(place, flags | os.O_TRUNC)
        except OSError:
            os.unlink(place)
    else:
        _remove(place)
    return os.open(place, flags | os.O_CREAT | os.O_EXCL, 0o600)


def _copy_data(reading: int, writing: int, size: int) -> None:
    """The data without the holes, by the kernel where it can (which may share the blocks)."""
    at = 0
    while at < size:
        try:
            start = os.lseek(reading, at, os.SEEK_DATA)
            end = os.lseek(reading, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:  # only a hole follows
                at = size
                break
            start, end = at, size
        at = _copy_range(reading, writing, start, end)
        if at < end:
            break
    os.ftruncate(writing, at)
    os.lseek(reading, at, os.SEEK_SET)
    os.lseek(writing, at, os.SEEK_SET)
    while part := os.read(reading, _CHUNK):  # it grew meanwhile, or its size is not told (as in /proc)
        while part:
            part = part[os.write(writing, part) :]


def _copy_range(reading: int, writing: int, at: int, end: int) -> int:
    while at < end:
        try:
            done = os.copy_file_range(reading, writing, min(end - at, 1 << 30), at, at)
        except OSError:
            done = 0
            part = os.pread(reading, min(end - at, _CHUNK), at)
            while part:
                written = os.pwrite(writing, part, at + done)
                part, done = part[written:], done + written
        if not done:
            break
        at += done
    return at


def _keep(source: str, found: os.stat_result, place: str) -> None:
    with contextlib.suppress(PermissionError):
        # With a single id in the namespace no other owner can be given; the sandbox says so.
        os.chown(place, found.st_uid, found.st_gid, follow_symlinks=False)
    if not stat.S_ISLNK(found.st_mode):
        os.chmod(place, stat.S_IMODE(found.st_mode))
        for name in _attributes(source):
            if name.startswith(("security.capability", "user.")) and not name.startswith("user.overlay."):
                with contextlib.suppress(OSError):
                    os.setxattr(place, name, os.getxattr(source, name, follow_symlinks=False), follow_symlinks=False)
    os.utime(place, ns=(found.st_atime_ns, found.st_mtime_ns), follow_symlinks=False)


def _attributes(source: str) -> list[str]:
    try:
        names = os.listxattr(source, follow_symlinks=False)
    except OSError as error:
        # A squashfs in which no file has any answers that it knows none.
        if error.errno == errno.EOPNOTSUPP:
            return []
        raise
    # squashfuse 0.1 lists what is `security.` as `trusted.`, and gives it under its own name.
    return [name.replace("trusted.capability", "security.capability") for name in names]


def _is_directory(place: str) -> bool:
    """Never through a link: the last component of a followed path is none, or one that will be replaced."""
    try:
        return stat.S_ISDIR(os.lstat(place).st_mode)
    except OSError:
        return False


def _refuse_directory(place: str, source: str, target: str) -> None:
    if _is_directory(place):
        raise CopyError(f"`{target}` of the image is a directory, and `{source}` is none")


def _remove(place: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(place)


def _why(path: str, error: OSError) -> str:
    return f"`{path}` cannot be copied: {(error.strerror or str(error)).lower()}"
