from __future__ import annotations

import os
import re
import struct
import subprocess
from pathlib import Path

import pytest

from sealift.engines.embedded import gpu
from sealift.engines.embedded.layout import Step

DATA = Path(gpu.LISTS)


def cache_of(entries: list[tuple[int, str, str]], *, before: bytes = b"") -> bytes:
    """The text of an ld.so.cache with these entries: flags, name, path."""
    offset = 48 + 24 * len(entries)
    strings = b""
    table = b""
    for flags, name, path in entries:
        places = []
        for text in (name, path):
            places.append(offset + len(strings))
            strings += text.encode() + b"\0"
        table += struct.pack("=i3IQ", flags, *places, 0, 0)
    header = b"glibc-ld.so.cache1.1" + struct.pack("=2IB19x", len(entries), len(strings), 2)
    return before + header + table + strings


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
    cached = gpu.cached_libraries(cache_of(ENTRIES, before=before), "x86_64")
    assert gpu.choose_libraries(("libcuda.so", "libnone.so"), cached) == {
        "libcuda.so.1": "/lib/x86_64-linux-gnu/libcuda.so.1",
        "libcuda.so": "/usr/lib/libcuda.so",
    }
    assert gpu.choose_libraries(("libcuda.so",), gpu.cached_libraries(cache_of(ENTRIES), "aarch64")) == {
        "libcuda.so.1": "/lib/aarch64-linux-gnu/libcuda.so.1"
    }


@pytest.mark.parametrize("cache", [b"", b"text", cache_of(ENTRIES)[:60], b"glibc-ld.so.cache1.1" + b"\xff" * 28])
def test_a_cache_that_is_none(cache: bytes) -> None:
    assert gpu.cached_libraries(cache, "x86_64") == []


@pytest.mark.needs("ldconfig")
def test_the_same_as_ldconfig_prints() -> None:
    said = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
    marks = {"x86_64": "libc6,x86-64", "aarch64": "libc6,AArch64"}
    mark = marks.get(os.uname().machine)
    if mark is None:
        pytest.skip(f"ldconfig's word for {os.uname().machine} is not known here")
    expected = re.findall(rf"^\t(\S+) \({re.escape(mark)}[^)]*\) => (\S+)$", said, flags=re.MULTILINE)
    assert expected
    assert gpu.cached_libraries(Path(gpu.CACHE).read_bytes(), os.uname().machine) == expected


@pytest.mark.parametrize("kind", ["nvidia", "amd"])
def test_lists(kind: str) -> None:
    text = (DATA / f"{kind}.txt").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    driver = gpu.read_list(text)
    read = [*driver.libraries, *driver.programs, *driver.files, *driver.devices]
    assert sorted(read) == sorted(line.split(None, 1)[1] for line in lines)
    assert len(set(read)) == len(read)


def test_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "nvidia-smi").touch(mode=0o755)
    (tmp_path / "cache").write_bytes(cache_of(ENTRIES))
    monkeypatch.setattr(gpu, "CACHE", str(tmp_path / "cache"))
    steps, warnings = gpu.driver_steps("nvidia", contain=False, path=f"/nowhere:{tmp_path}", machine="x86_64")
    assert warnings == ()

    def bound(source: str, target: str) -> Step:
        return Step(kind="bind", target=target, source=source, folder=False, read_only=True, optional=True)

    assert steps[:3] == (
        bound("/usr/lib/libcuda.so", "/.singularity.d/libs/libcuda.so"),
        bound("/lib/x86_64-linux-gnu/libcuda.so.1", "/.singularity.d/libs/libcuda.so.1"),
        bound(f"{tmp_path}/nvidia-smi", "/usr/bin/nvidia-smi"),
    )


def test_no_driver(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "CACHE", str(tmp_path / "none"))
    for kind, flag in (("nvidia", "--nv"), ("amd", "--rocm")):
        _, warnings = gpu.driver_steps(kind, contain=True, path="/nowhere", machine="x86_64")
        assert warnings == (f"`{flag}`: this host has no libraries of such a driver in {tmp_path}/none",)
