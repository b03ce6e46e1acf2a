"""Finds what a library defines for others, by name, through its hash tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sealift.elf.layout import GNU_HASH, HASH, STRTAB, SYMENT, SYMTAB, Records, records
from sealift.elf.reading import Elf, Memory, Read, damaged, string

_BUCKETS_LIMIT = 1 << 24
_CHAIN_LIMIT = 1 << 16
"""Symbols that share a bucket: a good table has two or three."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbol:
    name: str
    address: int
    size: int


def find_symbol(read: Read, elf: Elf, name: str) -> Symbol | None:
    """The symbol that others find under `name`; None where it is not defined. Reads a few words, no whole table."""
    table = _Table(read, elf)
    if SYMTAB not in elf.dynamic or STRTAB not in elf.dynamic:
        return None
    numbers = table.gnu_chain(name) if GNU_HASH in elf.dynamic else table.chain(name) if HASH in elf.dynamic else ()
    for number in numbers:
        found = table.symbol(number)
        if found is not None and found.name == name:
            return found
    return None


def content(read: Read, elf: Elf, symbol: Symbol, limit: int = 4096) -> bytes:
    """The bytes that a symbol names, at most `limit`; none where the file holds none for it."""
    if symbol.size == 0:
        return b""
    return Memory(read=read, segments=elf.segments).up_to(symbol.address, min(symbol.size, limit), f"`{symbol.name}`")


class _Table:
    """The symbols of one file."""

    def __init__(self, read: Read, elf: Elf) -> None:
        self._elf = elf
        self._form: Records = records(elf.bits, elf.byte_order)
        self._memory = Memory(read=read, segments=elf.segments)
        size = elf.dynamic.get(SYMENT, self._form.symbol.size)
        if size != self._form.symbol.size:
            raise damaged(f"its symbols have {size} bytes instead of {self._form.symbol.size}")

    def symbol(self, number: int) -> Symbol | None:
        """The symbol of this number; None for one that is not defined here, or not for others."""
        size = self._form.symbol.size
        raw = self._memory.at(self._elf.dynamic[SYMTAB] + number * size, size, "its table of symbols")
        if self._elf.bits == 64:
            name, kind, other, section, address, length = self._form.symbol.unpack(raw)
        else:
            name, address, length, kind, other, section = self._form.symbol.unpack(raw)
        # Local ones (binding 0), and those of hidden or internal visibility, are nobody else's.
        if section == 0 or kind >> 4 == 0 or other & 3 in (1, 2):
            return None
        return Symbol(name=string(self._memory, self._elf.dynamic, name), address=address, size=length)

    def chain(self, name: str) -> Iterator[int]:
        """Numbers of symbols that may have this name, by HASH."""
        buckets, symbols = self._hash_word(0), self._hash_word(1)
        if buckets == 0:
            return
        number = self._hash_word(2 + _hash(name) % buckets)
        for _ in range(_CHAIN_LIMIT):
            if number == 0:
                return
            if number >= symbols:
                raise damaged("its hash table names a symbol that is not there")
            yield number
            number = self._hash_word(2 + buckets + number)
        raise damaged("a chain of its hash table has no end")

    def gnu_chain(self, name: str) -> Iterator[int]:
        """Numbers of symbols whose hash is that of this name, by GNU_HASH."""
        buckets, first, chains, table = self._gnu()
        if buckets == 0:
            return
        wanted = _gnu_hash(name)
        number = self._number(table + wanted % buckets * 4)
        if number == 0:
            return
        if number < first:
            raise damaged("its hash table names a symbol that is not there")
        for _ in range(_CHAIN_LIMIT):
            found = self._number(chains + (number - first) * 4)
            if found | 1 == wanted | 1:
                yield number
            if found & 1:
                return
            number += 1
        raise damaged("a chain of its hash table has no end")

    def _gnu(self) -> tuple[int, int, int, int]:
        """Number of buckets, the first symbol, and where chains and buckets lie."""
        address = self._elf.dynamic[GNU_HASH]
        buckets, first, bloom, _ = self._form.gnu_hash_table.unpack(self._memory.at(address, 16, "its hash table"))
        table = address + 16 + bloom * self._form.word.size
        if buckets > _BUCKETS_LIMIT:
            raise damaged("its hash table has more buckets than there can be")
        return buckets, first, table + buckets * 4, table

    def _hash_word(self, number: int) -> int:
        form = self._form.word if self._elf.machine == "s390x" else self._form.number
        address = self._elf.dynamic[HASH] + number * form.size
        (value,) = form.unpack(self._memory.at(address, form.size, "its hash table"))
        return int(value)

    def _number(self, address: int) -> int:
        (value,) = self._form.number.unpack(self._memory.at(address, 4, "its hash table"))
        return int(value)


def _hash(name: str) -> int:
    value = 0
    for byte in name.encode("utf-8", "surrogateescape"):
        value = (value << 4) + byte
        top = value & 0xF000_0000
        value = (value ^ top >> 24) & ~top
    return value


def _gnu_hash(name: str) -> int:
    value = 5381
    for byte in name.encode("utf-8", "surrogateescape"):
        value = (value * 33 + byte) & 0xFFFF_FFFF
    return value
