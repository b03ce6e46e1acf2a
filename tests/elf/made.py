"""ELF files of four kinds, made by the real assembler and linker of each machine."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests import parts

SOURCE = """
.data
.globl alpha
.type alpha, {mark}object
alpha: .ascii "text"
.byte 0
.size alpha, 5
.globl beta
.type beta, {mark}object
beta: .byte 66
.size beta, 1
.globl gamma
.hidden gamma
gamma: .byte 1
.globl delta
delta: .byte 1
"""
VERSIONS = "V_1 { global: alpha; local: delta; };\nV_2 { global: beta; } V_1;\n"
USER = """
.data
.globl mine
.type mine, {mark}object
mine: .{word} alpha
.{word} beta
.size mine, 8
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    assembler: tuple[str, ...]
    linker: tuple[str, ...]
    word: str = "long"


TOOLS = {
    "amd64": Tools(assembler=("as", "--64"), linker=("ld", "-m", "elf_x86_64"), word="quad"),
    "386": Tools(assembler=("as", "--32"), linker=("ld", "-m", "elf_i386")),
    "s390x": Tools(assembler=("s390x-linux-gnu-as",), linker=("s390x-linux-gnu-ld",), word="quad"),
    "powerpc": Tools(assembler=("powerpc-linux-gnu-as",), linker=("powerpc-linux-gnu-ld",)),
}


def make(machine: str, folder: Path, *, hash_style: str = "both") -> tuple[Path, Path]:
    """A library with two versions, and one that needs them and names places to look for it."""
    tools = TOOLS[machine]
    (folder / "versions").write_text(VERSIONS)
    for name, text in (("below", SOURCE), ("above", USER)):
        (folder / f"{name}.s").write_text(text.format(mark="@", word=tools.word))
        _run(tools.assembler, "-o", folder / f"{name}.o", folder / f"{name}.s")
    below, above = folder / "libbelow.so.1", folder / "libabove.so"
    link = (*tools.linker, "-shared", f"--hash-style={hash_style}")
    _run(link, "-soname", "libbelow.so.1", "--version-script", folder / "versions", "-o", below, folder / "below.o")
    _run(link, "--enable-new-dtags", "-rpath", "/opt/a:$ORIGIN", "-o", above, folder / "above.o", below)
    return below, above


def _run(argv: tuple[str, ...], *more: str | Path) -> None:
    subprocess.run([parts.program(argv[0]) or argv[0], *argv[1:], *map(str, more)], check=True, capture_output=True)
