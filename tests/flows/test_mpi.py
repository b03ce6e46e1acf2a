"""`sealift mpi` with real images on a real Slurm of three nodes, under Apptainer and under our own engine."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sealift.core.mpi import ImageMpi, Wireup
from sealift.engines.mpiprobe import make_probe
from sealift.engines.wireup import wire_up
from sealift.evidence.mpi import find_mpi
from sealift.evidence.opening import open_image
from sealift.evidence.ranks import read_ranks
from sealift.flows.mpi import compile_probe
from sealift.flows.mpiverdict import judge
from sealift.sites.catalogue import load_catalogue
from tests.ground.slurm import Slurm
from tests.ground.users import AsUser

pytestmark = [pytest.mark.slow, pytest.mark.needs("root", "slurm", "mmdebstrap", "mirror", "subuid-user", "squashfuse")]

MPICH = "/usr/lib/x86_64-linux-gnu/libmpich.so.12.2.2"
OPENMPI = "/usr/lib/x86_64-linux-gnu/libmpi.so.40.30.4"
ENGINES = [pytest.param("apptainer", marks=pytest.mark.needs("apptainer")), "embedded"]

Check = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture
def check(slurm: Slurm, as_user: AsUser) -> Check:
    """`check(image, "--nodes", "3", allocated=3)`: the exit code and the report of an ordinary user's `mpi check`."""

    def call(image: Path, *words: str, allocated: int = 0) -> tuple[int, dict[str, Any]]:
        alloc = ["salloc", "--quiet", f"--nodes={allocated}"] if allocated else []
        argv = [*alloc, "sealift", "mpi", "check", str(image), "--json", *words]
        done = as_user(argv, env=slurm.environment, timeout=300)
        assert done.stdout, done.stderr.decode()
        assert list(as_user.folder().glob(".sealift-mpi-*")) == []
        return done.returncode, json.loads(done.stdout)

    return call


def told(report: Mapping[str, Any]) -> dict[str, str]:
    """The findings by id: `ok`, or all that is said."""
    if not report["good"]:
        print("\n".join(report["tail"]))
    return {
        each["id"]: "ok" if each["severity"] == "ok" else f"{each['severity']}: {each['what']} ({each['evidence']})"
        for each in report["findings"]
    }


GOOD = {
    "mpi.world": "ok",
    "mpi.library": "ok",
    "mpi.allreduce": "ok",
    "mpi.ring": "ok",
    "mpi.transport": "ok",
}


@pytest.mark.parametrize("engine", ENGINES)
def test_mpich_by_pmi2_on_three_nodes(check: Check, mpich_image: Path, engine: str) -> None:
    code, report = check(mpich_image, "--engine", engine, allocated=3)
    assert (code, told(report), report["tasks"], report["alone"]) == (0, GOOD, 6, False)
    assert [(each["rank"], each["size"], each["host"]) for each in report["said"]["ranks"]] == [
        (number, 6, f"nid00{number // 2 + 1}") for number in range(6)
    ]
    assert {each["library"] for each in report["said"]["ranks"]} == {MPICH}
    assert {each["version"] for each in report["said"]["ranks"]} == {"MPICH 4.0.2"}
    assert report["said"]["sums"] == {"allreduce": [21 * 1000003] * 2, "ring": [21, 21]}
    assert [each["bytes"] for each in report["said"]["pairs"]] == [8, 1024, 65536, 1048576, 4194304]
    assert all(each["microseconds"] > 0 for each in report["said"]["pairs"])
    assert report["wireup"]["pmi"] == "pmi2"
    assert any(each.startswith("UCX: ") for each in report["said"]["by"])


@pytest.mark.parametrize("engine", ENGINES)
def test_open_mpi_by_pmix_on_three_nodes(check: Check, openmpi_image: Path, engine: str) -> None:
    code, report = check(openmpi_image, "--engine", engine, "--tasks-per-node", "1", allocated=3)
    assert (code, told(report), report["wireup"]["pmi"]) == (0, GOOD, "pmix")
    assert [(each["rank"], each["size"], each["host"]) for each in report["said"]["ranks"]] == [
        (0, 3, "nid001"),
        (1, 3, "nid002"),
        (2, 3, "nid003"),
    ]
    assert {each["library"] for each in report["said"]["ranks"]} == {OPENMPI}
    assert report["said"]["by"] == ["Open MPI: ob1", "Open MPI: tcp"]


@pytest.mark.parametrize("engine", ENGINES)
def test_open_mpi_s_shared_memory_between_containers_of_one_node(
    check: Check, openmpi_image: Path, engine: str
) -> None:
    code, report = check(openmpi_image, "--engine", engine, "--tasks-per-node", "2", allocated=1)
    assert (code, told(report)) == (0, GOOD)
    assert report["said"]["by"] == ["Open MPI: ob1", "Open MPI: vader"]


