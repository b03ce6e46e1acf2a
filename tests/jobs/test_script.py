"""Whole scripts, one for each site, engine and kind that matters, word by word; and what shells think of them.

    SEALIFT_WRITE_GOLDEN=1 pytest tests/jobs/test_script.py

writes the files anew; then read the difference.
"""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
from pathlib import Path

import pytest

from sealift import __version__
from sealift.core.launch import Bind
from sealift.core.mpi import Probe, Wireup
from sealift.jobs.job import Job
from sealift.jobs.ranks import rank
from sealift.jobs.script import script
from sealift.jobs.words import with_variables
from tests.jobs import world

GOLDEN = Path(__file__).parent / "golden"
CRAY = Wireup(model="injected", pmi="cray_shasta", communication="mpi", notes=("a note for people",))
PROBE = Probe(program=b'# who am I?\necho "$PMI_RANK"\n', words=(), by_text=("sh", "-c", "{text}", "path=/x"))
DATA = Bind(source=with_variables("$SCRATCH/in", path=True), destination="/data", read_only=True)

JOBS = {
    "perlmutter-podman-hpc-gpu-mpi": world.job(
        *("perlmutter-gpu", "podman-hpc", "./app", "--input", "a b"),
        kind="gpu-mpi",
        nodes=2,
        time="1:00:00",
        account="m1234_g",
        talk="gpu-mpi",
        wireup=Wireup(model="injected", pmi="cray_shasta", communication="gpu-mpi"),
        binds=(DATA,),
    ),
    "perlmutter-podman-hpc-mpi-cpu": world.job(
        *("perlmutter-cpu", "podman-hpc", "./app"), kind="mpi", nodes=4, talk="mpi", wireup=CRAY
    ),
    "perlmutter-podman-hpc-pytorch": world.job(
        *("perlmutter-gpu80", "podman-hpc", "train.py", "--epochs", "3"),
        kind="pytorch",
        nodes=4,
        talk="nccl",
        signal="USR1@300",
        requeue=True,
    ),
    "perlmutter-podman-hpc-pytorch-one-node": world.job(
        *("perlmutter-gpu", "podman-hpc", "train.py"), kind="pytorch", qos="shared"
    ),
    "perlmutter-shifter-pytorch-tasks": world.job(
        *("perlmutter-gpu", "shifter", "python", "train.py"),
        kind="pytorch-tasks",
        nodes=2,
        talk="nccl",
        binds=(Bind(source="/pscratch/sd/u/user/in", destination="/data", read_only=True),),
    ),
    "perlmutter-shifter-single": world.job("perlmutter-cpu", "shifter", "./app", array="0-9%3"),
    "perlmutter-embedded-jax": world.job(
        *("perlmutter-gpu", "embedded", "python", "train.py"), kind="jax", nodes=2, talk="nccl"
    ),
    "slurm-apptainer-single": world.job("slurm", "apptainer", "./app", "$HOME", env={"GREETING": "a, b"}),
    "slurm-apptainer-mpi": world.job(
        *("slurm", "apptainer", "./app"),
        kind="mpi",
        nodes=2,
        tasks_per_node=16,
        stage="node",
        image=world.LARGE_FILE,
        wireup=Wireup(
            model="container",
            pmi="pmi2",
            env={"UCX_POSIX_USE_PROC_LINK": "n"},
            library_path=("/opt/mpi/lib", "$HOST_MPI/lib"),
        ),
        probe=PROBE,
        why_alone="they don't find each other",
    ),
    "slurm-embedded-run": world.job("slurm", "embedded", tasks_per_node=4, cpus_per_task=2, binds=(DATA,)),
    "frontier-apptainer-gpu-mpi": world.job(
        *("frontier", "apptainer", "./app"), kind="gpu-mpi", nodes=2, account="abc123", image=world.LARGE_FILE
    ),
    "vista-apptainer-pytorch": world.job("vista", "apptainer", "train.py", kind="pytorch", nodes=2, binds=(DATA,)),
    "lumi-singularity-pytorch-tasks": world.job(
        *("lumi-g", "singularity", "python", "train.py"), kind="pytorch-tasks", nodes=2, talk="nccl"
    ),
}
# SC2016: what stands in single quotes is another shell's. SC2221, SC2222: the names of variables are data. SC1091: the
# machine's own /etc/profile.
UNWANTED = "SC2016,SC2221,SC2222,SC1091"


