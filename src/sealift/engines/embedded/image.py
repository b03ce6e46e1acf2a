"""What kind of image a path is, where in the file its root file system lies, and whether this machine can run it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Literal

from sealift.core.architecture import ARCHITECTURES, Architecture, find_architecture
from sealift.errors import HostError, ImageError

_ELF_MACHINES = {
    "386": 3, "mips": 8, "mipsle": 8, "ppc64": 21, "ppc64le": 21, "s390x": 22,
    "arm": 40, "amd64": 62, "arm64": 183, "riscv64": 243,
}  # fmt: skip
"""`e_machine` of an ELF header, by OCI's name of the architecture."""

_ALSO_RUNS = {"amd64": ("386",), "arm64": ("arm",), "mips64": ("mips",), "mips64el": ("mipsle",)}
"""What a processor runs besides its own; where it does not, the program says so itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RootImage:
    """`path` is absolute, as the caller wrote it; for a `squashfs`, `offset` is where it begins in the file."""

    path: str
    kind: Literal["squashfs", "folder"]
    offset: int = 0
    architecture: Architecture | None = None


def find_image(path: str, *, cwd: str) -> RootImage:
    """Look at an image on disk. HostError where there is none, ImageError where it is none that can be run."""
    absolute = os.path.normpath(os.path.join(cwd, path))
    try:
        if os.path.isdir(absolute):
            return RootImage(path=absolute, kind="folder")
        with open(absolute, "rb") as file:
            head = file.read(64)
            if head[:4] == b"hsqs":
                return RootImage(path=absolute, kind="squashfs")
            from sealift.sif.reader import is_sif, read_sif

            if is_sif(head):
                sif = read_sif(file)
                offset = sif.root_squashfs.offset
                return RootImage(path=absolute, kind="squashfs", offset=offset, architecture=sif.architecture)
    except FileNotFoundError as error:
        raise ImageError(
            f"there is no image `{path}`",
            hints=(f"build it: sealift build {path} FILE.def", f"or pull one: sealift pull {path} docker://…"),
        ) from error
    except OSError as error:
        raise HostError(f"`{path}` cannot be read: {(error.strerror or str(error)).lower()}") from error
    raise ImageError(
        f"`{path}` is not an image: neither a SIF, nor a squashfs, nor a folder",
        hints=(f"see what it is: file {path}",),
    )


def check_architecture(image: RootImage, *, machine: str, interpreters: str = "/proc/sys/fs/binfmt_misc") -> None:
    """ImageError when neither this processor nor an interpreter registered with the kernel runs the image."""
    wanted, here = image.architecture, find_architecture(machine)
    if wanted is None or here is None or wanted.oci in (here.oci, *_ALSO_RUNS.get(here.oci, ())):
        return
    if wanted.oci in interpreted(interpreters):
        return
    raise ImageError(
        f"`{image.path}` is for {wanted.oci} ({wanted.machine}), this machine is {here.oci} ({here.machine})",
        hints=(
            f"take an image for {here.oci}: sealift build --arch {here.oci} …",
            "or let the kernel interpret it: apt-get install qemu-user-static",
        ),
    )


def interpreted(folder: str) -> frozenset[str]:
    """The architectures for which the kernel has an interpreter (binfmt_misc), by OCI's name."""
    found: set[str] = set()
    try:
        names = os.listdir(folder)
    except OSError:
        return frozenset()
    for name in names:
        if name in ("register", "status"):
            continue
        try:
            with open(os.path.join(folder, name), encoding="ascii", errors="replace") as file:
                lines = file.read().splitlines()
        except OSError:
            continue
        magic = next((line.split()[1] for line in lines if line.startswith("magic ")), "")
        if lines[:1] == ["enabled"] and magic.startswith("7f454c46"):
            found |= {a.oci for a in ARCHITECTURES if a.oci == elf_architecture(bytes.fromhex(magic))}
    return frozenset(found)


def elf_architecture(head: bytes) -> str | None:
    """OCI's name of the architecture of an ELF file that begins with `head` (20 bytes are enough)."""
    if len(head) < 20 or head[:4] != b"\x7fELF":
        return None
    order: Literal["little", "big"] = "big" if head[5] == 2 else "little"
    number = int.from_bytes(head[18:20], order)
    names = [name for name, machine in _ELF_MACHINES.items() if machine == number]
    if len(names) > 1:
        # ppc64 and mips: the byte order tells them apart
        names = [name for name in names if name.endswith("le") == (order == "little")]
    return names[0] if names else None
