"""Code for GPUs in ELF files: NVIDIA's own library, made-up ones, and damage."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealift.elf.gpucode import GpuCode, read_gpu_code
from tests import parts
from tests.ground import gpu


def read(data: bytes) -> GpuCode | None:
    return read_gpu_code(lambda offset, size: data[offset : offset + size])


@pytest.mark.slow
@pytest.mark.needs("nvjpeg")
def test_nvidia_s_own_library() -> None:
    """What `cuobjdump --list-elf --list-ptx` tells of it, and what its architectures are by NVIDIA's notes."""
    data = gpu.nvjpeg(parts.cache_folder()).read_bytes()
    older = ("sm_50", "sm_52", "sm_60", "sm_61", "sm_70")
    assert read(data) == GpuCode(code=(*older, "sm_75", "sm_80", "sm_86", "sm_89", "sm_90"), ptx=("compute_90",))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Two containers with filling between them, as a linker leaves it."""
    one, two = gpu.fatbin([80, 90], [90]), gpu.fatbin([75, 120])
    return gpu.library(tmp_path_factory.mktemp("made"), "libx.so", {".nv_fatbin": one + bytes(24) + two})


def test_containers_of_a_section(made: bytes) -> None:
    assert read(made) == GpuCode(code=("sm_75", "sm_80", "sm_90", "sm_120"), ptx=("compute_90",))


def test_amd_s_bundle(tmp_path: Path) -> None:
    data = gpu.library(tmp_path, "libx.so", {".hip_fatbin": gpu.bundle(["gfx90a", "gfx942"])})
    assert read(data) == GpuCode(code=("gfx90a", "gfx942"))


@pytest.mark.parametrize("section", [b"", b"nonsense" * 10, bytes(200), gpu.fatbin([80])[:10]])
def test_a_section_that_is_no_container(tmp_path: Path, section: bytes) -> None:
    assert read(gpu.library(tmp_path, "libx.so", {".nv_fatbin": section or b"\1"})) is None


def test_damage_ends_the_reading(made: bytes) -> None:
    """Cut anywhere, with any byte of the headers changed: never an error, never without end."""
    for length in range(0, len(made), 97):
        read(made[:length])
    start = made.index(b"\x50\xed\x55\xba")
    for at in (*range(64), *range(start, start + 200)):
        damaged = bytearray(made)
        damaged[at] ^= 0xFF
        read(bytes(damaged))
    assert read(b"") is None
    assert read(b"\x7fELF" + bytes(100)) is None
