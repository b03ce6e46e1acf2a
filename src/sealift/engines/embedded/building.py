"""Builds the container's root out of the image, the host's folders and a few files in memory, and moves into it.

/            a tmpfs, the session: the first root that we move to
/host        the host's root, until the end
/image       the image
/overlays/N  the user's overlays
/points      mount points that the image lacks; /memory for what --writable-tmpfs changes
/root        all of it together: the second root, upon which the rest is out of reach
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sealift.engines.embedded import fuselayers, layout, overlays, room, rootfs
from sealift.engines.embedded.identity import Lines, append_line, move_root
from sealift.engines.embedded.image import RootImage
from sealift.engines.embedded.mounting import RESTRICTED, Mounter
from sealift.engines.embedded.namespaces import no_namespaces
from sealift.engines.embedded.paths import find, resolve
from sealift.system import kernel

HOST, IMAGE, OVERLAYS, POINTS, MEMORY, ROOT = "/host", "/image", "/overlays", "/points", "/memory", "/root"
_BASES = ("/tmp", "/var/tmp", "/mnt", "/var", "/run")  # noqa: S108 -- only covered, and for a moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """What a container is made of; all sources of binds are real paths of the host.

    `memory` says that changes are kept in memory, `in_place` that they go to the folder that is the image.
    """

    image: RootImage
    first: tuple[layout.Step, ...]
    files: tuple[layout.Step, ...]
    identity: Lines | None
    after: tuple[layout.Step, ...]
    overlays: tuple[overlays.Overlay, ...] = ()
    memory: bool = False
    in_place: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """The image, ready to be shown, and each overlay that is an image itself, by its number.

    `fuse_overlayfs` is the program's path, where it is needed and there.
    """

    image: rootfs.Source
    overlays: Mapping[int, rootfs.Source]
    fuse_overlayfs: str | None = None


def stack(container: Container, sources: Sources, *, own_namespace: bool) -> Callable[[], list[str]]:
    """Put the root together and move to the session; in the new mount namespace, before any other.

    What it returns furnishes the root, moves there, and says what has to be said of optional mounts.
    """
    mask = os.umask(0o022)  # what is made here is for everybody in the container, whatever the caller's files are
    try:
        base = _enter_session()
        sources.image.show(IMAGE, HOST)
    except OSError as error:
        raise no_namespaces(error) from error
    rootfs.first_look(IMAGE, container.image, sources.image)
    lowers, writable = _show_overlays(container, sources)
    if container.memory:
        writable = _memory()
    shown = (writable.upper, *lowers) if writable is not None else lowers
    steps = (*container.first, *container.files, *_identity_steps(container.identity, shown), *container.after)
    if container.in_place:
        kernel.mount(IMAGE, IMAGE, "", kernel.MS_BIND | kernel.MS_REC)
        with contextlib.suppress(OSError):  # before Linux 5.12; no set-id bit gives rights in any case
            kernel.add_mount_attributes(IMAGE, RESTRICTED)
        root = IMAGE
    else:
        # For what is forgotten the kernel's overlay does, which is quicker.
        kept = any(overlay.kind == "folder" for overlay in container.overlays)
        lasting = isinstance(sources.image, rootfs.Served) and kept and not container.memory
        fuse = fuselayers.Stacker(program=sources.fuse_overlayfs, host=HOST, base=base, preferred=lasting)
        root = _root_for(steps, lowers, writable, own_namespace=own_namespace, fuse=fuse)
    os.umask(mask)

    def furnish() -> list[str]:
        before = os.umask(0o022)
        mounter = Mounter(root=root, host=HOST, session="", make_points=not container.in_place)
        warnings = mounter.carry_out(steps)
        _move_to(root)
        os.umask(before)
        return warnings

    return furnish


def _enter_session() -> str:
    """A tmpfs needs a folder to be mounted on, which it covers until it is the root and the host lies below it."""
    base = next(each for each in _BASES if os.path.isdir(each))
    kernel.mount("tmpfs", base, "tmpfs", kernel.MS_NOSUID | kernel.MS_NODEV, "mode=755")
    for name in (HOST, IMAGE, OVERLAYS, POINTS, MEMORY, ROOT):
        os.mkdir(base + name, 0o755)
    kernel.pivot_root(base, base + HOST)
    os.chdir("/")
    return base


def _show_overlays(container: Container, sources: Sources) -> tuple[tuple[str, ...], room.Writable | None]:
    """Mount the overlays; the layers of the root, the topmost first, and where its changes go."""
    lowers: list[str] = [IMAGE]
    writable = None
    for number, overlay in enumerate(container.overlays):
        place = f"{OVERLAYS}/{number}"
        os.mkdir(place)
        if number in sources.overlays:
            sources.overlays[number].show(place, HOST)
            rootfs.first_look(place, RootImage(path=overlay.path, kind="squashfs"), sources.overlays[number])
        else:
            kernel.mount(HOST + overlay.path, place, "", kernel.MS_BIND | kernel.MS_REC)
        if overlay.writable:
            overlays.make_ready(place, overlay)
            writable = room.Writable(upper=f"{place}/upper", work=f"{place}/work")
        else:
            lowers.insert(0, overlays.lower_of(place) if overlay.kind == "folder" else place)
    return tuple(lowers), writable


def _memory() -> room.Writable:
    for name in ("upper", "work"):
        os.mkdir(f"{MEMORY}/{name}", 0o755)
    return room.Writable(upper=f"{MEMORY}/upper", work=f"{MEMORY}/work")


def _root_for(
    steps: tuple[layout.Step, ...],
    lowers: tuple[str, ...],
    writable: room.Writable | None,
    *,
    own_namespace: bool,
    fuse: fuselayers.Stacker,
) -> str:
    """The folder in which the layout can be carried out: the image itself where it lacks nothing."""
    shown = (writable.upper, *lowers) if writable is not None else lowers
    missing = room.find_missing(shown, steps)
    if not missing and writable is None and len(lowers) == 1:
        kernel.mount(IMAGE, IMAGE, "", kernel.MS_BIND | kernel.MS_REC)
        kernel.mount_read_only(IMAGE)
        return IMAGE
    room.make_points(missing, POINTS, shown)
    # Below the user's overlays, above the image: so it is, and has to be, in the folders that both engines write.
    layers = (*lowers[:-1], POINTS, IMAGE)
    if fuse.preferred and fuse.mount(layers, ROOT, writable):
        return ROOT
    try:
        room.overlay(layers, ROOT, writable=writable, own_namespace=own_namespace)
    except OSError as error:
        if writable is None and len(lowers) == 1:
            room.underlay(IMAGE, ROOT, missing)
        elif not fuse.mount(layers, ROOT, writable):
            raise room.no_overlay(error) from error
    return ROOT


def _identity_steps(lines: Lines | None, layers: Sequence[str]) -> tuple[layout.Step, ...]:
    """The caller's lines behind those of the image's files; an image without them gets none."""
    if lines is None:
        return ()
    files: dict[str, bytes] = {}
    for path, line in (("/etc/passwd", lines.passwd), ("/etc/group", lines.group)):
        place = find(layers, resolve(layers, path))
        if place is not None:
            try:
                with open(place, "rb") as file:
                    content = file.read()
                files[path] = append_line(
                    move_root(content, lines.root_home) if path.endswith("passwd") else content, line
                )
            except OSError:
                continue
    return layout.file_steps(files)


def _move_to(root: str) -> None:
    os.chdir(root)
    # The old root is stacked on the new one and taken away from there, so that no folder is needed for it.
    kernel.pivot_root(".", ".")
    kernel.umount(".", kernel.MNT_DETACH)
    os.chdir("/")
