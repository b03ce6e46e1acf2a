"""The libraries that stand for a GPU's driver in an exercise: each answers as its source does, on both processors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sealift.elf.reading import Elf, read_elf
from sealift.elf.symbols import find_symbol
from tests.docs.blocks import ROOT

MADE_UP = ROOT / "exercises" / "ex02-gpu-in-container" / "made-up"
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
HERE = MADE_UP / os.uname().machine
NAMES = ("cuInit", "cuDeviceGetCount", "cuDriverGetVersion", "cuGetProcAddress", "cuGetProcAddress_v2")

ASK = """\
import ctypes, json, sys
library = ctypes.CDLL(sys.argv[1])
number, place = ctypes.c_int(-1), ctypes.c_void_p()
answers = {"cuInit": library.cuInit(0)}
for name in ("cuDriverGetVersion", "cuDeviceGetCount"):
    answers[name] = [getattr(library, name)(ctypes.byref(number)), number.value]
for name in ("cuInit", "cuDeviceGetCount", "cuDriverGetVersion", "cuGetProcAddress", "cuMemAlloc"):
    code = library.cuGetProcAddress_v2(name.encode(), ctypes.byref(place), 12020, ctypes.c_ulonglong(0), None)
    answers[f"where {name}"] = [code, place.value is not None]
print(json.dumps(answers))
"""
WHERE = {**{f"where {name}": [0, True] for name in NAMES[:4]}, "where cuMemAlloc": [500, False]}
STUBS_WHERE = {name: [34, there] for name, (_, there) in WHERE.items()}
ANSWERS = {
    "535": {"cuInit": 100, "cuDriverGetVersion": [0, 12020], "cuDeviceGetCount": [100, 0], **WHERE},
    "compat": {"cuInit": 803, "cuDriverGetVersion": [0, 13000], "cuDeviceGetCount": [803, 0], **WHERE},
    "stub": {"cuInit": 34, "cuDriverGetVersion": [34, 12020], "cuDeviceGetCount": [34, 0], **STUBS_WHERE},
}
MADE_WITH = {"535": (), "compat": ("-DANSWER=803", "-DVERSION=13000"), "stub": ("-DANSWER=34",)}


def ask(library: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", ASK, str(library)], capture_output=True, text=True, check=False)


@pytest.mark.slow
@pytest.mark.needs("gcc")
@pytest.mark.parametrize("name", ANSWERS)
def test_each_answers_as_its_source_does(name: str, tmp_path: Path) -> None:
    new = tmp_path / "new.so"
    options = ("-shared", "-fPIC", "-nostdlib", "-fno-builtin", *MADE_WITH[name])
    subprocess.run(["gcc", *options, "-o", str(new), str(MADE_UP / "libcuda.c")], check=True)
    for library in (HERE / f"{name}.so", new):
        done = ask(library)
        assert (done.stderr, json.loads(done.stdout)) == ("", ANSWERS[name])


def test_one_wants_a_c_library_that_nobody_has() -> None:
    done = ask(HERE / "newer.so")
    assert done.returncode == 1
    assert "version `GLIBC_2.99' not found" in done.stderr


def test_both_processors_have_the_same() -> None:
    names = {path.relative_to(MADE_UP).as_posix() for path in MADE_UP.glob("*/*.so")}
    assert names == {f"{machine}/{name}.so" for machine in MACHINES for name in (*ANSWERS, "newer")}
    for machine, architecture in MACHINES.items():
        for name in (*ANSWERS, "newer"):
            elf, has = read(MADE_UP / machine / f"{name}.so")
            wants = {"libc.so.6": ("GLIBC_2.99",)} if name == "newer" else {}
            assert (elf.machine, elf.soname, elf.versions_needed) == (architecture, "libcuda.so.1", wants)
            assert has == set(NAMES)


def read(path: Path) -> tuple[Elf, set[str]]:
    """What it says of itself, and which of the driver's functions it has."""
    data = path.read_bytes()

    def part(offset: int, size: int) -> bytes:
        return data[offset : offset + size]

    elf = read_elf(part)
    return elf, {name for name in NAMES if find_symbol(part, elf, name) is not None}
