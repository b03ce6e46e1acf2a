"""The seccomp filter of a sandbox: which system calls a namespace cannot do are answered by somebody else.

A filter is a program for the kernel's packet filter machine (seccomp(2), bpf(4)):

    instruction   u16 code  u8 jump if true  u8 jump if false  u32 constant
    it reads      struct seccomp_data: u32 number, u32 architecture, u64 address, u64 × 6 arguments
"""

from __future__ import annotations

import ctypes
import platform
import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sealift.sandbox.spec import Mode
from sealift.system import kernel

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _AND, _RETURN = 0x20, 0x15, 0x35, 0x54, 0x06
_ALLOW, _NOTIFY, _ANSWER = 0x7FFF0000, 0x7FC00000, 0x00050000
_FLAG_NEW_LISTENER, _FLAG_WAIT_KILLABLE = 1 << 3, 1 << 5
_SET_MODE_FILTER = 1
_X32 = 0x40000000


@dataclass(frozen=True, slots=True, kw_only=True)
class CallNumbers:
    """An architecture's audit number and its numbers of the calls; what it does not have is missing."""

    audit: int
    recorded: Mapping[str, int]
    devices: Mapping[str, int]
    granted: Mapping[str, int]


NUMBERS = {
    "x86_64": CallNumbers(
        audit=0xC000003E,
        recorded={"chown": 92, "fchown": 93, "lchown": 94, "fchownat": 260},
        devices={"mknod": 133, "mknodat": 259},
        granted={
            "setuid": 105, "setgid": 106, "setreuid": 113, "setregid": 114, "setgroups": 116, "setresuid": 117,
            "setresgid": 119, "setfsuid": 122, "setfsgid": 123, "capset": 126,
        },
    ),
    "aarch64": CallNumbers(
        audit=0xC00000B7,
        recorded={"fchownat": 54, "fchown": 55},
        devices={"mknodat": 33},
        granted={
            "setuid": 146, "setgid": 144, "setreuid": 145, "setregid": 143, "setgroups": 159, "setresuid": 147,
            "setresgid": 149, "setfsuid": 151, "setfsgid": 152, "capset": 91,
        },
    ),
}  # fmt: skip
"""From the kernel's arch/x86/entry/syscalls/syscall_64.tbl and include/uapi/asm-generic/unistd.h."""

_MODE_ARGUMENT = {"mknod": 1, "mknodat": 2}


def filter_for(mode: Mode, machine: str, *, notify: bool) -> bytes | None:
    """The filter's program; None where nothing needs answering, or where the architecture is not known.

    `single`: owners and devices go to the supervisor, changes of identity are granted. `subuid`: devices only.
    Without `notify` what would go to the supervisor is answered with success.
    """
    numbers = NUMBERS.get(machine)
    if numbers is None or mode == "root" or (mode == "subuid" and not notify):
        return None
    answer = _NOTIFY if notify else _ANSWER
    program = _Program()
    program.load(4)
    program.unless(numbers.audit, _ALLOW)
    program.load(0)
    if machine == "x86_64":
        program.at_least(_X32, _ALLOW)
    if mode == "single":
        for number in numbers.recorded.values():
            program.when(number, answer)
        for number in numbers.granted.values():
            program.when(number, _ANSWER)
    for name, number in numbers.devices.items():
        program.devices_only(number, _MODE_ARGUMENT[name], answer)
    program.give(_ALLOW)
    return program.text()


class _Program:
    def __init__(self) -> None:
        self._code: list[tuple[int, int, int, int]] = []

    def load(self, offset: int) -> None:
        self._code.append((_LOAD, 0, 0, offset))

    def give(self, what: int) -> None:
        self._code.append((_RETURN, 0, 0, what))

    def when(self, value: int, what: int) -> None:
        self._code.append((_JUMP_EQUAL, 0, 1, value))
        self.give(what)

    def unless(self, value: int, what: int) -> None:
        self._code.append((_JUMP_EQUAL, 1, 0, value))
        self.give(what)

    def at_least(self, value: int, what: int) -> None:
        self._code.append((_JUMP_AT_LEAST, 0, 1, value))
        self.give(what)

    def devices_only(self, number: int, mode_argument: int, what: int) -> None:
        """Answer a mknod of a device; files, pipes, sockets and overlay's whiteout (0:0) the kernel does itself."""
        low = 16 + 8 * mode_argument  # both architectures are little-endian: the low half comes first
        self._code += [
            (_JUMP_EQUAL, 0, 9, number),
            (_LOAD, 0, 0, low + 8),
            (_JUMP_EQUAL, 6, 0, 0),
            (_LOAD, 0, 0, low),
            (_AND, 0, 0, stat.S_IFMT(0xFFFF)),
            (_JUMP_EQUAL, 2, 0, stat.S_IFCHR),
            (_JUMP_EQUAL, 1, 0, stat.S_IFBLK),
            (_RETURN, 0, 0, _ALLOW),
            (_RETURN, 0, 0, what),
            (_RETURN, 0, 0, _ALLOW),
        ]

    def text(self) -> bytes:
        return b"".join(struct.pack("<HBBI", *each) for each in self._code)


class _Header(ctypes.Structure):
    # struct sock_fprog
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def install(program: bytes, *, listen: bool) -> int:
    """Put the filter on this process and all its descendants; with `listen`, the descriptor that gets the calls.

    Needs CAP_SYS_ADMIN in the process's user namespace, which spares `no_new_privs`: setuid programs of the image work.
    """
    header = _Header(len(program) // 8, program)
    argument = ctypes.cast(ctypes.pointer(header), ctypes.c_void_p)
    if not listen:
        return kernel.seccomp(_SET_MODE_FILTER, 0, argument)
    try:
        # Linux 5.19: signals, which Go sends all the time, do not interrupt a call that is being answered.
        return kernel.seccomp(_SET_MODE_FILTER, _FLAG_NEW_LISTENER | _FLAG_WAIT_KILLABLE, argument)
    except OSError:
        return kernel.seccomp(_SET_MODE_FILTER, _FLAG_NEW_LISTENER, argument)


def names_of(machine: str) -> dict[int, str]:
    """The supervised calls by number."""
    numbers = NUMBERS[machine]
    return {number: name for table in (numbers.recorded, numbers.devices) for name, number in table.items()}


def this_machine() -> str:
    return platform.machine()


Kind = Literal["chown", "fchown", "lchown", "fchownat", "mknod", "mknodat"]
