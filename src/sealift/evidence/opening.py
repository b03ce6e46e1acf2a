"""Opens an image of any form for reading: SIF, bare squashfs, directory."""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from sealift.deffile.sniff import ENOUGH, is_definition, sniff
from sealift.errors import ImageError
from sealift.sections.root import DirectoryRoot
from sealift.sections.squashfsroot import SquashfsRoot
from sealift.sif.reader import SifImage, is_sif, read_sif
from sealift.squashfs.reader import SquashfsReader

Form = Literal["sif", "squashfs", "directory"]
SQUASHFS_MAGIC = b"hsqs"
EXT_MAGIC = b"\x53\xef"
EXT_MAGIC_AT = 1080
"""In the superblock of ext2, ext3 and ext4, which begins at byte 1024."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenImage:
    """An image that is open for reading; `root` shows its files and never leads out of it."""

    path: str
    form: Form
    root: DirectoryRoot | SquashfsRoot
    sif: SifImage | None = None
    squashfs: SquashfsReader | None = None


@contextmanager
def open_image(path: str) -> Iterator[OpenImage]:
    """Open an image; ImageError when it is none, or damaged."""
    if os.path.isdir(path):
        yield OpenImage(path=path, form="directory", root=DirectoryRoot(path=path))
        return
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as error:
        hint = f"build it: sealift build {shlex.quote(path)} FILE.def"
        if path.startswith("~"):
            hint = "`~` is expanded by shells alone: write the whole path"
        raise ImageError(f"there is no image `{path}`", hints=(hint,)) from error
    except OSError as error:
        raise ImageError(f"`{path}` cannot be read: {(error.strerror or '').lower()}") from error
    try:
        start = os.pread(descriptor, 64, 0)
        if is_sif(start):
            sif = read_sif(descriptor)
            squashfs = SquashfsReader(descriptor, sif.root_squashfs.offset)
            yield OpenImage(path=path, form="sif", root=SquashfsRoot(squashfs=squashfs), sif=sif, squashfs=squashfs)
        elif start.startswith(SQUASHFS_MAGIC):
            squashfs = SquashfsReader(descriptor, 0)
            yield OpenImage(path=path, form="squashfs", root=SquashfsRoot(squashfs=squashfs), squashfs=squashfs)
        elif os.pread(descriptor, 2, EXT_MAGIC_AT) == EXT_MAGIC:
            raise ImageError(
                f"`{path}` is an ext3 image, which Sealift does not read",
                hints=(f"convert it with Apptainer: apptainer build NEW.sif {shlex.quote(path)}",),
            )
        else:
            raise _no_image(path, os.pread(descriptor, ENOUGH, 0))
    finally:
        os.close(descriptor)


def _no_image(path: str, start: bytes) -> ImageError:
    """What the file is, where that can be told, and what is to be done with it."""
    name = shlex.quote(path)
    what = sniff(start)
    if what == "definition file" and is_definition(start):
        target = shlex.quote(f"{os.path.splitext(path)[0]}.sif")
        build = f"build it: sealift build {target} {name}"
        return ImageError(f"`{path}` is a definition file, not an image", hints=(build,))
    if what == "dockerfile":
        return ImageError(f"`{path}` is a Dockerfile, not an image", hints=("build it with podman or docker first",))
    if what == "tar":
        hints = (f"of `docker save`: docker-archive:{name}", f"of an OCI layout: oci-archive:{name}")
        return ImageError(f"`{path}` is a tar archive: say of which kind", hints=hints)
    return ImageError(f"`{path}` is no image: neither a SIF nor a squashfs", hints=(f"see: file {name}",))
