"""Symbols through each kind of hash table, beside readelf."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from sealift.elf.reading import read_elf
from sealift.elf.symbols import content, find_symbol
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
    names = ("V_1", "V_2", "alpha", "beta", "gamma", "delta", "")
    found = {name: symbol for name in names if (symbol := find_symbol(read, elf, name)) is not None}
    assert {(each.name, each.address, each.size) for each in found.values()} == readelf.symbols(str(below))
    assert [content(read, elf, found[name]) for name in ("alpha", "beta")] == [b"text\0", b"B"]


@pytest.mark.slow
@pytest.mark.needs("binutils")
def test_this_machine_s_libraries() -> None:
    checked = 0
    for path in [each for each in real_files() if ".so" in each][::12]:
        read = partial(bytes_of, Path(path).read_bytes())
        elf = read_elf(read)
        said = readelf.symbols(path)
        # A name that is there in several versions is found in one of them.
        for name in {name for name, _, _ in said}:
            found = find_symbol(read, elf, name)
            assert found is not None, (path, name)
            assert (found.name, found.address, found.size) in said, path
        assert find_symbol(read, elf, "no such name") is None
        checked += 1
    assert checked > 10
