"""What binutils' readelf says of ELF files, as values that can be compared with ours."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests import parts

MACHINES = {
    ("Advanced Micro Devices X86-64", 64): "amd64",
    ("Intel 80386", 32): "386",
    ("AArch64", 64): "arm64",
    ("ARM", 32): "arm",
    ("IBM S/390", 64): "s390x",
    ("RISC-V", 64): "riscv64",
}
KINDS = {"EXEC": "executable", "REL": "relocatable", "CORE": "core", "DYN": "shared"}


@dataclass(kw_only=True)
class Said:
    machine: str = ""
    bits: int = 0
    byte_order: str = ""
    kind: str = ""
    interpreter: str = ""
    soname: str = ""
    needed: tuple[str, ...] = ()
    rpath: str = ""
    runpath: str = ""
    versions_needed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    versions_defined: tuple[str, ...] = ()


_LINES = (
    ("interpreter", re.compile(r"\[Requesting program interpreter: (.*)\]$")),
    ("soname", re.compile(r"\(SONAME\) +Library soname: \[(.*)\]$")),
    ("needed", re.compile(r"\(NEEDED\) +Shared library: \[(.*)\]$")),
    ("rpath", re.compile(r"\(RPATH\) +Library rpath: \[(.*)\]$")),
    ("runpath", re.compile(r"\(RUNPATH\) +Library runpath: \[(.*)\]$")),
    ("class", re.compile(r"^  Class: +ELF(32|64)$")),
    ("data", re.compile(r"^  Data: +2's complement, (little|big) endian$")),
    ("type", re.compile(r"^  Type: +(\w+) \((.*)\)$")),
    ("machine", re.compile(r"^  Machine: +(.*)$")),
    ("file", re.compile(r"^  (?:0x)?[0-9a-f]+: Version: 1  File: (.*)  Cnt: \d+$")),
    ("version", re.compile(r"^  0x[0-9a-f]+:   Name: (\S+)  Flags: .*$")),
    ("defined", re.compile(r"^  (?:0x)?[0-9a-f]+: Rev: 1  Flags: (.*?)  +Index: \d+  Cnt: \d+  Name: (.*)$")),
)


def read(paths: Sequence[str]) -> list[Said]:
    """One value a file, in order."""
    if not paths:
        return []
    # With a file that is named twice even one file gets its heading.
    argv = [parts.program("readelf") or "readelf", "-hldVW", *paths, paths[0]]
    text = subprocess.run(argv, check=True, capture_output=True).stdout.decode("utf-8", "surrogateescape")
    pieces = re.split(r"(?m)^File: .*$", text)[1:-1]
    assert len(pieces) == len(paths)
    return [_said(piece) for piece in pieces]


def _said(text: str) -> Said:
    said = Said()
    file = ""
    for line in text.splitlines():
        for name, pattern in _LINES:
            match = pattern.search(line)
            if match is None:
                continue
            value = match[1]
            if name == "class":
                said.bits = int(value)
            elif name == "data":
                said.byte_order = value
            elif name == "type":
                said.kind = "executable" if "Position-Independent" in match[2] else KINDS[value]
            elif name == "machine":
                said.machine = MACHINES.get((value, said.bits), "")
            elif name == "needed":
                said.needed += (value,)
            elif name == "file":
                file = value
                said.versions_needed.setdefault(file, ())
            elif name == "version":
                said.versions_needed[file] += (value,)
            elif name == "defined":
                said.versions_defined += () if value == "BASE" else (match[2],)
            else:
                setattr(said, name, value)
    return said


def symbols(path: str) -> set[tuple[str, int, int]]:
    """Name, value and size of what a file defines for others."""
    argv = [parts.program("readelf") or "readelf", "--dyn-syms", "-W", path]
    text = subprocess.run(argv, check=True, capture_output=True).stdout.decode("utf-8", "surrogateescape")
    found = set()
    for line in text.splitlines():
        words = line.split()
        if len(words) < 8 or not words[0].rstrip(":").isdigit():
            continue
        _, value, size, _, binding, visibility, section, name, *_ = words
        if section != "UND" and binding != "LOCAL" and visibility in ("DEFAULT", "PROTECTED"):
            found.add((re.sub(r"@.*", "", name), int(value, 16), int(size, 0)))
    return found
