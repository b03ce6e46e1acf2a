"""Layers stacked by fuse-overlayfs: for folders whose changes last, on images that FUSE serves, as Apptainer does it.

The kernel's overlay would do, too, but the two mark replaced folders in ways of their own, and a user's overlay folder
must mean the same under both engines.

fuse-overlayfs gets an open /dev/fuse whose mount we make ourselves, as squashfuse does (rootfs.py). It must see the
layers, which are mounted in the container's mount namespace only, and must not keep that alive: so it has a copy of
the namespace from the moment before its own mount. When the last process of the container is gone, the kernel takes
that mount down, fuse-overlayfs ends, with it the copy, with that the image's mount, and then squashfuse.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass

from sealift.engines.embedded.room import Writable
from sealift.engines.embedded.rootfs import Served, close_others, find_on_path
from sealift.errors import HostError
from sealift.system import kernel

PROGRAM = "fuse-overlayfs"


def find_program(path: str) -> str | None:
    return find_on_path((PROGRAM,), path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stacker:
    """fuse-overlayfs as it is started in the session.

    `program` is None where there is none. `host` is where the host's root is seen, `base` a folder of the host that may
    be covered in the server's eyes. `preferred` says that it comes before the kernel's overlay, as it must for
    folders that it may have written.
    """

    program: str | None
    host: str
    base: str
    preferred: bool

    def mount(self, lowers: Sequence[str], target: str, writable: Writable | None) -> bool:
        """Mount `lowers`, the topmost first, at `target`; False where there is no fuse-overlayfs.

        HostError where it does not take the layers.
        """
        if self.program is None:
            return False
        served = _start(self.program, lowers, writable, host=self.host, base=self.base)
        served.show(target, self.host)
        try:
            os.stat(target)
        except OSError as error:
            said = served.last_words()
            raise HostError(
                "`fuse-overlayfs` cannot stack these layers" + (f": {said.splitlines()[-1]}" if said else ""),
                hints=("see what this host can do: sealift doctor",),
            ) from error
        return True


def _start(program: str, lowers: Sequence[str], writable: Writable | None, *, host: str, base: str) -> Served:
    device = os.open(f"{host}/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    words = os.memfd_create(PROGRAM) if hasattr(os, "memfd_create") else os.open(os.devnull, os.O_RDWR)
    waiting, go = os.pipe()
    apart, parted = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            # Twice, so that the program that we become has no child that it did not start.
            if os.fork() == 0:
                folders = (*lowers, *((writable.upper, writable.work) if writable else ()))
                _part(folders, host=host, base=base)
                os.write(parted, b"x")
                os.close(parted)
                options = "noacl,lowerdir=" + ":".join(base + each for each in lowers)
                if writable is not None:
                    options += f",upperdir={base}{writable.upper},workdir={base}{writable.work}"
                _become(program, options, device, words, waiting)
        except OSError as error:
            os.write(words, str(error).encode())
        finally:
            os._exit(1)
    os.waitpid(child, 0)
    os.close(waiting)
    os.close(parted)
    # The copy of the namespace must be there before the mount is, which it would keep alive.
    os.read(apart, 1)
    os.close(apart)
    return Served(device=device, go=go, words=words, uid=os.getuid(), gid=os.getgid(), kind="fuse-overlayfs")


def _part(folders: Sequence[str], *, host: str, base: str) -> None:
    """Take a copy of the mount namespace, show the layers in the host's tree, which holds the program's libraries."""
    kernel.unshare(kernel.CLONE_NEWNS)
    kernel.mount("/", host + base, "", kernel.MS_BIND)
    for name in dict.fromkeys("/" + folder.split("/")[1] for folder in folders):
        kernel.mount(name, host + base + name, "", kernel.MS_BIND | kernel.MS_REC)
    os.chroot(host)
    os.chdir("/")


def _become(program: str, options: str, device: int, words: int, waiting: int) -> None:
    os.setsid()  # Ctrl-C at the terminal is for the program alone
    nothing = os.open(os.devnull, os.O_RDWR)
    for number, source in enumerate((nothing, words, words)):
        os.dup2(source, number)
    close_others((device, waiting))
    os.umask(0)  # the program's own has done its part when a mode comes here
    if os.read(waiting, 1):
        os.close(waiting)
        os.set_inheritable(device, True)
        argv = [PROGRAM, "-f", "-o", options, f"/dev/fd/{device}"]
        os.execve(program, argv, {"PATH": "/usr/bin:/bin"})  # noqa: S606 -- an argument list, in place of us