@pytest.mark.parametrize("name", JOBS)
def test_a_script_is_the_golden_one(name: str) -> None:
    text = script(JOBS[name]).replace(f"Sealift {__version__} ", "Sealift VERSION ")
    golden = GOLDEN / f"{name}.sbatch"
    if os.environ.get("SEALIFT_WRITE_GOLDEN"):
        golden.write_text(text)
    assert text == golden.read_text()


def test_no_golden_file_is_left_over() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == set(JOBS)


def shells_of(text: str) -> list[str]:
    """The script, and the scripts that it holds."""
    inner = [found[2] for found in re.finditer(r"<<'([A-Z]+)' \|\| :\n(.*?)^\1$", text, re.DOTALL | re.MULTILINE)]
    return [text, *(each for each in inner if not each.startswith("library "))]


@pytest.mark.parametrize("name", JOBS)
def test_bash_reads_it(name: str, tmp_path: Path) -> None:
    parts = shells_of(script(JOBS[name]))
    assert len(parts) >= 2
    for number, part in enumerate(parts):
        (tmp_path / str(number)).write_text(part)
        done = subprocess.run(["bash", "-n", tmp_path / str(number)], capture_output=True, check=False)
        assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.slow
@pytest.mark.needs("shellcheck")
def test_shellcheck_finds_nothing(tmp_path: Path) -> None:
    files: list[Path] = []
    for name, job in JOBS.items():
        for number, part in enumerate(shells_of(script(job))):
            files.append(tmp_path / f"{name}-{number}")
            files[-1].write_text(part)
    argv: list[str | Path] = ["shellcheck", "--shell=bash", f"--exclude={UNWANTED}", *files]
    done = subprocess.run(argv, capture_output=True, check=False, text=True)
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(
    ("env", "said"),
    [
        ({}, "$CFS is not set where this job runs"),
        ({"CFS": "/cfs", "SCRATCH": ""}, "$SCRATCH is not set where this job runs"),
    ],
)
def test_a_variable_of_the_site_that_is_not_there_stops_the_job(env: dict[str, str], said: str) -> None:
    text = script(JOBS["perlmutter-podman-hpc-gpu-mpi"])
    done = subprocess.run(["bash", "-c", text], env={"PATH": "/usr/bin:/bin", **env}, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr.decode()) == (1, b"", f"sealift: {said}\n")


def test_ends_of_lines_in_names_bring_no_commands() -> None:
    """Names of files, and of an image's own, can have any; and an order can have the line that ends a text."""
    job = world.job(
        *("slurm", "apptainer", "./app"),
        image=dataclasses.replace(world.LARGE_FILE, reference="/scratch/a\nfalse"),
        env={"X": "a\nRANK\nfalse\n"},
        nodes=2,
        wireup=Wireup(notes=("a\nfalse",)),
    )
    text = script(job)
    preface = text.splitlines()[1:10]
    assert preface[-4:] == [
        *("# image   /scratch/a false", "# engine  apptainer"),
        *("# kind    single: one program, which knows nothing of the others", "# note    a false"),
    ]
    assert text.count("\nfalse") == 2  # in the quotes of the image, and in the rank's
    inner = re.search(r"<<'RANK_' \|\| :\n(.*?)^RANK_$", text, re.DOTALL | re.MULTILINE)
    assert inner is not None
    assert inner[1] == "\n".join(rank(job)) + "\n"


def test_twice_is_the_same() -> None:
    job: Job = JOBS["perlmutter-podman-hpc-gpu-mpi"]
    assert script(job) == script(job)
