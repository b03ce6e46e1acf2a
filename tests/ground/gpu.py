"""Libraries with code for GPUs: NVIDIA's own from the Python package index, and made-up ones of real ELF files."""

from __future__ import annotations

import struct
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

WHEEL = "nvidia-nvjpeg-cu12==12.3.3.54"
"""The smallest library of NVIDIA's that has code in it."""
LIBRARY = "nvidia/nvjpeg/lib/libnvjpeg.so.12"


def nvjpeg(folder: Path) -> Path:
    """Where NVIDIA's library lies in `folder`, there or not."""
    return folder / "libnvjpeg.so.12"


def fetch(target: Path) -> None:
    """Bring NVIDIA's library there, unless it is."""
    if not target.exists():
        with tempfile.TemporaryDirectory() as place:
            command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "-d", place, WHEEL]
            subprocess.run(command, check=True)
            with zipfile.ZipFile(next(Path(place).glob("*.whl"))) as wheel:
                target.write_bytes(wheel.read(LIBRARY))


def fatbin(code: Iterable[int], ptx: Iterable[int] = (), *, version: tuple[int, int] = (0, 0)) -> bytes:
    """A container as NVIDIA's compilers write it, with empty code for these architectures, and PTX of this version."""
    parts = b""
    for kind, numbers in ((2, code), (1, ptx)):
        for number in numbers:
            major, minor = version if kind == 1 else (1, 8)
            parts += struct.pack("<HHIQIIHHI32x", kind, 0x101, 64, 64, 0, 0, minor, major, number) + bytes(64)
    return struct.pack("<IHHQ", 0xBA55ED50, 1, 16, len(parts)) + parts


def bundle(targets: Iterable[str]) -> bytes:
    """A bundle as AMD's compilers write it."""
    names = [f"hipv4-amdgcn-amd-amdhsa--{each}".encode() for each in ("", *targets)][1:]
    names.insert(0, b"host-x86_64-unknown-linux--")
    table = b"".join(struct.pack("<QQQ", 4096, 64, len(name)) + name for name in names)
    head = b"__CLANG_OFFLOAD_BUNDLE__" + struct.pack("<Q", len(names)) + table
    return head.ljust(4096, b"\0") + b"\x7fELF" + b"--gfx000" + bytes(64)


def library(folder: Path, name: str, sections: dict[str, bytes], *, needed: str = "") -> bytes:
    """A real shared library of more than 16 KiB with these sections."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "it.c").write_text("const char room[20000] = {1};\n")
    target = folder / name
    below = []
    if needed:
        (folder / "below.c").write_text("")
        below = [folder / needed]
        _run("gcc", "-shared", "-nostdlib", "-o", below[0], f"-Wl,-soname,{needed}", folder / "below.c")
    _run(
        *("gcc", "-shared", "-nostdlib", "-o", target, f"-Wl,-soname,{name}", "-Wl,--no-as-needed", folder / "it.c"),
        *below,
    )
    for number, (section, data) in enumerate(sections.items()):
        (folder / f"{number}.bin").write_bytes(data)
        _run("objcopy", "--add-section", f"{section}={folder / f'{number}.bin'}", target)
    return target.read_bytes()


def _run(*argv: str | Path) -> None:
    subprocess.run([str(each) for each in argv], check=True)
