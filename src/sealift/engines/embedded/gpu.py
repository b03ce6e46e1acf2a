"""`--nv` and `--rocm`: the host's GPU driver in the container, its libraries found as the dynamic loader finds them.

ld.so.cache, its form since glibc 2.2 (sysdeps/generic/dl-cache.h), after an older table where there is one
"glibc-ld.so.cache1.1" · u32 entries · u32 bytes of strings · u8 byte order · 19 bytes
an entry   i32 kind and processor · u32 offset of the name · u32 offset of the path · u32 · u64
strings    zero-terminated, offsets from the magic
"""

from __future__ import annotations

import glob
import os
import struct
from collections.abc import Iterable
from dataclasses import dataclass

from sealift.engines.embedded.layout import Step
from sealift.engines.environment import LIBRARIES

LISTS = os.path.join(os.path.dirname(__file__), "..", "..", "data", "engines")
CACHE = "/etc/ld.so.cache"

_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER = struct.Struct("=20s2IB19x")
_ENTRY = struct.Struct("=i3IQ")
_ELF_LIBC6 = 3
_KINDS = {"x86_64": 0x300, "aarch64": 0xA00, "ppc64le": 0x500, "s390x": 0x400, "riscv64": 0x1000}
"""The cache's mark of 64-bit libraries, by `uname -m`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """What a driver's list asks for, by the first word of its lines."""

    libraries: tuple[str, ...]
    programs: tuple[str, ...]
    files: tuple[str, ...]
    devices: tuple[str, ...]


def read_list(text: str) -> Driver:
    """Read a list in the form of data/engines/nvidia.txt; lines with another first word are passed over."""
    lines = [line.split(None, 1) for line in text.splitlines() if line.strip() and not line.startswith("#")]

    def those(*kinds: str) -> tuple[str, ...]:
        return tuple(words[1].strip() for words in lines if len(words) == 2 and words[0] in kinds)

    return Driver(
        libraries=those("library"), programs=those("program"), files=those("file", "socket"), devices=those("device")
    )


def cached_libraries(cache: bytes, machine: str) -> list[tuple[str, str]]:
    """Name and path of this processor's libraries in the text of ld.so.cache; empty where its form is not known."""
    start = cache.find(_MAGIC)
    if start < 0 or len(cache) < start + _HEADER.size:
        return []
    _, count, _, _ = _HEADER.unpack_from(cache, start)
    if start + _HEADER.size + count * _ENTRY.size > len(cache):
        return []
    wanted = _KINDS.get(machine, 0) | _ELF_LIBC6
    found: list[tuple[str, str]] = []
    for number in range(count):
        flags, name, path, _, _ = _ENTRY.unpack_from(cache, start + _HEADER.size + number * _ENTRY.size)
        if flags == wanted:
            found.append((_string(cache, start + name), _string(cache, start + path)))
    return found


def _string(cache: bytes, start: int) -> str:
    return os.fsdecode(cache[start : cache.find(b"\0", start)])


def choose_libraries(prefixes: Iterable[str], cached: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Path by name; the first of a name counts, as it does for the loader. `libcuda.so` takes `libcuda.so.1` too."""
    wanted = tuple(prefixes)
    found: dict[str, str] = {}
    for name, path in cached:
        if name.startswith(wanted):
            found.setdefault(name, path)
    return found


def driver_steps(kind: str, *, contain: bool, path: str, machine: str) -> tuple[tuple[Step, ...], tuple[str, ...]]:
    """The mounts for `nvidia` or `amd`, and what has to be said where the host has no such driver."""
    with open(os.path.join(LISTS, f"{kind}.txt"), encoding="utf-8") as file:
        driver = read_list(file.read())
    try:
        with open(CACHE, "rb") as cache:
            cached = cached_libraries(cache.read(), machine)
    except OSError:
        cached = []
    libraries = choose_libraries(driver.libraries, cached)
    steps = [_bound(source, f"{LIBRARIES}/{name}") for name, source in sorted(libraries.items())]
    for name in driver.programs:
        program = next((each for folder in path.split(":") if os.access(each := f"{folder}/{name}", os.X_OK)), None)
        if program is not None:
            steps.append(_bound(program, f"/usr/bin/{name}"))
    steps += [_bound(each, each) for each in driver.files if os.path.exists(each)]
    if contain:
        # Without it, the whole of /dev is there.
        steps += [
            Step(kind="bind", target=each, source=each, folder=os.path.isdir(each), restrict=False, optional=True)
            for pattern in driver.devices
            for each in sorted(glob.glob(pattern))
        ]
    if not libraries:
        flag = {"nvidia": "--nv", "amd": "--rocm"}[kind]
        return tuple(steps), (f"`{flag}`: this host has no libraries of such a driver in {CACHE}",)
    return tuple(steps), ()


def _bound(source: str, target: str) -> Step:
    return Step(kind="bind", target=target, source=source, folder=False, read_only=True, optional=True)
