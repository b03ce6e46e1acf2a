"""What a file that should be a definition file really is, from its first bytes: cheap, and wrong inputs are told so."""

from __future__ import annotations

import re
from typing import Literal

from sealift.deffile.findings import Fault, as_error

What = Literal[
    "definition file",
    "empty",
    "sif",
    "squashfs",
    "elf",
    "tar",
    "compressed",
    "zip",
    "ext",
    "dockerfile",
    "yaml",
    "binary",
]

ENOUGH = 4096
"""Bytes from the file's beginning that are enough to judge."""

_MAGIC: tuple[tuple[int, bytes, What], ...] = (
    (32, b"SIF_MAGIC", "sif"),
    (0, b"hsqs", "squashfs"),
    (0, b"\x7fELF", "elf"),
    (257, b"ustar", "tar"),
    (0, b"\x1f\x8b", "compressed"),
    (0, b"\x28\xb5\x2f\xfd", "compressed"),
    (0, b"\xfd7zXZ\0", "compressed"),
    (0, b"BZh", "compressed"),
    (0, b"PK\x03\x04", "zip"),
    (1080, b"\x53\xef", "ext"),
)
_DOCKERFILE = re.compile(rb"(?im)^[ \t]*(from[ \t]+[^\s:=%]\S*|run[ \t]+\S|copy[ \t]+\S|cmd[ \t]+\[|workdir[ \t]+/)")
_HEADER = re.compile(rb"(?im)^[ \t]*(bootstrap\b|(from|stage|mirrorurl)[ \t]*:)")
_HEADING = re.compile(rb"(?m)^%[a-z]")
_YAML = re.compile(rb"(?m)\A(---|services:|spack:|name:|dependencies:|apiVersion:)")

_SAYS: dict[What, tuple[str, ...]] = {
    "empty": ("is empty", "the shortest definition file: Bootstrap: docker, and on the next line From: ubuntu:24.04"),
    "sif": (
        "is a finished image (SIF), not a definition file",
        "to see what it was built from: sealift inspect --deffile {name}",
        "to build from it: Bootstrap: localimage, From: {name}",
    ),
    "squashfs": ("is a squashfs image, not a definition file", "to build from it: Bootstrap: localimage, From: {name}"),
    "ext": ("is a file system image, not a definition file", "to build from it: Bootstrap: localimage, From: {name}"),
    "elf": ("is a program, not a definition file", "see what it is: file {name}"),
    "tar": ("is a tar archive, not a definition file", "if `docker save` made it: docker-archive:{name}"),
    "compressed": ("is compressed, not a definition file", "unpack it first: file {name}"),
    "zip": ("is a zip archive, not a definition file", "unpack it first: unzip {name}"),
    "dockerfile": (
        "is a Dockerfile, not a definition file",
        "build it with podman or docker and save it: podman save -o image.tar NAME",
        "then: Bootstrap: docker-archive, From: image.tar",
    ),
    "yaml": ("is YAML, not a definition file", "a definition file begins with: Bootstrap: docker"),
    "binary": ("is not text", "see what it is: file {name}"),
}


def sniff(start: bytes) -> What:
    """Judge by the first `ENOUGH` bytes of a file."""
    if not start:
        return "empty"
    for offset, magic, what in _MAGIC:
        if start[offset : offset + len(magic)] == magic:
            return what
    if _HEADER.search(start) or _HEADING.search(start):
        return "definition file"
    if b"\0" in start:
        return "binary"
    if _DOCKERFILE.search(start):
        return "dockerfile"
    if _YAML.search(start):
        return "yaml"
    return "definition file"


def is_definition(start: bytes) -> bool:
    """Has it a header or a section, and is not only a text of any kind?"""
    return bool(_HEADER.search(start) or _HEADING.search(start))


def other_file(start: bytes, *, name: str) -> Fault | None:
    """The fault that the file `name`, which begins with `start`, is clearly something else."""
    what = sniff(start)
    if what == "definition file":
        return None
    says, *hints = _SAYS[what]
    return Fault(
        id="not-a-definition-file",
        message=f"`{name}` {says}",
        apptainer="",
        hints=tuple(hint.format(name=name) for hint in hints),
    )


def refuse_other_files(start: bytes, *, name: str) -> None:
    """DefinitionError where the file `name`, which begins with `start`, is clearly something else."""
    fault = other_file(start, name=name)
    if fault is not None:
        raise as_error((fault,))
