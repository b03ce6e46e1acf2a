from __future__ import annotations

import os
import struct
from pathlib import Path

import pytest

from sealift.core.architecture import find_architecture
from sealift.engines.embedded.image import RootImage, check_architecture, elf_architecture, find_image, interpreted
from sealift.errors import HostError, ImageError, SealiftError


def elf(machine: int, *, big: bool = False) -> bytes:
    return b"\x7fELF\x02" + (b"\x02" if big else b"\x01") + bytes(12) + struct.pack(">H" if big else "<H", machine)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (elf(62), "amd64"), (elf(183), "arm64"), (elf(3), "386"), (elf(243), "riscv64"), (elf(40), "arm"),
        (elf(21), "ppc64le"), (elf(21, big=True), "ppc64"), (elf(22, big=True), "s390x"),
        (elf(8), "mipsle"), (elf(8, big=True), "mips"), (elf(9999), None),
        (b"#!/bin/sh\n" * 3, None), (b"\x7fELF", None),
    ],
)  # fmt: skip
def test_elf_architecture(head: bytes, expected: str | None) -> None:
    assert elf_architecture(head) == expected


def register(folder: Path, name: str, head: bytes, *, enabled: bool = True) -> None:
    state = "enabled" if enabled else "disabled"
    (folder / name).write_text(
        f"{state}\ninterpreter /usr/bin/{name}\nflags: OCF\noffset 0\nmagic {head.hex()}\nmask ff\n"
    )


def test_interpreters_of_the_kernel(tmp_path: Path) -> None:
    register(tmp_path, "qemu-aarch64", elf(183))
    register(tmp_path, "qemu-s390x", elf(22, big=True), enabled=False)
    register(tmp_path, "python", b"\x61\x0d\x0d\x0a")
    (tmp_path / "status").write_text("enabled\n")
    assert interpreted(str(tmp_path)) == {"arm64"}
    assert interpreted(str(tmp_path / "none")) == frozenset()


@pytest.mark.parametrize(
    ("image", "machine", "message"),
    [
        ("amd64", "x86_64", None),
        ("386", "x86_64", None),
        ("arm64", "x86_64", None),
        (None, "x86_64", None),
        ("s390x", "x86_64", "`/i.sif` is for s390x (s390x), this machine is amd64 (x86_64)"),
        ("amd64", "aarch64", "`/i.sif` is for amd64 (x86_64), this machine is arm64 (aarch64)"),
        ("amd64", "unheard-of", None),
    ],
)
def test_other_processors(tmp_path: Path, image: str | None, machine: str, message: str | None) -> None:
    register(tmp_path, "qemu-aarch64", elf(183))
    architecture = find_architecture(image) if image else None
    root = RootImage(path="/i.sif", kind="squashfs", architecture=architecture)
    if message is None:
        check_architecture(root, machine=machine, interpreters=str(tmp_path))
    else:
        with pytest.raises(ImageError) as caught:
            check_architecture(root, machine=machine, interpreters=str(tmp_path))
        assert caught.value.message == message
        assert caught.value.hints


@pytest.mark.needs("mksquashfs")
def test_forms(squashfs: Path, sif: Path, tree: Path) -> None:
    here = str(squashfs.parent)
    assert find_image(str(squashfs), cwd="/") == RootImage(path=str(squashfs), kind="squashfs")
    assert find_image("tree", cwd=here) == RootImage(path=str(tree), kind="folder")
    found = find_image("./tree.sif", cwd=here)
    assert (found.path, found.kind, found.architecture) == (
        str(sif),
        "squashfs",
        find_architecture(os.uname().machine),
    )
    assert sif.read_bytes()[found.offset :][:4] == b"hsqs"


@pytest.mark.parametrize(
    ("name", "content", "kind", "message"),
    [
        ("none.sif", None, ImageError, "there is no image `none.sif`"),
        ("text.sif", b"hello", ImageError, "`text.sif` is not an image: neither a SIF, nor a squashfs, nor a folder"),
        ("empty.sif", b"", ImageError, "`empty.sif` is not an image: neither a SIF, nor a squashfs, nor a folder"),
    ],
)
def test_what_is_no_image(
    tmp_path: Path, name: str, content: bytes | None, kind: type[SealiftError], message: str
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(kind) as caught:
        find_image(name, cwd=str(tmp_path))
    assert caught.value.message == message
    assert caught.value.hints


@pytest.mark.needs("mksquashfs")
@pytest.mark.parametrize("length", [60, 128, 5000, 40000, -1])
def test_a_truncated_sif(sif: Path, tmp_path: Path, length: int) -> None:
    (tmp_path / "cut.sif").write_bytes(sif.read_bytes()[:length])
    with pytest.raises(ImageError, match="cut off"):
        find_image("cut.sif", cwd=str(tmp_path))


def test_a_path_through_a_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"")
    with pytest.raises(HostError, match="cannot be read: not a directory"):
        find_image("f/x.sif", cwd=str(tmp_path))
