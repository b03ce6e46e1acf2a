from __future__ import annotations

import io
import tarfile

import pytest

from sealift.deffile.sniff import refuse_other_files, sniff
from sealift.errors import DefinitionError


def a_tar() -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("x"))
    return target.getvalue()


SIF = b"#!/usr/bin/env run-singularity\n\0" + b"SIF_MAGIC\0"


@pytest.mark.parametrize(
    ("start", "what"),
    [
        (b"", "empty"),
        (SIF.ljust(4096, b"\0"), "sif"),
        (b"hsqs\0\0", "squashfs"),
        (b"\x7fELF\2\1", "elf"),
        (a_tar(), "tar"),
        (b"\x1f\x8b\x08", "compressed"),
        (b"\x28\xb5\x2f\xfd", "compressed"),
        (b"PK\x03\x04", "zip"),
        (b"\0" * 1080 + b"\x53\xef", "ext"),
        (b"\0\1\2", "binary"),
        (b"# syntax=docker/dockerfile:1\nFROM ubuntu:24.04\nRUN true\n", "dockerfile"),
        (b"ARG A=1\nfrom ubuntu as x\n", "dockerfile"),
        (b"---\nspack:\n  specs: []\n", "yaml"),
        (b"Bootstrap: docker\nFrom: x\n%post\nCOPY a b\n", "definition file"),
        (b"\xef\xbb\xbfBootstrap: docker\nFrom: x\n", "definition file"),
        (b"%post\n\0true\n", "definition file"),
        (b"# only a comment\n", "definition file"),
        (b"Bootstrap docker\nFrom ubuntu\n", "definition file"),
        (b"just some words\n", "definition file"),
    ],
)
def test_what_a_file_is(start: bytes, what: str) -> None:
    assert sniff(start) == what


@pytest.mark.parametrize(
    ("start", "message", "hints"),
    [
        (
            SIF,
            "`a.sif` is a finished image (SIF), not a definition file",
            (
                "to see what it was built from: sealift inspect --deffile a.sif",
                "to build from it: Bootstrap: localimage, From: a.sif",
            ),
        ),
        (
            b"\x7fELF",
            "`a.sif` is a program, not a definition file",
            ("see what it is: file a.sif",),
        ),
        (
            b"FROM scratch\n",
            "`a.sif` is a Dockerfile, not a definition file",
            (
                "build it with podman or docker and save it: podman save -o image.tar NAME",
                "then: Bootstrap: docker-archive, From: image.tar",
            ),
        ),
    ],
)
def test_what_the_user_is_told(start: bytes, message: str, hints: tuple[str, ...]) -> None:
    with pytest.raises(DefinitionError) as caught:
        refuse_other_files(start, name="a.sif")
    assert (caught.value.message, caught.value.hints) == (message, hints)


def test_a_definition_file_passes() -> None:
    refuse_other_files(b"Bootstrap: docker\n", name="x.def")
