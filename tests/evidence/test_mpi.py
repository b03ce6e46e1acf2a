"""What MPI is found in real images, and in made-up ones for what no package here has."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from sealift.core.mpi import ImageMpi, MpiLibrary
from sealift.evidence.hostmpi import collect
from sealift.evidence.mpi import find_mpi, newest_glibc, read_library
from sealift.evidence.opening import open_image
from sealift.flows.mpi import HostLibraries
from tests.evidence.conftest import Content, write_root

MPICH = MpiLibrary(
    implementation="mpich",
    family="mpich",
    path="/usr/lib/x86_64-linux-gnu/libmpich.so.12.2.2",
    soname="libmpich.so.12",
    version="4.0.2",
    device="ch4:ucx",
    pmi=("pmi1",),
    transports=("ucx",),
    glibc="2.34",
)
OPENMPI = MpiLibrary(
    implementation="openmpi",
    family="openmpi",
    path="/usr/lib/x86_64-linux-gnu/libmpi.so.40.30.4",
    soname="libmpi.so.40",
    version="4.1.4",
    pmi=("pmix",),
    transports=("ucx", "ofi"),
    glibc="2.34",
)
REAL = ImageMpi(
    libc="glibc",
    glibc="2.36",
    architecture="amd64",
    launcher="/usr/bin/mpiexec",
    python="/usr/bin/python3",
)
"""What Debian 12's packages are on amd64."""


@pytest.mark.slow
@pytest.mark.needs("root", "mmdebstrap", "mirror", "bookworm-amd64")
def test_debian_s_mpich_and_open_mpi(mpich_image: Path, openmpi_image: Path) -> None:
    with open_image(str(mpich_image)) as opened:
        assert find_mpi(opened) == replace(REAL, libraries=(MPICH,))
        assert find_mpi(opened, "mpichversion") == replace(REAL, libraries=(MPICH,), asked="libmpich.so.12")
        assert find_mpi(opened, "/usr/bin/env") == replace(REAL, libraries=(MPICH,))
    with open_image(str(openmpi_image)) as opened:
        assert find_mpi(opened) == replace(REAL, libraries=(OPENMPI,))
        assert find_mpi(opened, "ompi_info") == replace(REAL, libraries=(OPENMPI,), asked="libmpi.so.40")


@pytest.mark.slow
@pytest.mark.needs("mpich")
def test_the_host_s_library_comes_with_all_that_the_loader_would_load() -> None:
    """Judged by ldd: the same files, but for the C library's own."""
    find = HostLibraries({})
    found = collect("libmpich.so.12", find)
    assert found is not None
    path = find("libmpich.so.12")
    assert path is not None
    listed = subprocess.run(["ldd", path], check=True, capture_output=True, text=True).stdout
    loaded = {line.split()[0]: str(Path(line.split()[2]).resolve()) for line in listed.splitlines() if " => /" in line}
    own = {"libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libresolv.so.2"}
    wanted = {name: place for name, place in loaded.items() if name not in own}
    others = ("libmpichfort.so.12", "libmpichcxx.so.12", "libgfortran.so.5", "libquadmath.so.0", "libstdc++.so.6")
    ours = {name: place for name, place in found.files.items() if name not in others}
    assert {**ours, "libgcc_s.so.1": ""} == {**wanted, "libmpich.so.12": str(Path(path).resolve()), "libgcc_s.so.1": ""}
    # Under the name that upstream's MPICH has it is the same library.
    again = collect("libmpi.so.12", find)
    assert again is not None
    assert again.files["libmpi.so.12"] == found.files["libmpich.so.12"]
    assert again.library == found.library
    assert collect("libc.so.6", find) is None
    assert collect("libmpi.so.40", lambda _: None) is None


@pytest.mark.parametrize(
    ("versions", "newest"),
    [((), ""), (("GLIBC_2.4", "GLIBC_2.34", "GLIBC_2.5"), "2.34"), (("GLIBC_PRIVATE", "GLIBCXX_3.4.29"), "")],
)
def test_the_newest_glibc(versions: tuple[str, ...], newest: str) -> None:
    assert newest_glibc(versions) == newest


C_LIBRARY = {
    "MPII_Version_string": "3.4.3",
    "MPII_Version_device": "ch4:ofi",
}
"""What MPICH's library says of itself, by symbol."""


