"""The filter, run by an interpreter of our own for every call that matters, on both architectures."""

from __future__ import annotations

import stat
import struct
from typing import Any

import pytest

from sealift.sandbox import syscalls
from sealift.sandbox.syscalls import NUMBERS, filter_for

ALLOW, NOTIFY, SUCCESS = "allow", "notify", "success"
ACTIONS = {0x7FFF0000: ALLOW, 0x7FC00000: NOTIFY, 0x00050000: SUCCESS}


def run(program: bytes, number: int, audit: int, arguments: tuple[int, ...] = ()) -> str:
    """A machine for the instructions of classic BPF that the filter uses."""
    data = struct.pack("<IIQ6Q", number, audit, 0, *(arguments + (0,) * 6)[:6])
    code = [struct.unpack_from("<HBBI", program, at) for at in range(0, len(program), 8)]
    at, register = 0, 0
    while True:
        operation, if_true, if_false, value = code[at]
        at += 1
        match operation:
            case 0x20:
                register = struct.unpack_from("<I", data, value)[0]
            case 0x15:
                at += if_true if register == value else if_false
            case 0x35:
                at += if_true if register >= value else if_false
            case 0x54:
                register &= value
            case 0x06:
                return ACTIONS[value]
            case _:
                raise AssertionError(hex(operation))


def program(mode: Any, machine: str, *, notify: bool = True) -> bytes:
    found = filter_for(mode, machine, notify=notify)
    assert found is not None
    return found


@pytest.mark.parametrize("machine", sorted(NUMBERS))
def test_one_id(machine: str) -> None:
    numbers, code = NUMBERS[machine], program("single", machine)
    for number in numbers.recorded.values():
        assert run(code, number, numbers.audit) == NOTIFY
    for number in numbers.granted.values():
        assert run(code, number, numbers.audit) == SUCCESS
    every = {*numbers.recorded.values(), *numbers.granted.values(), *numbers.devices.values()}
    for number in set(range(600)) - every:
        assert run(code, number, numbers.audit, (0, 0o20666, 0o20666, 259)) == ALLOW


@pytest.mark.parametrize("machine", sorted(NUMBERS))
@pytest.mark.parametrize("mode", ["single", "subuid"])
@pytest.mark.parametrize(
    ("kind", "device", "expected"),
    [
        (stat.S_IFCHR, 259, NOTIFY),
        (stat.S_IFBLK, 2048, NOTIFY),
        (stat.S_IFCHR, 0, ALLOW),
        (stat.S_IFREG, 259, ALLOW),
        (0, 259, ALLOW),
        (stat.S_IFIFO, 259, ALLOW),
        (stat.S_IFSOCK, 259, ALLOW),
    ],
)
def test_devices_alone_are_answered(machine: str, mode: str, kind: int, device: int, expected: str) -> None:
    """A character device 0:0 is overlay's whiteout, which the kernel makes for everyone."""
    numbers, code = NUMBERS[machine], program(mode, machine)
    mode_and_device = (kind | 0o666, device)
    if "mknod" in numbers.devices:
        assert run(code, numbers.devices["mknod"], numbers.audit, (1, *mode_and_device)) == expected
    assert run(code, numbers.devices["mknodat"], numbers.audit, (0, 1, *mode_and_device)) == expected


@pytest.mark.parametrize("machine", sorted(NUMBERS))
def test_many_ids_change_owners_themselves(machine: str) -> None:
    numbers, code = NUMBERS[machine], program("subuid", machine)
    for number in (*numbers.recorded.values(), *numbers.granted.values()):
        assert run(code, number, numbers.audit) == ALLOW


def test_without_notification_all_is_granted() -> None:
    numbers, code = NUMBERS["x86_64"], program("single", "x86_64", notify=False)
    for number in (*numbers.recorded.values(), *numbers.granted.values()):
        assert run(code, number, numbers.audit) == SUCCESS
    assert run(code, numbers.devices["mknod"], numbers.audit, (0, 0o20666, 259)) == SUCCESS


@pytest.mark.parametrize("machine", sorted(NUMBERS))
def test_calls_of_another_architecture_are_let_through(machine: str) -> None:
    numbers, code = NUMBERS[machine], program("single", machine)
    for number in numbers.recorded.values():
        assert run(code, number, 0x40000003) == ALLOW
        if machine == "x86_64":
            assert run(code, 0x40000000 | number, numbers.audit) == ALLOW


@pytest.mark.parametrize(
    ("mode", "machine", "notify"),
    [("root", "x86_64", True), ("subuid", "x86_64", False), ("single", "sparc", True), ("subuid", "riscv64", True)],
)
def test_where_there_is_nothing_to_answer(mode: Any, machine: str, notify: bool) -> None:
    assert filter_for(mode, machine, notify=notify) is None


def test_the_numbers_are_this_machines() -> None:
    """Against the C library's own idea of them, where this machine is one of the two."""
    names = syscalls.names_of("x86_64")
    assert names == {92: "chown", 93: "fchown", 94: "lchown", 260: "fchownat", 133: "mknod", 259: "mknodat"}
