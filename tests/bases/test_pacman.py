"""The commands of pacman, whole, and its records of packages."""

from __future__ import annotations

import subprocess

import pytest

from sealift.bases import pacman
from sealift.bases.commands import PRIVATE, ROOT
from sealift.bases.pacman import Repository, build_time, parse_major, plan_pacman, with_install_time

DESC = "%NAME%\nbase\n\n%BUILDDATE%\n1700000000\n\n%INSTALLDATE%\n1800000000\n\n%SIZE%\n1800000000\n"


@pytest.mark.parametrize(
    ("include", "major", "words"),
    [
        ((), 6, ("base",)),
        (("base", "git"), 6, ("base", "git")),
        (("base",), 7, ("--disable-sandbox", "base")),
    ],
)
def test_commands(include: tuple[str, ...], major: int, words: tuple[str, ...]) -> None:
    folders, install, keyring = plan_pacman(include, program="/usr/bin/pacman", major=major)
    assert folders.argv == ("/bin/sh", "-c", pacman._FOLDERS, "sh", ROOT, PRIVATE)
    assert install.argv == (
        *("/bin/sh", "-c", pacman._MOUNTED, "sh", ROOT),
        *("/usr/bin/pacman", "-r", ROOT, "-Sy", "--noconfirm", "--noprogressbar"),
        *("--config", f"{PRIVATE}/pacman.conf", "--cachedir", f"{PRIVATE}/pkg"),
        *words,
    )
    assert keyring.argv == (
        *("/bin/sh", "-c", pacman._MOUNTED, "sh", ROOT),
        *("/bin/sh", "-c", pacman._KEYRING, "sh", ROOT),
    )
    assert (folders.inside, install.inside, keyring.inside) == (False, False, False)
    assert (install.name, keyring.name) == ("pacman", "pacman-key")


@pytest.mark.parametrize("script", [pacman._FOLDERS, pacman._MOUNTED, pacman._KEYRING])
def test_scripts_are_shell(script: str) -> None:
    subprocess.run(["/bin/sh", "-nc", script], check=True)


def test_records() -> None:
    assert build_time(DESC) == 1_700_000_000
    assert with_install_time(DESC, 5) == DESC.replace("%INSTALLDATE%\n1800000000", "%INSTALLDATE%\n5")
    assert (build_time("%NAME%\nx\n"), with_install_time("%NAME%\nx\n", 5)) == (None, "%NAME%\nx\n")


def test_versions_and_indexes() -> None:
    assert parse_major(b" .--.      Pacman v6.0.2 - libalpm v13.0.2\n") == 6
    assert parse_major(b"Pacman v7.1") == 7
    assert parse_major(b"?") == 6
    assert Repository(name="core", servers=("http://m/core/os/x86_64/",)).index == "http://m/core/os/x86_64/core.db"
