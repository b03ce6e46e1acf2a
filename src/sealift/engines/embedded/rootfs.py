"""The image becomes a folder: mounted by the kernel or by squashfuse, or unpacked beforehand.

squashfuse gets an open /dev/fuse whose mount we make ourselves, so that it needs no fusermount and no mount point of
its own, and lives outside the container's mount namespace: when the last process of the container is gone, the
kernel takes the mount down, squashfuse's next read of the device fails, and it ends. Nothing has to be killed.
"""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from sealift.engines.embedded.image import RootImage
from sealift.errors import HostError, ImageError
from sealift.system import kernel

PROGRAMS = ("squashfuse_ll", "squashfuse")
MORE_FOLDERS = ("/usr/libexec/apptainer/bin", "/usr/local/libexec/apptainer/bin", "/usr/sbin", "/sbin")
"""Where squashfuse lies besides PATH: Apptainer's packages may bring their own."""


class Source(Protocol):
    """An image that is ready to be shown in the container's mount namespace."""

    def show(self, target: str, host: str) -> None:
        """Show it at `target`; `host` is where the host's root lies then."""

    def last_words(self) -> str:
        """What its server said when it failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """A FUSE server that waits for its mount: `device` is /dev/fuse, `go` lets it begin, `words` holds what it says."""

    device: int
    go: int
    words: int
    uid: int
    gid: int
    kind: Literal["squashfuse", "fuse-overlayfs"] = "squashfuse"

    def show(self, target: str, host: str) -> None:  # noqa: ARG002 -- it has the image open
        flags = kernel.MS_NOSUID | kernel.MS_NODEV
        data = f"fd={self.device},rootmode=40000,user_id={self.uid},group_id={self.gid},allow_other"
        if self.kind == "squashfuse":
            flags |= kernel.MS_RDONLY
        else:
            # The kernel judges by the modes that the server tells it.
            flags |= kernel.MS_NOATIME
            data += ",default_permissions"
        kernel.mount(self.kind, target, f"fuse.{self.kind}", flags, data)
        os.write(self.go, b"x")
        # Ours are closed, so that a server that fails leaves a broken mount and not one that waits for ever.
        os.close(self.go)
        os.close(self.device)

    def last_words(self) -> str:
        os.lseek(self.words, 0, os.SEEK_SET)
        return os.read(self.words, 4000).decode(errors="replace").strip()


@dataclass(frozen=True, slots=True, kw_only=True)
class Looped:
    """A loop device, open; the kernel frees it with its last mount."""

    device: int
    path: str

    def show(self, target: str, host: str) -> None:
        kernel.mount(host + self.path, target, "squashfs", kernel.MS_RDONLY | kernel.MS_NOSUID | kernel.MS_NODEV)
        os.close(self.device)

    def last_words(self) -> str:
        return ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    """A folder of the host, without links in its path."""

    path: str

    def show(self, target: str, host: str) -> None:
        kernel.mount(host + self.path, target, "", kernel.MS_BIND | kernel.MS_REC)

    def last_words(self) -> str:
        return ""


Unpack = Callable[[RootImage], str]
"""Unpacks an image, once, and says into which folder; the cache is its business."""


def open_source(image: RootImage, *, own_namespace: bool, unpack: Unpack | None, path: str) -> Source:
    """Make the image ready: by the kernel for root, by squashfuse, else unpacked.

    To be called between the user namespace and the mount namespace. `path` is where squashfuse is looked for.
    """
    if image.kind == "folder":
        return Folder(path=os.path.realpath(image.path))
    if not own_namespace:
        try:
            return attach_loop(image)
        except OSError:
            pass
    program = find_squashfuse(path)
    if program is None:
        why = "no `squashfuse` for FUSE 3 is installed"
    else:
        try:
            return start_squashfuse(program, image)
        except OSError as error:
            why = f"/dev/fuse cannot be used: {(error.strerror or str(error)).lower()}"
    if unpack is None:
        raise HostError(
            f"`{image.path}` cannot be mounted: {why}",
            hints=("ask an administrator for: apt-get install squashfuse", "see what this host can do: sealift doctor"),
        )
    return Folder(path=os.path.realpath(unpack(image)))


def find_squashfuse(path: str) -> str | None:
    return find_on_path(PROGRAMS, path)


def find_on_path(names: Sequence[str], path: str) -> str | None:
    """The first program of these names that takes an open /dev/fuse for a mount point."""
    for folder in (*path.split(":"), *MORE_FOLDERS):
        for name in names:
            program = os.path.join(folder, name)
            if folder and os.access(program, os.X_OK) and _takes_a_device(program):
                return program
    return None


def _takes_a_device(program: str) -> bool:
    """Whether its libfuse takes an open /dev/fuse for a mount point: libfuse 3.3 does, libfuse 2 never learnt it."""
    try:
        with open(program, "rb") as file:
            return b"libfuse.so.2" not in file.read(1 << 20)
    except OSError:
        return True  # executable and not readable: an administrator's own build


def start_squashfuse(program: str, image: RootImage) -> Served:
    """Start a squashfuse that waits; call it in the user namespace and outside the mount namespace.

    OSError where /dev/fuse cannot be used.
    """
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    file = os.open(image.path, os.O_RDONLY | os.O_CLOEXEC)
    words = os.memfd_create("squashfuse") if hasattr(os, "memfd_create") else os.open(os.devnull, os.O_RDWR)
    waiting, go = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            # Twice, so that the program that we become has no child that it did not start.
            if os.fork() == 0:
                _become_squashfuse(program, image.offset, device, file, words, waiting)
        finally:
            os._exit(1)
    os.waitpid(child, 0)
    os.close(waiting)
    os.close(file)
    return Served(device=device, go=go, words=words, uid=os.getuid(), gid=os.getgid())


def _become_squashfuse(program: str, offset: int, device: int, file: int, words: int, waiting: int) -> None:
    os.setsid()  # Ctrl-C at the terminal is for the program alone
    os.chdir("/")
    nothing = os.open(os.devnull, os.O_RDWR)
    for number, source in enumerate((nothing, words, words)):
        os.dup2(source, number)
    close_others((device, file, waiting))
    if os.read(waiting, 1):
        os.close(waiting)
        os.set_inheritable(device, True)
        os.set_inheritable(file, True)
        argv = ["squashfuse_ll", "-f", "-o", f"offset={offset}", f"/proc/self/fd/{file}", f"/dev/fd/{device}"]
        os.execve(program, argv, {"PATH": "/usr/bin:/bin"})  # noqa: S606 -- an argument list, in place of us


def close_others(kept: Collection[int]) -> None:
    """Close what a server does not need: a pipe that the caller reads to the end must not be held open there."""
    for number in map(int, os.listdir("/proc/self/fd")):
        if number > 2 and number not in kept:
            with contextlib.suppress(OSError):
                os.close(number)


def attach_loop(image: RootImage) -> Looped:
    """A loop device that shows the image; only root can have one. OSError where there is none to have."""
    from sealift.system import mounts

    file = os.open(image.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        device, path = mounts.attach_loop(file, image.offset)
    finally:
        os.close(file)
    return Looped(device=device, path=path)


def first_look(target: str, image: RootImage, source: Source) -> None:
    """Read the root folder once: this waits until squashfuse answers. ImageError when it cannot read the image."""
    try:
        os.stat(target)
    except OSError as error:
        if error.errno not in (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO, errno.ENODEV):
            raise
        said = source.last_words()
        raise ImageError(
            f"`{image.path}` is damaged: its file system cannot be read"
            + (f" ({said.splitlines()[-1]})" if said else ""),
            hints=("fetch or build it again",),
        ) from error
