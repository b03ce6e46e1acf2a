"""The probe for each kind of image: its files and its whole command; and what its failure means."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from sealift.core.mpi import ImageMpi, MpiLibrary, Probe
from sealift.engines.mpiprobe import make_probe, singletons, text

LIBRARY = MpiLibrary(
    implementation="mpich",
    family="mpich",
    path="/usr/local/lib/libmpi.so.12.1.10",
    soname="libmpi.so.12",
    version="3.4.3",
    pmi=("pmi1",),
)
IMAGE = ImageMpi(libraries=(LIBRARY,), libc="glibc", glibc="2.39", python="/usr/bin/python3", compiler="/usr/bin/cc")
WORDS = (
    "library=libmpi.so.12",
    "path=/usr/local/lib/libmpi.so.12.1.10",
    "world=0x44000000",
    "byte=0x4c00010d",
    "int64=0x4c00083a",
    "sum=0x58000003",
)
OPENMPI = replace(
    LIBRARY, implementation="openmpi", family="openmpi", soname="libmpi.so.40", version="5.0.7", pmi=("pmix",)
)
SCRIPT = '/usr/bin/cc -O1 -o "$exe" -x c - -ldl && "$exe" "$@"; n=$?; rm -f "$exe"; exit $n'


def test_python_first() -> None:
    probe = make_probe(IMAGE, compiled=b"program")
    assert probe == Probe(
        program=text("ranks.py"),
        words=("/usr/bin/python3", "{file}", *WORDS),
        by_text=("/usr/bin/python3", "-I", "-c", "{text}", *WORDS),
    )
    assert probe.command("/scratch/me/ranks", "tasks=2") == (
        "/usr/bin/python3",
        "/scratch/me/ranks",
        *WORDS,
        "tasks=2",
    )
    assert probe.command_by_text("import os", "tasks=2") == (
        *("/usr/bin/python3", "-I", "-c", "import os"),
        *WORDS,
        "tasks=2",
    )


def test_then_the_image_s_compiler() -> None:
    assert make_probe(replace(IMAGE, python=""), compiled=b"program") == Probe(
        program=text("ranks.c"),
        words=("sh", "-c", f'exe=$(mktemp) && cat "$0" | {SCRIPT}', "{file}", *WORDS),
        by_text=("sh", "-c", f'exe=$(mktemp) && printf %s "$0" | {SCRIPT}', "{text}", *WORDS),
    )


def test_then_this_host_s() -> None:
    bare = replace(IMAGE, python="", compiler="")
    assert make_probe(bare, compiled=b"program") == Probe(program=b"program", words=("{file}", *WORDS))
    assert make_probe(bare) is None
    # The host's MPI may come in for a program that asks for one, under the name that it asks for.
    lacking = make_probe(ImageMpi(asked="libmpi.so.12", python="/usr/bin/python3"))
    assert lacking is not None
    assert lacking.words[2:] == ("library=libmpi.so.12", "path=libmpi.so.12", *WORDS[2:])
    assert make_probe(ImageMpi(static=("/opt/app",), static_family="mpich", python="/usr/bin/python3")) is None


def test_the_other_families_and_the_table_of_messages() -> None:
    openmpi = make_probe(replace(IMAGE, libraries=(OPENMPI,)), measure=True)
    assert openmpi is not None
    assert openmpi.words[2:] == (
        "library=libmpi.so.40",
        "path=/usr/local/lib/libmpi.so.12.1.10",
        "world=&ompi_mpi_comm_world",
        "byte=&ompi_mpi_byte",
        "int64=&ompi_mpi_int64_t",
        "sum=&ompi_mpi_op_sum",
        "messages=8:400,1024:400,65536:200,1048576:40,4194304:20",
    )
    standard = make_probe(replace(IMAGE, libraries=(replace(LIBRARY, family="standard"),), asked="libmpi_abi.so.1"))
    assert standard is not None
    assert standard.words[2:] == (
        "library=libmpi_abi.so.1",
        "path=/usr/local/lib/libmpi.so.12.1.10",
        "world=0x101",
        "byte=0x247",
        "int64=0x258",
        "sum=0x21",
    )


@pytest.mark.parametrize(
    ("pmi", "says"),
    [
        (
            "pmi2",
            "2 tasks came up as 2 worlds of size 1: the launcher speaks pmi2, the image's Open MPI 5.0.7 speaks PMIx",
        ),
        (
            "none",
            (
                "2 tasks came up as 2 worlds of size 1: the launcher told ranks nothing (--mpi=none), the image's Open "
                "MPI 5.0.7 speaks PMIx"
            ),
        ),
        (
            "",
            (
                "2 tasks came up as 2 worlds of size 1: what the launcher speaks is the site's default, the image's "
                "Open MPI 5.0.7 speaks PMIx"
            ),
        ),
    ],
)
def test_what_singletons_mean(pmi: str, says: str) -> None:
    assert singletons(replace(IMAGE, libraries=(OPENMPI,)), pmi=pmi, tasks=2) == says


# The programs themselves, beside each other, with this machine's own MPI


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("ranks")
    (folder / "ranks.c").write_bytes(text("ranks.c"))
    argv = [
        "gcc",
        "-std=c99",
        "-Wall",
        "-Wextra",
        "-Werror",
        "-o",
        str(folder / "ranks"),
        str(folder / "ranks.c"),
        "-ldl",
    ]
    subprocess.run(argv, check=True)
    return str(folder / "ranks")


@pytest.fixture(params=["python", "python by text", "c", "compiled inside", "compiled inside by text"])
def program(request: pytest.FixtureRequest, compiled: str, tmp_path: Path) -> list[str]:
    if request.param == "c":
        return [compiled]
    image = replace(IMAGE, python=sys.executable if request.param.startswith("python") else "")
    probe = make_probe(image)
    assert probe is not None
    if request.param.endswith("by text"):
        return list(probe.command_by_text(probe.program.decode())[: -len(WORDS)])
    (tmp_path / "ranks").write_bytes(probe.program)
    return list(probe.command(str(tmp_path / "ranks"))[: -len(WORDS)])


MINE = ["library=libmpich.so.12", "path=/nowhere", *WORDS[2:]]


def lines(done: subprocess.CompletedProcess[bytes]) -> list[dict[str, object]]:
    return [json.loads(line) for line in done.stdout.decode().splitlines()]


@pytest.mark.slow
@pytest.mark.needs("gcc", "mpich")
def test_two_ranks(program: list[str]) -> None:
    launch = ["mpiexec.mpich", "-n", "2", *program, *MINE, "tasks=2", "messages=8:3,70000:2"]
    done = subprocess.run(launch, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    said = lines(done)
    ranks = sorted((each for each in said if each["kind"] == "rank"), key=lambda each: str(each["rank"]))
    assert [(each["rank"], each["size"]) for each in ranks] == [(0, 2), (1, 2)]
    assert [list(each) for each in ranks] == [["kind", "rank", "size", "host", "library", "version"]] * 2
    assert all(str(each["version"]).startswith("MPICH Version: ") for each in ranks)
    assert [each for each in said if each["kind"] in ("allreduce", "ring")] == [
        {"kind": "allreduce", "expected": 3000009, "found": 3000009},
        {"kind": "ring", "expected": 3, "found": 3},
    ]
    pairs = [each for each in said if each["kind"] == "pair"]
    assert [(each["bytes"], list(each)) for each in pairs] == [
        (size, ["kind", "bytes", "microseconds", "rate"]) for size in (8, 70000)
    ]


@pytest.mark.slow
@pytest.mark.needs("gcc", "mpich")
def test_a_world_of_another_size_and_a_library_that_is_not_there(program: list[str]) -> None:
    alone = subprocess.run([*program, *MINE, "tasks=2"], capture_output=True, check=False)
    assert (alone.returncode, [(each["rank"], each["size"]) for each in lines(alone)]) == (3, [(0, 1)])
    words = ["library=libnobody.so.7", "path=/nowhere/libnobody.so.7", *WORDS[2:], "tasks=2"]
    missing = subprocess.run([*program, *words], capture_output=True, check=False)
    assert (missing.returncode, missing.stdout) == (5, b"")
    assert missing.stderr.decode() == (
        "sealift: the image's MPI cannot be loaded: libnobody.so.7: cannot open shared object file: No such file or "
        "directory\n"
    )
