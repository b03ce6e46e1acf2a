from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from sealift.engines import driver
from sealift.engines.driver import Driver
from tests.ground.driver import FOLDER, VERSION, cache_of, make_driver

DATA = Path(driver.LISTS)
ENTRIES = [
    (0x0303, "libcuda.so.1", "/lib/x86_64-linux-gnu/libcuda.so.1"),
    (0x0003, "libcuda.so.1", "/lib32/libcuda.so.1"),
    (0x0A03, "libcuda.so.1", "/lib/aarch64-linux-gnu/libcuda.so.1"),
    (0x0303, "libcuda.so", "/usr/lib/libcuda.so"),
    (0x0303, "libcuda.so.1", "/second/libcuda.so.1"),
    (0x0303, "libc.so.6", "/lib/x86_64-linux-gnu/libc.so.6"),
]


@pytest.mark.parametrize("before", [b"", b"ld.so-1.7.0\0" + bytes(36)])
def test_the_libraries_of_this_processor(before: bytes) -> None:
    cached = driver.cached_libraries(cache_of(ENTRIES, before=before), "x86_64")
    assert driver.choose_libraries(("libcuda.so", "libnone.so"), cached) == {
        "libcuda.so.1": "/lib/x86_64-linux-gnu/libcuda.so.1",
        "libcuda.so": "/usr/lib/libcuda.so",
    }
    assert driver.choose_libraries(("libcuda.so",), driver.cached_libraries(cache_of(ENTRIES), "aarch64")) == {
        "libcuda.so.1": "/lib/aarch64-linux-gnu/libcuda.so.1"
    }


@pytest.mark.parametrize("cache", [b"", b"text", cache_of(ENTRIES)[:60], b"glibc-ld.so.cache1.1" + b"\xff" * 28])
def test_a_cache_that_is_none(cache: bytes) -> None:
    assert driver.cached_libraries(cache, "x86_64") == []


@pytest.mark.needs("ldconfig")
def test_the_same_as_ldconfig_prints() -> None:
    said = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    marks = {"x86_64": "libc6,x86-64", "aarch64": "libc6,AArch64"}
    mark = marks.get(os.uname().machine)
    if mark is None:
        pytest.skip(f"ldconfig's word for {os.uname().machine} is not known here")
    expected = re.findall(rf"^\t(\S+) \({re.escape(mark)}[^)]*\) => (\S+)$", said, flags=re.MULTILINE)
    assert expected
    assert driver.cached_libraries(Path(driver.CACHE).read_bytes(), os.uname().machine) == expected


@pytest.mark.parametrize("kind", ["nvidia", "amd"])
def test_lists(kind: str) -> None:
    text = (DATA / f"{kind}.txt").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    found = driver.read_list(text)
    read = [*found.libraries, *found.own, *found.programs, *found.files, *found.devices]
    assert sorted(read) == sorted(line.split(None, 1)[1] for line in lines)
    assert len(set(lines)) == len(lines)
    # What must be the driver's own is bound at all.
    assert all(own.startswith(found.libraries) for own in found.own)


@pytest.mark.slow
@pytest.mark.needs("ldconfig", "binutils")
def test_a_driver_is_found(tmp_path: Path) -> None:
    root = make_driver(tmp_path)
    found = driver.find_driver("nvidia", path=f"/nowhere:{root}/bin", machine=os.uname().machine, root=str(root))
    folder = f"{root}/{FOLDER}"
    own = (
        "libGLX_nvidia.so.0",
        "libcuda.so.1",
        "libnvidia-ml.so.1",
        "libnvidia-new.so.3",
        "libnvidia-ptxjitcompiler.so.1",
    )
    assert found == Driver(
        kind="nvidia",
        version=VERSION,
        libraries={name: f"{folder}/{name}" for name in (*own, "libGLX_installertest.so.0", "libOpenCL.so.1")},
        own=frozenset(own),
        programs={"nvidia-smi": f"{root}/bin/nvidia-smi"},
        files=(),
        devices=("/dev/nvidia-uvm", "/dev/nvidia0", "/dev/nvidia1", "/dev/nvidiactl"),
    )
    (root / "etc/ld.so.cache").unlink()
    unlisted = driver.find_driver(
        "nvidia", path="/nowhere", machine="x86_64", root=str(root), library_path=f"/x:/{FOLDER}"
    )
    assert (unlisted.libraries, unlisted.unlisted, unlisted.version) == ({}, f"/{FOLDER}", VERSION)


def test_a_host_without_a_driver(tmp_path: Path) -> None:
    kinds: tuple[driver.Kind, ...] = ("nvidia", "amd")
    for kind in kinds:
        found = driver.find_driver(kind, path="/nowhere", machine="x86_64", root=str(tmp_path))
        assert found == Driver(
            kind=kind,
            version="",
            libraries={},
            own=frozenset(),
            programs={},
            files=(),
            devices=(),
        )


def test_inside_of_a_container_the_outer_ones_count_first(tmp_path: Path) -> None:
    for name in ("libcuda.so.1", "libother.so.1"):
        (tmp_path / ".singularity.d/libs").mkdir(parents=True, exist_ok=True)
        (tmp_path / ".singularity.d/libs" / name).touch()
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/ld.so.cache").write_bytes(
        cache_of(
            [(0x0303, "libcuda.so.1", "/lib/libcuda.so.1"), (0x0303, "libnvidia-ml.so.1", "/lib/libnvidia-ml.so.1")]
        )
    )
    found = driver.find_driver("nvidia", path="/nowhere", machine="x86_64", root=str(tmp_path))
    assert found.libraries == {
        "libcuda.so.1": f"{tmp_path}/.singularity.d/libs/libcuda.so.1",
        "libnvidia-ml.so.1": f"{tmp_path}/lib/libnvidia-ml.so.1",
    }