@pytest.mark.needs("mpich")
@pytest.mark.parametrize("engine", ENGINES)
def test_the_host_s_mpich_over_the_image_s(check: Check, mpich_image: Path, engine: str) -> None:
    code, report = check(mpich_image, "--engine", engine, "--mpi-model", "bind", allocated=3)
    assert (code, told(report)) == (0, GOOD)
    # What the kernel says is mapped where the function lies.
    assert {each["library"] for each in report["said"]["ranks"]} == {"/opt/sealift-host-mpi/libmpich.so.12"}
    assert report["said"]["sums"] == {"allreduce": [21 * 1000003] * 2, "ring": [21, 21]}


def test_singletons_are_a_no_with_the_reason(check: Check, mpich_image: Path) -> None:
    code, report = check(mpich_image, "--engine", "embedded", "--mpi", "none", "--tasks-per-node", "1", allocated=2)
    assert code == 1
    assert report["findings"][0] == {
        "id": "mpi.world",
        "severity": "error",
        "what": (
            "2 tasks came up as 2 worlds of size 1: the launcher told ranks nothing (--mpi=none), the image's MPICH "
            "4.0.2 speaks PMI-1"
        ),
        "evidence": "",
        "remedy": "srun --mpi=pmi2",
    }
    assert [each["size"] for each in report["said"]["ranks"]] == [1, 1]


def test_a_wrong_type_is_a_no_with_the_reason(check: Check, openmpi_image: Path) -> None:
    code, report = check(openmpi_image, "--engine", "embedded", "--mpi", "pmi2", "--tasks-per-node", "1", allocated=2)
    first = report["findings"][0]
    assert (code, first["severity"], first["what"], first["remedy"]) == (
        1,
        "error",
        "the image's Open MPI waited for PMIx, and the launcher speaks something else",
        "srun --mpi=pmix",
    )


def test_a_type_that_slurm_has_not(check: Check, mpich_image: Path) -> None:
    code, report = check(mpich_image, "--engine", "embedded", "--mpi", "pmi9", allocated=1)
    first = report["findings"][0]
    assert (code, first["severity"], first["what"], first["remedy"]) == (
        1,
        "error",
        "this Slurm has no such PMI type",
        "see what there is: srun --mpi=list",
    )


@pytest.mark.parametrize("engine", ENGINES)
def test_without_slurm_the_image_s_own_mpiexec_starts_them(
    as_user: AsUser, mpich_image: Path, openmpi_image: Path, engine: str
) -> None:
    for image, library in ((mpich_image, MPICH), (openmpi_image, OPENMPI)):
        done = as_user(["sealift", "mpi", "check", str(image), "--engine", engine, "--json"], timeout=300)
        report = json.loads(done.stdout)
        assert (done.returncode, told(report), report["alone"]) == (0, GOOD, True)
        assert [(each["rank"], each["size"], each["library"]) for each in report["said"]["ranks"]] == [
            (0, 2, library),
            (1, 2, library),
        ]


LACKS = {
    "shared memory through /proc": ({}, "tasks=2"),
    "reading another process's memory": ({"UCX_POSIX_USE_PROC_LINK": "n"}, "messages=4194304:2"),
}


@pytest.mark.needs("apptainer")
@pytest.mark.parametrize("lacks", LACKS)
def test_ucx_without_its_variables_fails_between_user_namespaces_and_that_is_recognised(
    slurm: Slurm, as_user: AsUser, mpich_image: Path, lacks: str
) -> None:
    """What the wire-up sets is there for a reason: each variable alone is not enough."""
    env, word = LACKS[lacks]
    image = found(mpich_image)
    probe = make_probe(image)
    assert probe is not None
    folder = as_user.folder()
    (folder / "ranks").write_bytes(probe.program)
    start = ["srun", "--nodes=1", "--ntasks=2", "--overcommit", "--mpi=pmi2", "--wait=1", "--time=1"]
    flags = [each for name, value in env.items() for each in ("--env", f"{name}={value}")]
    exec_ = ["sealift", "exec", "--engine", "apptainer", "-B", str(folder), *flags, str(mpich_image)]
    done = as_user(
        [*start, *exec_, *probe.command(str(folder / "ranks"), "tasks=2", word)], env=slurm.environment, timeout=200
    )
    err = done.stderr.decode()
    findings = judge(
        image,
        Wireup(model="container", pmi="pmi2"),
        read_ranks(done.stdout.decode(), err),
        tasks=2,
        code=done.returncode,
        talk=err.splitlines(),
        alone=False,
    )
    bad = [each for each in findings if each.severity == "error"]
    assert [(each.what, each.remedy) for each in bad] == [
        (
            "ranks of one node cannot reach each other's memory: each has a user namespace of its own",
            "UCX_POSIX_USE_PROC_LINK=n and UCX_TLS=^cma, or one container a node: sealift job",
        )
    ], err