def library(
    folder: Path, name: str, *, soname: str, symbols: dict[str, str], text: str = "", needed: tuple[str, ...] = ()
) -> bytes:
    """A real shared library that says and needs what an MPI of that kind does."""
    folder.mkdir(exist_ok=True)
    source = "".join(f'const char {each}[] = "{value}";\n' for each, value in symbols.items())
    source += f'const char sealift_text[] = "{text}";\n' if text else ""
    (folder / "it.c").write_text(source)
    below = []
    for each in needed:
        (folder / "below.c").write_text("")
        target = folder / each
        _gcc("-shared", "-nostdlib", "-o", target, f"-Wl,-soname,{each}", folder / "below.c")
        below.append(target)
    _gcc(
        *("-shared", "-nostdlib", "-o", folder / name, f"-Wl,-soname,{soname}", "-Wl,--no-as-needed"),
        *(folder / "it.c", *below),
    )
    return (folder / name).read_bytes()


def _gcc(*words: str | Path) -> None:
    subprocess.run(["gcc", *map(str, words)], check=True, capture_output=True)


@dataclass(frozen=True, kw_only=True)
class Made:
    """A library that says `symbols` and `text` and needs `needed`, with `plugins` beside it; what is seen of it."""

    symbols: dict[str, str]
    text: str = ""
    needed: tuple[str, ...] = ()
    plugins: tuple[str, ...] = ()
    seen: MpiLibrary


OWN = replace(MPICH, path="/x", soname="libmpi.so.12", version="3.4.3", device="ch4:ofi", transports=("ofi",), glibc="")
BARE = replace(OWN, device="", transports=())
"""One that says nothing of how it sends."""
OPEN = replace(OPENMPI, path="/x", glibc="")
MADE = {
    "MPICH of one's own": Made(symbols=C_LIBRARY, seen=OWN),
    "MPICH whose symbols are hidden": Made(
        symbols={},
        text="MPICH Version:      %s\\n/mpich-5.0.2/src/mpi/init/mpir_init.c",
        seen=replace(BARE, implementation="mpich", version="5.0.2", pmi=("pmi1", "pmi2")),
    ),
    "MPICH for PMIx": Made(
        symbols=C_LIBRARY | {"MPII_Version_string": "4.2.0"},
        needed=("libpmix.so.2",),
        seen=replace(OWN, version="4.2.0", pmi=("pmix",)),
    ),
    "MPICH 4.2 speaks both": Made(
        symbols=C_LIBRARY | {"MPII_Version_string": "4.2.1"},
        needed=("libfabric.so.1",),
        seen=replace(OWN, version="4.2.1", pmi=("pmi1", "pmi2")),
    ),
    "Cray MPICH": Made(
        symbols={"MPII_Version_string": "3.4a2", "MPII_Version_device": "ch4:ofi"},
        text="MPI VERSION    : CRAY MPICH version 8.1.28.15 (ANL base 3.4a2)",
        needed=("libpmi.so.0", "libpmi2.so.0"),
        seen=replace(OWN, implementation="cray-mpich", version="8.1.28.15", pmi=("pmi1", "pmi2")),
    ),
    "Intel MPI": Made(
        symbols={},
        text="Intel(R) MPI Library 2021.11 for Linux* OS",
        seen=replace(BARE, implementation="intel-mpi", version="2021.11", pmi=("pmi1", "pmi2")),
    ),
    "MVAPICH": Made(
        symbols={"MPII_Version_string": "2.3.7"},
        text="MVAPICH2 Version      : %s",
        needed=("libpmi2.so.0",),
        seen=replace(BARE, implementation="mvapich", version="2.3.7", pmi=("pmi2",)),
    ),
    "ParaStation": Made(
        symbols={"MPII_Version_string": "5.4.11"},
        needed=("libpscom.so.2",),
        seen=replace(BARE, implementation="parastation", version="5.4.11"),
    ),
    "Open MPI 4 with PMI-2": Made(
        symbols={"ompi_version_string": "4.0.3"},
        plugins=("mca_pmix_s1.so", "mca_pmix_s2.so", "mca_pmix_pmix3x.so", "mca_pml_ucx.so", "mca_btl_tcp.so"),
        seen=replace(OPEN, version="4.0.3", pmi=("pmi1", "pmi2", "pmix"), transports=("ucx",)),
    ),
    "Open MPI 5": Made(
        symbols={"ompi_version_string": "5.0.7"},
        needed=("libpmix.so.2", "libfabric.so.1"),
        seen=replace(OPEN, version="5.0.7", transports=("ofi",)),
    ),
    "the standard ABI": Made(
        symbols=C_LIBRARY | {"MPII_Version_string": "5.0.0"},
        seen=replace(OWN, family="standard", soname="libmpi_abi.so.1", version="5.0.0", pmi=("pmi1", "pmi2")),
    ),
}


