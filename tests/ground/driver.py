"""A GPU driver that is none: libraries made by the real linker, where the real ldconfig finds them."""

from __future__ import annotations

import os
import struct
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from tests import parts

VERSION = "580.105.08"
FOLDER = "usr/lib/driver"
LIBRARIES = (
    *("libcuda.so.1", "libnvidia-ml.so.1", "libnvidia-new.so.3", "libnvidia-ptxjitcompiler.so.1", "libcudart.so.12"),
    *("libGLX_installertest.so.0", "libGLX_nvidia.so.0", "libOpenCL.so.1", "libunrelated.so.1"),
)
DEVICES = ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "null")

_SOURCE = ".data\n.globl {name}\n.type {name}, @object\n{name}: .quad {value}\n.size {name}, 8\n"


def cache_of(entries: Iterable[tuple[int, str, str]], *, before: bytes = b"") -> bytes:
    """The text of an ld.so.cache with these entries: flags, name, path."""
    entries = list(entries)
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


def make_library(
    path: Path, soname: str, *, needs_glibc: int | None = None, gives: Mapping[str, str] | None = None
) -> Path:
    """A shared library of this machine with that name inside. `gives` are versions, by the symbol that has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    work = path.with_suffix(path.suffix + ".work")
    work.mkdir()
    more: list[str | Path] = []
    if needs_glibc is not None:
        version = f"GLIBC_2.{needs_glibc}"
        more = [make_library(work / "libc.so.6", "libc.so.6", gives={"wanted": version})]
    given = gives or {}
    text = "".join(_SOURCE.format(name=name, value=0) for name in given)
    text += _SOURCE.format(name="mine", value="wanted" if more else 0)
    (work / "a.s").write_text(text)
    (work / "versions").write_text("".join(f"{version} {{ global: {name}; }};\n" for name, version in given.items()))
    _run("as", "-o", work / "a.o", work / "a.s")
    versions = ["--version-script", work / "versions"] if given else []
    _run("ld", "-shared", "-soname", soname, *versions, "-o", path, work / "a.o", *more)
    subprocess.run(["rm", "-r", str(work)], check=True)
    return path


def make_driver(root: Path, *, libraries: Iterable[str] = LIBRARIES, needs: Mapping[str, int] | None = None) -> Path:
    """The files of a driver below `root`, and the loader's cache that knows them."""
    for name in libraries:
        real = f"{name.partition('.so')[0]}.so.{VERSION}" if name.startswith(("libcuda.", "libnvidia")) else name
        make_library(root / FOLDER / real, name, needs_glibc=(needs or {}).get(name))
    write_cache(root, [f"/{FOLDER}"])
    for name in DEVICES:
        (root / "dev").mkdir(exist_ok=True)
        (root / "dev" / name).touch()
    (root / "bin").mkdir(exist_ok=True)
    (root / "bin/nvidia-smi").write_text("#!/bin/sh\necho smi\n")
    (root / "bin/nvidia-smi").chmod(0o755)
    version = root / "proc/driver/nvidia/version"
    version.parent.mkdir(parents=True)
    version.write_text(
        f"NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  {VERSION}  Release Build\nGCC version:  \n"
    )
    return root


def write_cache(root: Path, folders: Iterable[str]) -> None:
    """/etc/ld.so.cache of `root`, by the real ldconfig."""
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc/ld.so.conf").write_text("".join(f"{folder}\n" for folder in folders))
    _run("ldconfig", "-r", root)


def _run(*words: object) -> None:
    name, *more = map(str, words)
    subprocess.run([parts.program(name) or name, *more], check=True, capture_output=True, env={"PATH": os.defpath})
