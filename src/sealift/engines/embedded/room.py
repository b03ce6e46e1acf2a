"""Mount points that an image lacks, and a root that can be written: layers over an image that nobody changes.

An overlay puts a folder with the missing mount points on top. Where the kernel allows no overlay (before Linux 5.11
in user namespaces, and on some network file systems) an underlay does: folders of our own, in which every entry of
the image's folder is bound, for each folder that lacks something.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sealift.engines.embedded.layout import Step
from sealift.engines.embedded.paths import find, resolve
from sealift.errors import HostError
from sealift.system import kernel


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """A mount point to be made; `path` is relative to the root and has no symbolic link in it."""

    path: str
    folder: bool


def find_missing(layers: Sequence[str], steps: Iterable[Step]) -> tuple[Missing, ...]:
    """The targets that the stack of `layers` lacks. What lies in another mount is that mount's to have."""
    covered: list[str] = []
    missing: list[Missing] = []
    for step in steps:
        path = resolve(layers, step.target)
        if not any(path.startswith(each + "/") for each in covered) and find(layers, path) is None:
            missing.append(Missing(path=path[1:], folder=step.folder))
        if step.folder:
            covered.append(path)
    return tuple(missing)


def make_points(missing: Iterable[Missing], folder: str, layers: Sequence[str]) -> None:
    """Make the mount points in `folder`; folders that the stack of `layers` has too look as they do there."""
    for each in missing:
        parts = each.path.split("/")
        for depth in range(1, len(parts) + 1):
            path = "/".join(parts[:depth])
            own = f"{folder}/{path}"
            if os.path.lexists(own):
                continue
            if depth == len(parts) and not each.folder:
                os.close(os.open(own, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
                continue
            os.mkdir(own, 0o755)
            if (theirs := find(layers, f"/{path}")) is not None:
                os.chmod(own, stat.S_IMODE(os.lstat(theirs).st_mode))


@dataclass(frozen=True, slots=True, kw_only=True)
class Writable:
    """The two folders of an overlay's writable layer; they lie on one file system."""

    upper: str
    work: str


def overlay(lowers: Sequence[str], target: str, *, writable: Writable | None, own_namespace: bool) -> None:
    """Have the kernel mount `lowers`, the topmost first, one upon the other; without `writable`, read-only.

    OSError where the kernel does not allow it.
    """
    data = "lowerdir=" + ":".join(lowers)
    flags = kernel.MS_NODEV | kernel.MS_NOSUID
    if writable is not None:
        data += f",upperdir={writable.upper},workdir={writable.work}"
    else:
        flags |= kernel.MS_RDONLY
    # Ubuntu allowed overlays in user namespaces before the option that the others want existed.
    tries = (data + ",userxattr", data) if own_namespace else (data,)
    for number, each in enumerate(tries):
        try:
            kernel.mount("overlay", target, "overlay", flags, each)
        except OSError:
            if number + 1 == len(tries):
                raise
        else:
            return


def underlay(image: str, target: str, missing: Iterable[Missing]) -> None:
    """Fill the empty folder `target` so that it looks like `image` and has the missing mount points."""
    kernel.mount("underlay", target, "tmpfs", kernel.MS_NODEV | kernel.MS_NOSUID, "mode=755")
    wanted = tuple(missing)
    make_points(wanted, target, (image,))
    _fill(image, target, frozenset(_folders(wanted)), "")
    kernel.add_mount_attributes(target, kernel.MOUNT_ATTR_RDONLY, recursive=False)


def _folders(missing: Iterable[Missing]) -> Iterable[str]:
    """Every folder that holds a mount point to be made, the root as the empty string."""
    for each in missing:
        parts = each.path.split("/")
        for depth in range(len(parts)):
            yield "/".join(parts[:depth])


def _fill(image: str, target: str, own: frozenset[str], path: str) -> None:
    prefix = f"{path}/" if path else ""
    try:
        names = os.listdir(f"{image}/{path}")
    except FileNotFoundError:
        return
    for name in names:
        theirs, ours = f"{image}/{prefix}{name}", f"{target}/{prefix}{name}"
        if prefix + name in own:
            _fill(image, target, own, prefix + name)
        elif os.path.islink(theirs):
            os.symlink(os.readlink(theirs), ours)
        else:
            if os.path.isdir(theirs):
                os.mkdir(ours)
            else:
                os.close(os.open(ours, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
            kernel.mount(theirs, ours, "", kernel.MS_BIND)


def no_overlay(error: OSError) -> HostError:
    return HostError(
        f"this kernel stacks no overlay here: {(error.strerror or str(error)).lower()}",
        hints=(
            "ask an administrator for: apt-get install fuse-overlayfs",
            "or bind a folder for what the program writes: -B FOLDER:TARGET",
        ),
    )
