"""The reader beside binutils' readelf, and on damaged files."""

from __future__ import annotations

import os
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sealift.elf.reading import Elf, is_elf, read_elf
from sealift.elf.symbols import find_symbol
from sealift.errors import ImageError
from tests.elf import made, readelf

FOLDERS = ("/usr/bin", "/usr/sbin", "/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64")


def bytes_of(data: bytes, offset: int, size: int) -> bytes:
    return data[offset : offset + size]


def read(path: Path | str) -> Elf:
    with open(path, "rb") as file:
        return read_elf(lambda offset, size: os.pread(file.fileno(), size, offset))


def plain(elf: Elf) -> dict[str, object]:
    return {name: value for name, value in asdict(elf).items() if name not in ("dynamic", "segments")}


def real_files() -> list[str]:
    """The programs and libraries of this machine."""
    found = []
    for folder in FOLDERS:
        for entry in sorted(os.scandir(folder), key=lambda each: each.name) if os.path.isdir(folder) else ():
            if entry.is_file(follow_symlinks=False):
                with open(entry.path, "rb") as file:
                    if is_elf(file.read(64)):
                        found.append(entry.path)
    return found


@pytest.mark.slow
@pytest.mark.needs("binutils")
def test_this_machine_s_files_read_as_readelf_reads_them() -> None:
    paths = real_files()[::2]
    assert len(paths) > 100
    assert {path: plain(read(path)) for path in paths} == {
        path: asdict(said) for path, said in zip(paths, readelf.read(paths), strict=True)
    }


@pytest.mark.slow
@pytest.mark.needs("binutils-foreign")
@pytest.mark.parametrize("machine", made.TOOLS)
def test_each_class_and_byte_order_reads_as_readelf_reads_it(machine: str, tmp_path: Path) -> None:
    below, above = made.make(machine, tmp_path)
    found = [plain(read(path)) for path in (below, above)]
    assert found == [asdict(said) for said in readelf.read([str(below), str(above)])]
    lower, upper = read(below), read(above)
    assert lower.versions_defined == ("V_1", "V_2")
    assert {name: sorted(versions) for name, versions in upper.versions_needed.items()} == {
        "libbelow.so.1": ["V_1", "V_2"]
    }
    assert (lower.soname, upper.needed, upper.runpath) == ("libbelow.so.1", ("libbelow.so.1",), "/opt/a:$ORIGIN")


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "this is no ELF file"),
        (b"#!/bin/sh\n" + bytes(60), "this is no ELF file"),
        (b"\x7fELF\x03\x01\x01" + bytes(60), "this is no ELF file"),
        (b"\x7fELF\x02\x01\x01" + bytes(40), "the ELF file is damaged: its header is cut off"),
    ],
)
def test_what_is_none_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(ImageError) as caught:
        read_elf(partial(bytes_of, data))
    assert caught.value.message == says


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    return [
        path.read_bytes() for machine in made.TOOLS for path in made.make(machine, tmp_path_factory.mktemp(machine))
    ]


class Counted:
    """A file that counts what is read of it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.read = 0

    def __call__(self, offset: int, size: int) -> bytes:
        assert offset >= 0
        assert size >= 0
        found = self.data[offset : offset + size]
        self.read += 1 + len(found)
        return found


@pytest.mark.slow
@pytest.mark.needs("binutils-foreign")
@given(
    which=st.integers(0, 2 * len(made.TOOLS) - 1),
    cut=st.integers(0, 1 << 14),
    changes=st.lists(st.tuples(st.integers(0, 1 << 13), st.integers(0, 255), st.integers(1, 8)), max_size=6),
)
@settings(deadline=None, max_examples=2000, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damaged_files_are_refused_or_read_and_cost_little(
    samples: list[bytes], which: int, cut: int, changes: list[tuple[int, int, int]]
) -> None:
    data = bytearray(samples[which])
    for anywhere, byte, length in changes:
        place = anywhere % len(data)
        data[place : place + length] = bytes([byte]) * len(data[place : place + length])
    counted = Counted(bytes(data[: len(data) - cut % 4096 if cut > 1 << 13 else len(data)]))
    try:
        elf = read_elf(counted)
        for name in ("alpha", "beta", "gamma", "nobody"):
            find_symbol(counted, elf, name)
    except ImageError as error:
        assert error.message.startswith(("this is no ELF", "the ELF file is damaged"))  # noqa: PT017 -- else is fine too
    assert counted.read < 64 << 20
