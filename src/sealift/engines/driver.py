"""The host's GPU driver: its libraries found as the dynamic loader finds them, its programs, files and devices.

ld.so.cache, its form since glibc 2.2 (sysdeps/generic/dl-cache.h), after an older table where there is one
"glibc-ld.so.cache1.1" · u32 entries · u32 bytes of strings · u8 byte order · 19 bytes
an entry   i32 kind and processor · u32 offset of the name · u32 offset of the path · u32 · u64
strings    zero-terminated, offsets from the magic
"""

from __future__ import annotations

import glob
import os
import re
import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["nvidia", "amd"]

LISTS = os.path.join(os.path.dirname(__file__), "..", "data", "engines")
CACHE = "/etc/ld.so.cache"
OUTER = "/.singularity.d/libs"

_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER = struct.Struct("=20s2IB19x")
_ENTRY = struct.Struct("=i3IQ")
_ELF_LIBC6 = 3
_KINDS = {"x86_64": 0x300, "aarch64": 0xA00, "ppc64le": 0x500, "s390x": 0x400, "riscv64": 0x1000}
"""The cache's mark of 64-bit libraries, by `uname -m`."""

_VERSIONS: Mapping[Kind, tuple[str, str]] = {
    "nvidia": ("/proc/driver/nvidia/version", r"Kernel Module.*?\s(\d+\.\d+(?:\.\d+)?)"),
    "amd": ("/sys/module/amdgpu/version", r"(\S+)"),
}
_MAIN: Mapping[Kind, str] = {"nvidia": "libcuda.so.1", "amd": "libamdocl64.so"}
_ELSEWHERE = ("/usr/lib64/nvidia", "/usr/lib/nvidia", "/run/opengl-driver/lib", "/usr/lib/wsl/lib")
"""Where some systems keep drivers that they leave out of the cache."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What a driver's list asks for, by the first word of its lines. `own` are beginnings of the names of libraries
    that must be of the kernel module's version.
    """

    libraries: tuple[str, ...]
    own: tuple[str, ...]
    programs: tuple[str, ...]
    files: tuple[str, ...]
    devices: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Driver:
    """What this host has of it. `libraries` and `programs` are paths by name, `own` the names of those libraries that
    must be the host's. `version` is the kernel module's, empty where it is not loaded. `unlisted` is a folder with the
    driver's libraries of which the loader's cache does not know.
    """

    kind: Kind
    version: str
    libraries: Mapping[str, str]
    own: frozenset[str]
    programs: Mapping[str, str]
    files: tuple[str, ...]
    devices: tuple[str, ...]
    unlisted: str = ""


def read_list(text: str) -> Parts:
    """Read a list in the form of data/engines/nvidia.txt; lines with another first word are passed over."""
    lines = [line.split(None, 1) for line in text.splitlines() if line.strip() and not line.startswith("#")]

    def those(*kinds: str) -> tuple[str, ...]:
        return tuple(words[1].strip() for words in lines if len(words) == 2 and words[0] in kinds)

    return Parts(
        libraries=those("library"),
        own=those("own"),
        programs=those("program"),
        files=those("file", "socket"),
        devices=those("device"),
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


def find_driver(kind: Kind, *, path: str, machine: str, library_path: str = "", root: str = "") -> Driver:
    """Look for the driver on the host whose files lie below `root`. `path` is where programs are looked for,
    `library_path` where people keep libraries that the loader's cache does not know.
    """
    with open(os.path.join(LISTS, f"{kind}.txt"), encoding="utf-8") as file:
        parts = read_list(file.read())
    try:
        with open(root + CACHE, "rb") as cache:
            cached = cached_libraries(cache.read(), machine)
    except OSError:
        cached = []
    libraries = choose_libraries(parts.libraries, [*_of_outer(root), *cached])
    programs = {
        name: found
        for name in parts.programs
        if (found := next((each for dir_ in path.split(":") if os.access(each := f"{dir_}/{name}", os.X_OK)), None))
    }
    places = [*library_path.split(":"), *_ELSEWHERE]
    return Driver(
        kind=kind,
        version=driver_version(kind, root),
        libraries={name: root + found for name, found in libraries.items()},
        own=frozenset(name for name in libraries if name.startswith(parts.own)) if parts.own else frozenset(),
        programs=programs,
        files=tuple(each for each in parts.files if os.path.exists(root + each)),
        devices=tuple(each.removeprefix(root) for device in parts.devices for each in sorted(glob.glob(root + device))),
        unlisted=next((each for each in places if each and os.path.exists(f"{root}{each}/{_MAIN[kind]}")), "")
        if not libraries
        else "",
    )


def _of_outer(root: str) -> list[tuple[str, str]]:
    """What a container around this one was given."""
    try:
        return [(name, f"{OUTER}/{name}") for name in sorted(os.listdir(root + OUTER))]
    except OSError:
        return []


def driver_version(kind: Kind, root: str = "") -> str:
    """The version of the kernel module; empty where it is not loaded."""
    file, pattern = _VERSIONS[kind]
    try:
        with open(root + file, encoding="utf-8", errors="replace") as text:
            found = re.search(pattern, text.read(1 << 16))
    except OSError:
        return ""
    return found[1] if found else ""
