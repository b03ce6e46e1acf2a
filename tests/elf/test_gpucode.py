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
    assert read(data) == GpuCode(
        code=(*older, "sm_75", "sm_80", "sm_86", "sm_89", "sm_90"), ptx=("compute_90",), cuda="12.5"
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Two containers with filling between them, as a linker leaves it."""
    one, two = gpu.fatbin([80, 90], [90]), gpu.fatbin([75, 120])
    return gpu.library(tmp_path_factory.mktemp("made"), "libx.so", {".nv_fatbin": one + bytes(24) + two})


def test_containers_of_a_section(made: bytes) -> None:
    assert read(made) == GpuCode(code=("sm_75", "sm_80", "sm_90", "sm_120"), ptx=("compute_90",))


@pytest.mark.parametrize(("version", "cuda"), [((7, 8), "11.8"), ((8, 4), "12.4"), ((8, 8), "12.9"), ((9, 0), "13.0")])
def test_the_version_of_ptx_is_that_of_a_compiler(tmp_path: Path, version: tuple[int, int], cuda: str) -> None:
    data = gpu.library(tmp_path, "libx.so", {".nv_fatbin": gpu.fatbin([80], [90], version=version)})
    assert read(data) == GpuCode(code=("sm_80",), ptx=("compute_90",), cuda=cuda)


def test_machine_code_has_its_compiler_s_name(tmp_path: Path) -> None:
    """An ELF file with the note that `nvcc` 12.8 and later leave in it, in a container of one part."""
    note = b"\x7fELF\2\1\1" + bytes(57) + b"ptxas\0Cuda compilation tools, release 12.9, V12.9.86\0"
    part = gpu.fatbin([80])[16:80]
    section = b"\x50\xed\x55\xba\1\0\x10\0" + (64 + len(note)).to_bytes(8, "little")
    section += part[:8] + len(note).to_bytes(8, "little") + part[16:] + note
    assert read(gpu.library(tmp_path, "libx.so", {".nv_fatbin": section})) == GpuCode(code=("sm_80",), cuda="12.9")


def test_objects_that_are_still_to_be_linked_run_nowhere(made: bytes) -> None:
    assert read(made[:16] + b"\1\0" + made[18:]) is None


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