def test_a_crash_at_the_start_under_pmix_is_known(openmpi_image: Path) -> None:
    talk = """\
[nid002:15027] *** Process received signal ***
[nid002:15027] Signal: Segmentation fault (11)
[nid002:15027] Signal code: Address not mapped (1)
[nid002:15027] Failing at address: (nil)
[nid002:15027] *** End of error message ***
srun: error: nid002: task 1: Segmentation fault"""
    (world,) = judge(
        found(openmpi_image),
        Wireup(model="container", pmi="pmix"),
        read_ranks("", talk),
        tasks=3,
        code=139,
        talk=talk.splitlines(),
        alone=False,
    )
    assert (world.severity, world.what, world.remedy) == (
        "error",
        "a rank of Open MPI crashed at its start, as some do where Slurm's PMIx has fences of two kinds",
        "export SLURM_PMIX_FENCE=tree, and try again",
    )


@pytest.mark.needs("gcc")
def test_the_program_in_c_says_the_same_as_the_one_in_python(
    slurm: Slurm, as_user: AsUser, mpich_image: Path, openmpi_image: Path, tmp_path: Path
) -> None:
    folder = as_user.folder()
    for image, pmi in ((mpich_image, "pmi2"), (openmpi_image, "pmix")):
        mpi = found(image)
        said = []
        for which in (mpi, without_python(mpi)):
            compiled = b"" if which.python else compile_probe(which, as_user.environment(), str(tmp_path))
            probe = make_probe(which, compiled=compiled, measure=True)
            assert probe is not None
            (folder / "ranks").write_bytes(probe.program)
            (folder / "ranks").chmod(0o755)
            wireup = wire_up(which, load_catalogue({"HOME": "/"}).find("slurm"), engine="embedded", gpu=False)
            flags = [each for name, value in wireup.env.items() for each in ("--env", f"{name}={value}")]
            # A node has one rank only: Debian's Open MPI takes the host's name for the node's, which all three share.
            done = as_user(
                [
                    *("srun", "--nodes=3", "--ntasks=3", f"--mpi={pmi}"),
                    *("sealift", "exec", "--engine", "embedded", "-B", str(folder), *flags, str(image)),
                    *probe.command(str(folder / "ranks"), "tasks=3"),
                ],
                env=slurm.environment,
                timeout=200,
            )
            assert done.returncode == 0, done.stderr.decode()
            read = read_ranks(done.stdout.decode(), "")
            said.append((read.ranks, read.sums, [each.bytes for each in read.pairs]))
        assert said[0] == said[1]


def found(image: Path) -> ImageMpi:
    with open_image(str(image)) as opened:
        return find_mpi(opened)


def without_python(mpi: ImageMpi) -> ImageMpi:
    return replace(mpi, python="")


def test_nothing_of_a_check_stays_when_it_is_ended(as_user: AsUser, mpich_image: Path, tmp_path: Path) -> None:
    """With a launcher that waits for ever."""
    programs = as_user.folder() / "bin"
    programs.mkdir()
    (programs / "srun").write_text('#!/bin/sh\n[ "$1" = --mpi=list ] && exit\necho $$ > pid\nexec sleep 300\n')
    (programs / "srun").chmod(0o755)
    as_user.give(programs)
    env = {"PATH": f"{programs}:{as_user.environment()['PATH']}", "SLURM_JOB_ID": "1"}
    # What one that is killed leaves, the next one removes.
    for number, code in ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130), (signal.SIGTERM, -signal.SIGTERM)):
        process = as_user.popen(["sealift", "mpi", "check", str(mpich_image), "--engine", "embedded"], env=env)
        pid = as_user.folder() / "pid"
        while not (pid.exists() and pid.read_text().endswith("\n")):
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        assert len(list(as_user.folder().glob(".sealift-mpi-*"))) == 1
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        assert process.returncode == code, err
        assert len(list(as_user.folder().glob(".sealift-mpi-*"))) == (number == signal.SIGKILL)
        if number == signal.SIGKILL:
            os.kill(int(pid.read_text()), signal.SIGKILL)
        gone = Path(f"/proc/{pid.read_text().strip()}")
        for _ in range(500):
            if not gone.exists():
                break
            time.sleep(0.02)
        assert not gone.exists()
        pid.unlink()


SHOWN = """\
MPICH 4.0.2
  file       /usr/lib/x86_64-linux-gnu/libmpich.so.12.2.2
  name       libmpich.so.12
  ABI        mpich
  device     ch4:ucx
  speaks     pmi1
  carries by ucx
  wants      glibc 2.34
  C library  glibc 2.36
  mpiexec    /usr/bin/mpiexec
  python     /usr/bin/python3

on perlmutter-gpu with podman-hpc
✗ the image's MPI is called `libmpich.so.12`, as Debian and Ubuntu have it, and Cray MPICH of NERSC Perlmutter, GPU \
nodes answers to `libmpi.so.12`
    build the image with MPICH 3.4.3, shared, from source
    or run the image's own, more slowly: --mpi-model container (srun --mpi=pmi2)
"""


@pytest.mark.needs("bookworm-amd64")
def test_show_says_what_there_is_and_what_a_site_makes_of_it(mpich_image: Path, as_user: AsUser) -> None:
    done = as_user(["sealift", "mpi", "show", str(mpich_image), "--site", "perlmutter"])
    assert (done.stdout.decode(), done.stderr, done.returncode) == (SHOWN, b"", 0)