@pytest.mark.slow
@pytest.mark.needs("gcc")
@pytest.mark.parametrize("name", MADE)
def test_families_and_what_they_speak(name: str, tmp_path: Path) -> None:
    made = MADE[name]
    data = library(tmp_path, "it.so", soname=made.seen.soname, symbols=made.symbols, text=made.text, needed=made.needed)
    assert read_library("/x", lambda offset, size: data[offset : offset + size], made.plugins) == made.seen


@pytest.mark.slow
@pytest.mark.needs("gcc")
def test_of_several_the_program_s_own_counts(tmp_path: Path) -> None:
    mpich = library(tmp_path / "a", "libmpi.so.12", soname="libmpi.so.12", symbols=C_LIBRARY)
    openmpi = library(tmp_path / "b", "libmpi.so.40", soname="libmpi.so.40", symbols={"ompi_version_string": "4.1.4"})
    (tmp_path / "main.c").write_text("void _start(void) {}\n")
    for name, folder in (("with-mpich", "a/libmpi.so.12"), ("with-openmpi", "b/libmpi.so.40")):
        _gcc("-nostdlib", "-Wl,--no-as-needed", "-o", tmp_path / name, tmp_path / "main.c", tmp_path / folder)
    content: dict[str, Content] = {
        "usr/lib/libmpi.so.40": openmpi,
        "opt/mpich/lib/libmpi.so.12": mpich,
        "opt/mpich/lib/libmpi.so": "libmpi.so.12",
        "usr/bin/one": (tmp_path / "with-mpich").read_bytes(),
        "usr/local/bin/two": (tmp_path / "with-openmpi").read_bytes(),
        "usr/bin/script": b"#!/bin/sh\n",
    }
    root = write_root(tmp_path / "root", content)
    with open_image(str(root)) as opened:
        seen = {
            program: ([each.path for each in found.libraries], found.asked)
            for program in ("", "one", "/usr/local/bin/two", "script", "nobody")
            for found in [find_mpi(opened, program)]
        }
    both = ["/opt/mpich/lib/libmpi.so.12", "/usr/lib/libmpi.so.40"]
    assert seen == {
        "": (both, ""),
        "one": (both[:1], "libmpi.so.12"),
        "/usr/local/bin/two": (both[1:], "libmpi.so.40"),
        "script": (both, ""),
        "nobody": (both, ""),
    }


@pytest.mark.slow
@pytest.mark.needs("gcc")
def test_an_mpi_inside_a_program_is_a_guess_from_its_texts(tmp_path: Path) -> None:
    padding = "static const char more[400000] = {1}; const char *p = more;"
    (tmp_path / "m.c").write_text(
        f'const char t[] = "MPICH Version:      %s"; {padding} int main() {{ return !*p; }}\n'
    )
    (tmp_path / "o.c").write_text(f"{padding} int main() {{ return !*p; }}\n")
    for name in ("m", "o"):
        _gcc("-o", tmp_path / name, tmp_path / f"{name}.c")
    content: dict[str, Content] = {
        "opt/app/bin/solver": (tmp_path / "m").read_bytes(),
        "opt/app/bin/other": (tmp_path / "o").read_bytes(),
        "usr/bin/solver": (tmp_path / "m").read_bytes(),
    }
    root = write_root(tmp_path / "root", content)
    for name in content:
        (root / name).chmod(0o755)
    with open_image(str(root)) as opened:
        found, named, other = (find_mpi(opened, name) for name in ("", "solver", "/opt/app/bin/other"))
    assert found == ImageMpi(static=("/opt/app/bin/solver",), static_family="mpich")
    assert named == ImageMpi(static=("/usr/bin/solver",), static_family="mpich")
    assert other == ImageMpi()


def test_an_image_without_anything(tmp_path: Path) -> None:
    root = write_root(
        tmp_path / "root", {"usr/lib/libmpi.so.12": b"no ELF file", "lib/libmpi.so.40": b"\x7fELF\x02\x01"}
    )
    with open_image(str(root)) as opened:
        assert find_mpi(opened) == ImageMpi()
