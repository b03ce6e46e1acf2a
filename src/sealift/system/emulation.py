"""Can this host run programs of an architecture? It is tried, with a program of a few instructions that ends with 42.

A trial is right where a look at files is not: a 64-bit kernel may or may not run 32-bit programs, and in containers
binfmt_misc works without being seen. What the program is:

    ELF header  64 (52) bytes    machine, entry point, flags of the ABI
    one segment 56 (32) bytes    loads the whole file, readable and executable
    the code    exit(42)
"""

from __future__ import annotations

import contextlib
import os
import struct
import subprocess
from dataclasses import dataclass

from sealift.core.architecture import Architecture

EXIT = 42
BINFMT = "/proc/sys/fs/binfmt_misc"
_BASE = 0x10000
_TIMEOUT = 20.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Abi:
    """ELF's `e_machine` and `e_flags`, the byte order, and `exit(42)` as the instructions stand in memory."""

    machine: int
    wide: bool
    big: bool = False
    flags: int = 0
    code: str


_ABIS = {
    "amd64": _Abi(machine=62, wide=True, code="bf2a000000 b83c000000 0f05"),
    "386": _Abi(machine=3, wide=False, code="bb2a000000 b801000000 cd80"),
    "arm64": _Abi(machine=183, wide=True, code="400580d2 a80b80d2 010000d4"),
    "arm": _Abi(machine=40, wide=False, flags=0x05000000, code="2a00a0e3 0170a0e3 000000ef"),
    "ppc64le": _Abi(machine=21, wide=True, flags=2, code="2a006038 01000038 02000044"),
    "ppc64": _Abi(machine=21, wide=True, big=True, flags=2, code="3860002a 38000001 44000002"),
    "s390x": _Abi(machine=22, wide=True, big=True, code="a729002a 0a01"),
    "riscv64": _Abi(machine=243, wide=True, code="1305a002 9308d005 73000000"),
    "mips": _Abi(machine=8, wide=False, big=True, flags=0x50001000, code="2404002a 24020fa1 0000000c"),
    "mipsle": _Abi(machine=8, wide=False, flags=0x50001000, code="2a000424 a10f0224 0c000000"),
    "mips64": _Abi(machine=8, wide=True, big=True, flags=0x60000000, code="2404002a 240213c2 0000000c"),
    "mips64le": _Abi(machine=8, wide=True, flags=0x60000000, code="2a000424 c2130224 0c000000"),
}
_QEMU = {"amd64": "x86_64", "386": "i386", "arm64": "aarch64", "mipsle": "mipsel", "mips64le": "mips64el"}


def tiny_program(architecture: Architecture) -> bytes:
    """A whole static program for this architecture that exits with 42."""
    abi = _ABIS[architecture.oci]
    order = ">" if abi.big else "<"
    code = bytes.fromhex(abi.code.replace(" ", ""))
    address = "Q" if abi.wide else "I"
    header_size, segment_size = (64, 56) if abi.wide else (52, 32)
    start = header_size + segment_size
    size = start + len(code)
    # e_ident, then e_type (2: a program), e_machine, e_version, e_entry, e_phoff, e_shoff, e_flags, sizes and counts.
    header = struct.pack(
        f"{order}4sBBBB8sHHI{address}{address}{address}IHHHHHH",
        *(b"\x7fELF", 2 if abi.wide else 1, 2 if abi.big else 1, 1, 0, bytes(8)),
        *(2, abi.machine, 1, _BASE + start, header_size, 0, abi.flags),
        *(header_size, segment_size, 1, 0, 0, 0),
    )
    if abi.wide:
        # p_type, p_flags, p_offset, p_vaddr, p_paddr, p_filesz, p_memsz, p_align
        segment = struct.pack(f"{order}IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 0x10000)
    else:
        segment = struct.pack(f"{order}IIIIIIII", 1, 0, _BASE, _BASE, size, size, 5, 0x10000)
    return header + segment + code


def emulator(architecture: Architecture) -> str:
    """The name that QEMU's emulator for programs of this architecture has."""
    return f"qemu-{_QEMU.get(architecture.oci, architecture.oci)}"


def can_run(architecture: Architecture) -> bool:
    """Does the kernel run programs of this architecture, by itself or by an emulator that is registered with it?"""
    if not hasattr(os, "memfd_create") or architecture.oci not in _ABIS:
        return False
    # Not closed on exec: an emulator opens the program by its number.
    descriptor = os.memfd_create("sealift-trial", 0)
    try:
        os.write(descriptor, tiny_program(architecture))
        done = subprocess.run(
            [f"/proc/self/fd/{descriptor}"],
            pass_fds=(descriptor,),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_TIMEOUT,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    finally:
        os.close(descriptor)
    return done.returncode == EXIT


@dataclass(frozen=True, slots=True, kw_only=True)
class Registration:
    """An entry of binfmt_misc (Documentation/admin-guide/binfmt-misc.rst). `flags` with `F`: it works in any root."""

    name: str
    interpreter: str
    flags: str


def registration(architecture: Architecture, *, folder: str = BINFMT) -> Registration | None:
    """The enabled entry that takes programs of this architecture; None where there is none, or none is to be seen."""
    program = tiny_program(architecture)
    for name in _names(folder):
        try:
            with open(os.path.join(folder, name), encoding="ascii", errors="replace") as file:
                lines = file.read().splitlines()
        except OSError:
            continue
        fields = dict(_field(line) for line in lines[1:])
        if lines[:1] == ["enabled"] and _takes(fields, program):
            return Registration(name=name, interpreter=fields.get("interpreter", ""), flags=fields.get("flags", ""))
    return None


def _names(folder: str) -> list[str]:
    with contextlib.suppress(OSError):
        return sorted(name for name in os.listdir(folder) if name not in ("register", "status"))
    return []


def _field(line: str) -> tuple[str, str]:
    name, _, value = line.partition(" ")
    return name.rstrip(":"), value.strip()


def _takes(fields: dict[str, str], program: bytes) -> bool:
    try:
        magic = bytes.fromhex(fields["magic"])
        mask = bytes.fromhex(fields["mask"]) if "mask" in fields else b"\xff" * len(magic)
        offset = int(fields.get("offset", "0"))
    except (KeyError, ValueError):
        return False
    found = program[offset : offset + len(magic)]
    return len(found) == len(magic) and all(f & m == g & m for f, m, g in zip(found, mask, magic, strict=True))
