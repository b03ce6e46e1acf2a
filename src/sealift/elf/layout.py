r"""The layout of an ELF file as its loader sees it: the drawing, its numbers and its records.

    0        identification, 16 bytes
             magic `\x7fELF` · class: 1 is 32 bits, 2 is 64 · data: 1 is little-endian, 2 is big · version · system …
    16       header
             u16 type · u16 machine · u32 version · word entry · word program headers · word section headers
             u32 flags · u16 own size · u16 size and u16 number of program headers
             u16 size and u16 number of section headers · u16 the section of their names
    ───────  program headers: the segments, by which a file is loaded
             64 bits  u32 type · u32 flags · u64 offset · u64 address · u64 physical · u64 in file · u64 in memory · u64
             32 bits  u32 type · u32 offset · u32 address · u32 physical · u32 in file · u32 in memory · u32 flags · u32
    ───────  what the segments hold
             INTERP   the path of the loader, zero-terminated
             DYNAMIC  pairs of words, tag and value, up to tag 0
             LOAD     bytes of the file that stand at `address` of memory

A *word* is 32 or 64 bits, as the class says. All places that the dynamic segment names are addresses, which the LOAD
segments lead back to places in the file. Section headers, which a stripped file may lack, are not looked at.

    STRTAB   zero-terminated names; all other tables name by place in it
    SYMTAB   64 bits  u32 name · u8 kind · u8 other · u16 section · u64 value · u64 size
             32 bits  u32 name · u32 value · u32 size · u8 kind · u8 other · u16 section
    HASH     u32 buckets · u32 symbols; a u32 a bucket, a u32 a symbol: numbers of symbols, chains end with 0
             (on s390x all of them are u64)
    GNU_HASH u32 buckets · u32 first symbol · u32 bloom words · u32 shift; a word each; a u32 a bucket: the first
             symbol of its chain; a u32 a symbol: its hash, with bit 0 set at the end of a chain
    VERNEED  u16 version · u16 count · u32 file name · u32 first below · u32 next
             below: u32 hash · u16 flags · u16 other · u32 name · u32 next
    VERDEF   u16 version · u16 flags · u16 index · u16 count · u32 hash · u32 first below · u32 next
             below: u32 name · u32 next; the first one is the version, others are those that it inherits from

Sources: System V gABI, chapters 4 and 5; Linux Standard Base, "Symbol Versioning"; binutils bfd/elflink.c for GNU_HASH.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Literal

MAGIC = b"\x7fELF"
IDENTIFICATION = 16

LOAD, DYNAMIC, INTERP = 1, 2, 3
"""Types of segments."""

(NEEDED, HASH, STRTAB, SYMTAB, STRSZ, SYMENT, SONAME, RPATH) = (1, 4, 5, 6, 10, 11, 14, 15)
RUNPATH = 29
GNU_HASH = 0x6FFF_FEF5
FLAGS_1 = 0x6FFF_FFFB
VERDEF, VERDEFNUM, VERNEED, VERNEEDNUM = 0x6FFF_FFFC, 0x6FFF_FFFD, 0x6FFF_FFFE, 0x6FFF_FFFF
"""Tags of the dynamic segment."""
PIE = 0x0800_0000
"""Of FLAGS_1: a program that can be loaded anywhere."""
BASE = 1
"""Of a version definition: it names the file itself."""

Kind = Literal["relocatable", "executable", "shared", "core", "other"]
KINDS: dict[int, Kind] = {1: "relocatable", 2: "executable", 3: "shared", 4: "core"}
Order = Literal["little", "big"]
MACHINES: dict[tuple[int, int, Order], str] = {
    (62, 64, "little"): "amd64",
    (3, 32, "little"): "386",
    (183, 64, "little"): "arm64",
    (40, 32, "little"): "arm",
    (21, 64, "little"): "ppc64le",
    (21, 64, "big"): "ppc64",
    (22, 64, "big"): "s390x",
    (243, 64, "little"): "riscv64",
    (8, 32, "big"): "mips",
    (8, 32, "little"): "mipsle",
    (8, 64, "big"): "mips64",
    (8, 64, "little"): "mips64le",
}
"""OCI's word by machine, bits and byte order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """The records in one class and byte order. `segment` and `symbol` hold the fields in the file's order."""

    header: struct.Struct
    segment: struct.Struct
    pair: struct.Struct
    symbol: struct.Struct
    word: struct.Struct
    gnu_hash_table: struct.Struct
    number: struct.Struct
    need: struct.Struct
    need_below: struct.Struct
    definition: struct.Struct
    definition_below: struct.Struct


def records(bits: int, order: Order) -> Records:
    mark = "<" if order == "little" else ">"
    word = "Q" if bits == 64 else "I"

    def fields(text: str) -> struct.Struct:
        return struct.Struct(mark + text)

    return Records(
        header=fields(f"HHI{word * 3}I6H"),
        segment=fields("IIQQQQQQ" if bits == 64 else "IIIIIIII"),
        pair=fields(word * 2),
        symbol=fields("IBBHQQ" if bits == 64 else "IIIBBH"),
        word=fields(word),
        gnu_hash_table=fields("IIII"),
        number=fields("I"),
        need=fields("HHIII"),
        need_below=fields("IHHII"),
        definition=fields("HHHHIII"),
        definition_below=fields("II"),
    )
