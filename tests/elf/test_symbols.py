"""Symbols through each kind of hash table, beside readelf."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from sealift.elf.reading import read_elf
from sealift.elf.symbols import content, defined_symbols, defines, find_symbol
from tests.elf import made, readelf
from tests.elf.test_reading import bytes_of, real_files


@pytest.mark.slow
@pytest.mark.needs("binutils-foreign")
@pytest.mark.parametrize("style", ["sysv", "gnu", "both"])
@pytest.mark.parametrize("machine", made.TOOLS)
def test_each_class_byte_order_and_table(machine: str, style: str, tmp_path: Path) -> None:
    below, _ = made.make(machine, tmp_path, hash_style=style)
    read = partial(bytes_of, below.read_bytes())
    elf = read_elf(read)
    found = list(defined_symbols(read, elf))
    assert {(each.name, each.address, each.size) for each in found} == readelf.symbols(str(below))
    assert defines(read, elf, ("alpha", "beta", "gamma", "delta", "")) == {"alpha", "beta"}
    alpha, beta = find_symbol(read, elf, "alpha"), find_symbol(read, elf, "beta")
    assert alpha is not None
    assert beta is not None
    assert (content(read, elf, alpha), content(read, elf, beta)) == (b"text\0", b"B")


@pytest.mark.slow
@pytest.mark.needs("binutils")
def test_this_machine_s_libraries() -> None:
    checked = 0
    for path in [each for each in real_files() if ".so" in each][::12]:
        read = partial(bytes_of, Path(path).read_bytes())
        elf = read_elf(read)
        said = readelf.symbols(path)
        found = {(each.name, each.address, each.size) for each in defined_symbols(read, elf)}
        assert (path, found) == (path, said)
        some = sorted({name for name, _, _ in said})[::7]
        assert defines(read, elf, [*some, "no such name"]) == set(some)
        checked += 1
    assert checked > 10
