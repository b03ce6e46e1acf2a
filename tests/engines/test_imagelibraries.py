"""What is seen of an image's libraries, in a folder made by the real linker and ldconfig."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sealift.engines.imagelibraries import ImageLibraries, look_at_libraries, needed_glibc, newest
from sealift.sections.root import DirectoryRoot
from tests.ground.driver import make_library, write_cache

MACHINE = os.uname().machine


@pytest.mark.parametrize(
    ("versions", "number"),
    [
        ((), None),
        (("GLIBC_2.2.5", "GLIBC_2.38", "GLIBC_2.4", "GLIBC_PRIVATE"), 38),
        (("GLIBC_2.34", "GLIBC_ABI_DT_RELR"), 36),
        (("GLIBCXX_3.4.32", "CXXABI_1.3"), None),
    ],
)
def test_the_newest_glibc_among_versions(versions: tuple[str, ...], number: int | None) -> None:
    assert newest(versions) == number


@pytest.mark.slow
@pytest.mark.needs("ldconfig", "binutils")
def test_an_image_with_glibc(tmp_path: Path) -> None:
    versions = {"a": "GLIBC_2.2.5", "b": "GLIBC_2.35"}
    make_library(tmp_path / "usr/lib/libc.so.6", "libc.so.6", gives=versions)
    make_library(tmp_path / "opt/own/libown.so.4.2", "libown.so.4")
    make_library(tmp_path / "usr/lib64/liblater.so.1", "liblater.so.1")
    (tmp_path / "lib").symlink_to("usr/lib")
    write_cache(tmp_path, ["/opt/own"])
    found = look_at_libraries(DirectoryRoot(path=str(tmp_path)), MACHINE)
    names = {"libc.so.6", "libown.so.4", "liblater.so.1"}
    assert found == ImageLibraries(names=frozenset(names), glibc=35, musl=False)
    (tmp_path / "etc/ld.so.cache").unlink()
    found = look_at_libraries(DirectoryRoot(path=str(tmp_path)), MACHINE)
    assert found == ImageLibraries(names=frozenset(names - {"libown.so.4"}), glibc=35, musl=False)


def test_an_image_with_musl_and_one_with_nothing(tmp_path: Path) -> None:
    nothing = ImageLibraries(names=frozenset(), glibc=None, musl=False)
    assert look_at_libraries(DirectoryRoot(path=str(tmp_path)), MACHINE) == nothing
    (tmp_path / "lib").mkdir()
    for name in (f"ld-musl-{MACHINE}.so.1", f"libc.musl-{MACHINE}.so.1"):
        (tmp_path / "lib" / name).write_text("")
    found = look_at_libraries(DirectoryRoot(path=str(tmp_path)), MACHINE)
    names = frozenset({f"ld-musl-{MACHINE}.so.1", f"libc.musl-{MACHINE}.so.1"})
    assert found == ImageLibraries(names=names, glibc=None, musl=True)


@pytest.mark.slow
@pytest.mark.needs("binutils")
def test_what_glibc_a_library_needs(tmp_path: Path) -> None:
    assert needed_glibc(str(make_library(tmp_path / "liba.so.1", "liba.so.1", needs_glibc=38))) == 38
    assert needed_glibc(str(make_library(tmp_path / "libb.so.1", "libb.so.1"))) is None
    (tmp_path / "libc.txt").write_text("no library")
    assert needed_glibc(str(tmp_path / "libc.txt")) is None
    assert needed_glibc(str(tmp_path / "none")) is None
