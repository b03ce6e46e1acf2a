"""Builds the container's root out of the image, the host's folders and a few files in memory, and moves into it.

/            a tmpfs, the session: the first root that we move to
/host        the host's root, until the end
/image       the image
/points      mount points that the image lacks; /upper and /work with --writable-tmpfs
/root        all of it together: the second root, upon which the rest is out of reach
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from sealift.engines.embedded import layout, room, rootfs
from sealift.engines.embedded.identity import Lines, append_line
from sealift.engines.embedded.image import RootImage
from sealift.engines.embedded.mounting import Mounter
from sealift.engines.embedded.namespaces import no_namespaces
from sealift.engines.embedded.paths import inside
from sealift.system import kernel

HOST, IMAGE, POINTS, ROOT = "/host", "/image", "/points", "/root"
_BASES = ("/tmp", "/var/tmp", "/mnt", "/var", "/run")  # noqa: S108 -- only covered, and for a moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """What a container is made of; all sources of binds are real paths of the host."""

    image: RootImage
    first: tuple[layout.Step, ...]
    files: tuple[layout.Step, ...]
    identity: Lines | None
    after: tuple[layout.Step, ...]
    writable: bool


def build(container: Container, source: rootfs.Source, *, own_namespace: bool) -> list[str]:
    """Make the root and move there; returns what has to be said of optional mounts. In the new mount namespace."""
    mask = os.umask(0o022)  # what is made here is for everybody in the container, whatever the caller's files are
    try:
        _enter_session()
        source.show(IMAGE, HOST)
    except OSError as error:
        raise no_namespaces(error) from error
    rootfs.first_look(IMAGE, container.image, source)
    steps = (*container.first, *container.files, *_identity_steps(container.identity), *container.after)
    root = _root_for(steps, writable=container.writable, own_namespace=own_namespace)
    warnings = Mounter(root=root, host=HOST, session="").carry_out(steps)
    _move_to(root)
    os.umask(mask)
    return warnings


def _enter_session() -> None:
    """A tmpfs needs a folder to be mounted on, which it covers until it is the root and the host lies below it."""
    base = next(each for each in _BASES if os.path.isdir(each))
    kernel.mount("tmpfs", base, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=755")
    for name in (HOST, IMAGE, POINTS, ROOT):
        os.mkdir(base + name, 0o755)
    kernel.pivot_root(base, base + HOST)
    os.chdir("/")


def _root_for(steps: tuple[layout.Step, ...], *, writable: bool, own_namespace: bool) -> str:
    """The folder in which the layout can be carried out: the image itself where it lacks nothing."""
    missing = room.find_missing(IMAGE, steps)
    if not missing and not writable:
        kernel.mount(IMAGE, IMAGE, "", kernel.MS_BIND | kernel.MS_REC)
        kernel.mount_read_only(IMAGE)
        return IMAGE
    room.make_points(missing, POINTS, IMAGE)
    try:
        room.overlay("", IMAGE, ROOT, writable=writable, own_namespace=own_namespace)
    except OSError as error:
        if writable:
            raise room.no_writable_overlay(error) from error
        room.underlay(IMAGE, ROOT, missing)
    return ROOT


def _identity_steps(lines: Lines | None) -> tuple[layout.Step, ...]:
    """The caller's lines behind those of the image's files; an image without them gets none."""
    if lines is None:
        return ()
    files: dict[str, bytes] = {}
    for path, line in (("/etc/passwd", lines.passwd), ("/etc/group", lines.group)):
        try:
            with open(inside(IMAGE, path), "rb") as file:
                files[path] = append_line(file.read(), line)
        except OSError:
            continue
    return layout.file_steps(files)


def _move_to(root: str) -> None:
    os.chdir(root)
    # The old root is stacked on the new one and taken away from there, so that no folder is needed for it.
    kernel.pivot_root(".", ".")
    kernel.umount(".", kernel.MNT_DETACH)
    os.chdir("/")
