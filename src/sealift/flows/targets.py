"""The forms in which an image can be written, as people name them: `x.sif`, `x.sqfs`, `-s DIR`, `oci:DIR:TAG` …

NAME.sqfs NAME.squashfs NAME.sqsh   a bare squashfs
-s DIR                              a directory
oci:DIR[:TAG]                       an OCI image layout in a folder
oci-archive:FILE[:TAG]              the same in a tar file
docker-archive:FILE[:NAME[:TAG]]    a tar file for `docker load`
all else                            a SIF, whatever its name
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Literal

from sealift.core.reference import parse_reference
from sealift.errors import HostError, UsageError
from sealift.flows.layouts import check_layout, check_tag

Form = Literal["sif", "squashfs", "directory", "oci", "oci-archive", "docker-archive"]

SQUASHFS_SUFFIXES = (".sqfs", ".squashfs", ".sqsh")
_LAYERED: dict[str, Form] = {"oci": "oci", "oci-archive": "oci-archive", "docker-archive": "docker-archive"}
LAYERED = tuple(f"{scheme}:" for scheme in _LAYERED)
"""How targets begin that are made of layers."""
SOURCES_ONLY = ("docker", "docker-daemon", "oras", "library", "shub", "http", "https")
OURS = "/.singularity.d"
"""What every image of ours and of Apptainer's has, and few other folders."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where an image goes. `text` is as typed, `path` without a scheme and a tag.

    `tag` is for OCI's forms alone; of a docker-archive it is a name with its tag.
    """

    text: str
    kind: Form
    path: str
    tag: str = ""

    @property
    def is_layered(self) -> bool:
        """Whether it is an OCI image, made of layers."""
        return self.kind in _LAYERED

    @property
    def place(self) -> str:
        """Where it will lie. Symbolic links are followed: an image behind a link to a larger disk stays there."""
        return os.path.realpath(self.path)


def parse_target(text: str, *, sandbox: bool = False) -> Target:
    """Read a target as typed; UsageError where nothing can be written under such a name."""
    if not text:
        raise UsageError("the image has no name", hints=("sealift build IMAGE.sif SPEC",))
    scheme, colon, rest = text.partition(":")
    if colon and scheme in _LAYERED:
        if sandbox:
            raise UsageError(
                f"`--sandbox` writes a directory, and `{text}` is none",
                hints=(f"leave out one of the two: sealift build --sandbox {rest.partition(':')[0] or 'DIR'} SPEC",),
            )
        path, _, tag = rest.removeprefix("//").partition(":")
        if not path:
            raise UsageError(f"`{text}` names no path", hints=(f"write for instance {scheme}:image:latest",))
        if scheme == "docker-archive":
            tag = parse_reference(tag).familiar if tag else ""
        else:
            check_tag(text, tag)
        return Target(text=text, kind=_LAYERED[scheme], path=path, tag=tag)
    if colon and (scheme in SOURCES_ONLY or re.match(r"[A-Za-z][A-Za-z0-9+-]*://", text)):
        raise UsageError(
            f"`{text}` is nothing that an image can be written to",
            hints=(
                f"the image comes first: sealift build IMAGE.sif {text}",
                "forms that can be written: x.sif, x.sqfs, --sandbox DIR, oci:DIR:TAG, oci-archive:FILE:TAG, …",
            ),
        )
    if sandbox:
        return Target(text=text, kind="directory", path=text)
    if text.endswith(SQUASHFS_SUFFIXES):
        return Target(text=text, kind="squashfs", path=text)
    return Target(text=text, kind="sif", path=text)


def check_target(target: Target, *, force: bool, update: bool = False, spec: str = "", home: str = "/") -> None:
    """Refuse what could not be written at the end, before any work is done.

    A directory that is replaced takes all that is in it along: never `home`, and nothing that the build reads.
    """
    if update:
        _check_update(target)
    match target.kind:
        case "sif" | "squashfs" | "oci-archive" | "docker-archive":
            _check_file(target, force=force)
        case "directory":
            _check_directory(target, force=force or update, spec=spec, home=home)
        case "oci":
            check_layout(target.place, target.tag, text=target.text, force=force)
            _check_folder_of(target)


def _check_file(target: Target, *, force: bool) -> None:
    place, text = target.place, target.path
    if os.path.isdir(place):
        hints: tuple[str, ...] = (f"name the file: {text.rstrip('/')}/image.sif",)
        if _is_image(place):
            hints = (f"a directory as the image: sealift build --sandbox {text} SPEC", *hints)
        raise UsageError(f"`{text}` is a folder", hints=hints)
    if text.endswith("/"):
        raise UsageError(
            f"`{text}` ends in a slash, as the name of a folder does",
            hints=(f"a file: {text.rstrip('/')}.sif", f"a directory: sealift build --sandbox {text} SPEC"),
        )
    if os.path.lexists(place) and not os.path.isfile(place):
        raise UsageError(f"`{text}` is not a regular file", hints=("give the image another name",))
    if os.path.lexists(text) and not force:
        raise UsageError(f"`{text}` exists", hints=("replace it: add -F",))
    _check_folder_of(target)


def _check_directory(target: Target, *, force: bool, spec: str, home: str) -> None:
    place, text = target.place, target.path
    if os.path.lexists(place):
        if not os.path.isdir(place):
            raise UsageError(
                f"`{text}` is a file, and `--sandbox` writes a directory", hints=("give the directory another name",)
            )
        if os.listdir(place):
            if not _is_image(place) or lies_in(home, place):
                raise UsageError(
                    f"`{text}` is a folder that holds no image, and is not replaced",
                    hints=(f"name a folder that is not there yet: {text.rstrip('/')}/image",),
                )
            if not force:
                raise UsageError(f"`{text}` exists", hints=("replace it: add -F",))
            if lies_in(spec, place) and os.path.realpath(spec) != place:
                raise UsageError(
                    f"`{spec}` lies in `{text}`, whose place the new directory takes",
                    hints=(f"move it out first: mv {spec} .",),
                )
        if os.path.ismount(place):
            raise UsageError(
                f"`{text}` is a mount point, which no new directory can take the place of",
                hints=(f"name a folder in it: {text.rstrip('/')}/image",),
            )
    _check_folder_of(target)


def lies_in(path: str, folder: str) -> bool:
    """Whether `path` is the folder or something below it, symbolic links followed; "" lies nowhere."""
    if not path:
        return False
    real, top = os.path.realpath(path), os.path.realpath(folder)
    return os.path.commonpath([real, top]) == top


def _check_update(target: Target) -> None:
    if target.kind != "directory":
        raise UsageError(
            f"`--update` changes a directory, and `{target.text}` is to be none",
            hints=(f"sealift build --update --sandbox {target.path} SPEC",),
        )
    if not os.path.isdir(target.place):
        what = "is no directory" if os.path.lexists(target.place) else "is not there"
        raise UsageError(
            f"`{target.text}` {what}, so that there is nothing to update",
            hints=(f"make it first: sealift build --sandbox {target.path} SPEC",),
        )


def _is_image(folder: str) -> bool:
    return os.path.isdir(folder + OURS)


def _check_folder_of(target: Target) -> None:
    folder = os.path.dirname(target.place)
    if not os.path.isdir(folder):
        raise HostError(f"there is no folder `{folder}` to write to", hints=(f"mkdir -p {folder}",))
    if not os.access(folder, os.W_OK | os.X_OK):
        raise HostError(f"`{folder}` cannot be written", hints=("choose another place for the image",))
