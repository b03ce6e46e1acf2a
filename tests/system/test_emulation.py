"""Trial programs under the real emulators, and what binfmt_misc says in made-up and real folders."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sealift.core.architecture import ARCHITECTURES, Architecture, find_architecture
from sealift.system.emulation import EXIT, Registration, can_run, emulator, registration, tiny_program
from sealift.system.process import machine
from tests.ground.foreign import MAGIC, MASK, with_emulation

NAMES = [one.oci for one in ARCHITECTURES]


def named(name: str) -> Architecture:
    found = find_architecture(name)
    assert found is not None
    return found


@pytest.mark.needs("qemu-user")
@pytest.mark.parametrize("name", NAMES)
def test_each_program_runs_under_its_emulator(name: str, tmp_path: Path) -> None:
    program = tmp_path / "program"
    program.write_bytes(tiny_program(named(name)))
    program.chmod(0o755)
    done = subprocess.run([f"{emulator(named(name))}-static", program], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (EXIT, b"")


def test_this_machine_runs_its_own() -> None:
    assert can_run(named(machine()))


@pytest.mark.parametrize("name", NAMES)
def test_what_readelf_would_say(name: str) -> None:
    """The first bytes, by which kernel and emulators tell programs apart."""
    data = tiny_program(named(name))
    wide = name.endswith(("64", "64le")) or name == "s390x"
    big = name in ("ppc64", "s390x", "mips", "mips64")
    assert (data[:4], data[4], data[5]) == (b"\x7fELF", 2 if wide else 1, 2 if big else 1)


def entry(folder: Path, name: str, *lines: str) -> None:
    (folder / name).write_text("".join(f"{line}\n" for line in lines))


class TestRegistration:
    def test_the_entry_that_takes_it(self, tmp_path: Path) -> None:
        entry(tmp_path, "status", "enabled")
        entry(tmp_path, "python", "enabled", "interpreter /usr/bin/python3", "flags: ", "offset 0", "magic 6f0d0d0a")
        body = ("interpreter /usr/bin/qemu-aarch64-static", "flags: OCF", "offset 0", f"magic {MAGIC}", f"mask {MASK}")
        entry(tmp_path, "qemu-aarch64", "enabled", *body)
        assert registration(named("arm64"), folder=str(tmp_path)) == Registration(
            name="qemu-aarch64", interpreter="/usr/bin/qemu-aarch64-static", flags="OCF"
        )
        assert registration(named("riscv64"), folder=str(tmp_path)) is None

    def test_what_is_switched_off_or_strange(self, tmp_path: Path) -> None:
        entry(tmp_path, "off", "disabled", "interpreter /x", "flags: F", "offset 0", f"magic {MAGIC}", f"mask {MASK}")
        entry(tmp_path, "by-name", "enabled", "interpreter /x", "flags: ", "extension .exe")
        entry(tmp_path, "odd", "enabled", "interpreter /x", "magic zz")
        entry(tmp_path, "far", "enabled", "interpreter /x", "offset 4000", "magic 00")
        assert registration(named("arm64"), folder=str(tmp_path)) is None

    def test_no_folder(self, tmp_path: Path) -> None:
        assert registration(named("arm64"), folder=str(tmp_path / "none")) is None


@pytest.mark.slow
@pytest.mark.needs("root", "qemu-user", "own-binfmt")
def test_a_registered_emulator_is_seen_and_used() -> None:
    """In a user namespace of its own, which has a table of its own; the machine's stays as it is."""
    code = (
        "from sealift.core.architecture import find_architecture as find\n"
        "from sealift.system.emulation import can_run, registration\n"
        "found = registration(find('arm64'))\n"
        "print(can_run(find('arm64')), can_run(find('riscv64')), found.name, found.flags)\n"
    )
    done = with_emulation([sys.executable, "-c", code])
    assert (done.stdout.decode(), done.stderr.decode()) == ("True False sealift-arm64 PF\n", "")
    outside = registration(named("arm64"))
    assert outside is None or outside.name != "sealift-arm64"
