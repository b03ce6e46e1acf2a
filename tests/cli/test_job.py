"""`sealift job` on the command line: what is refused, with which words, and how its words are parted."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from sealift.cli.app import main
from tests.preflight import images

DIGEST = "sha256:" + "0" * 64
IMAGE = f"docker://registry.example.org/me/app:1@{DIGEST}"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("NERSC_HOST", raising=False)
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.sif").write_text("no image\n")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        ("app.sif", 2, "error: for which site?\nhint: --site perlmutter\nhint: any other with Slurm: --site slurm\n"),
        (
            "app.sif --site slurm",
            5,
            (
                "error: there is no image `app.sif`\nhint: build it: sealift build app.sif FILE.def\n"
                "hint: or pull one: sealift pull app.sif docker://…\n"
            ),
        ),
        (
            "folder --site slurm",
            2,
            "error: `folder` is a folder\nhint: make an image of it: sealift build image.sif folder\n",
        ),
        (
            "text.sif --site slurm",
            5,
            (
                "error: `text.sif` is not an image: neither a SIF, nor a squashfs, nor a folder\n"
                "hint: see what it is: file text.sif\n"
            ),
        ),
        (
            f"{IMAGE} --site slurm",
            2,
            (
                f"error: the engines of a Slurm cluster run files, and `{IMAGE}` is in a registry\n"
                f"hint: fetch it first: sealift pull image.sif {IMAGE}\n"
            ),
        ),
        (
            "text.sif --site perlmutter --engine podman-hpc",
            2,
            (
                "error: podman-hpc runs what is in a registry, and `text.sif` is a file\n"
                "hint: sealift push text.sif docker://registry.nersc.gov/PROJECT/text:1\n"
                "hint: sealift job docker://registry.nersc.gov/PROJECT/text:1 …\n"
            ),
        ),
        (
            "app.sif --site slurm --engine enroot",
            2,
            (
                "error: jobs with `enroot` are not written yet\n"
                "hint: engines: apptainer, singularity, embedded, podman-hpc, shifter\n"
            ),
        ),
        (
            "oci:layout --site slurm",
            2,
            (
                "error: a job wants a file that all nodes see, not `oci:layout`\n"
                "hint: make it one: sealift build image.sif oci:layout\n"
            ),
        ),
        (
            f"{IMAGE} --site perlmutter --stage node -- x",
            2,
            "error: `--stage node` is for files: the engine keeps this image itself\n",
        ),
        (
            f"{IMAGE} --site perlmutter --stage far -- x",
            2,
            "error: `--stage far` is not known\nhint: auto, shared or node\n",
        ),
        (
            f"{IMAGE} --site perlmutter -B /a:b -- x",
            2,
            "error: the target of a bind must be an absolute path, not `b`\nhint: -B /a:/b\n",
        ),
        (f"{IMAGE} --site perlmutter --env A -- x", 2, "error: `--env A` is not NAME=VALUE\nhint: --env A=VALUE\n"),
        (
            f"{IMAGE} --site perlmutter --env A;b=1 -- x",
            2,
            "error: `--env A;b=1`: `A;b` is no name of a variable\nhint: --env OMP_NUM_THREADS=4\n",
        ),
        (
            f"{IMAGE} --site perlmutter --",
            2,
            "error: no program stands behind `--`\nhint: sealift job IMAGE … -- PROGRAM\n",
        ),
        (
            f"{IMAGE} --site perlmutter --wait -- x",
            2,
            "error: `--wait` waits for a job that `--submit` sends\nhint: --submit --wait\n",
        ),
        (
            f"{IMAGE} --site perlmutter --submit -- x",
            6,
            (
                "error: `sbatch` is not installed: this is no machine with Slurm\n"
                "hint: print the script: leave out --submit\n"
            ),
        ),
        (
            "status abc",
            2,
            "error: `abc` is not a job's number\nhint: sealift job status 1234\n",
        ),
        (
            f"docker://registry.example.org/me/app@{DIGEST} --site perlmutter --engine shifter -- x",
            2,
            (
                f"error: Shifter knows images by tags, and `docker://registry.example.org/me/app@{DIGEST}` has none\n"
                "hint: docker://HOST/NAME:TAG\n"
            ),
        ),
        ("app.sif x --site slurm", 2, "error: unrecognized arguments: x\nhint: sealift job --help\n"),
    ],
)
def test_what_is_wrong_is_said(words: str, code: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        ended = main(["job", *words.split()])
    except SystemExit as stop:
        ended = int(stop.code or 0)
    found = capsys.readouterr()
    assert (ended, found.out, found.err) == (code, "", said)


def test_everything_behind_two_dashes_is_the_programs(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["job", IMAGE, "--site", "perlmutter", "--", "status", "--nodes", "7", "--", "-x"]
    assert main(words) == 0
    out = capsys.readouterr().out
    assert '    bash -c "$rank" rank status --nodes 7 -- -x 2>&"$said" &\n' in out
    assert "#SBATCH --nodes=1\n" in out


@pytest.mark.parametrize("bind", ["/pscratch/sd/u/me", "/pscratch/sd/u/me/:/pscratch/sd/u/me", "$SCRATCH"])
def test_scratch_is_bound_once_whoever_puts_the_path_in(
    bind: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Podman refuses two binds at one place."""
    monkeypatch.setenv("SCRATCH", "/pscratch/sd/u/me")
    assert main(["job", IMAGE, "--site", "perlmutter", "-B", bind, "--", "x"]) == 0
    out = capsys.readouterr().out
    assert re.findall(r"type=bind,source=[^,]*,target=[^\s\")]*", out.replace("$PWD", "")) == [
        *(f"type=bind,source={path},target={path}" for path in ("", "/tmp", "/var/tmp", "$HOME", "$SCRATCH", "$CFS"))
    ]


def test_shifters_header_keeps_the_path_and_the_tag(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SCRATCH", "/pscratch/sd/u/me")
    words = ("--site", "perlmutter", "--engine", "shifter", "-B", "/pscratch/sd/u/me:/data", "--", "x")
    assert main(["job", IMAGE, *words]) == 0
    found = capsys.readouterr()
    assert "#SBATCH --volume=/pscratch/sd/u/me:/data\n" in found.out
    assert found.err == "warning: Shifter takes what `:1` names when the job is sent, pinned or not\n"


def test_the_site_of_this_machine_is_known(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NERSC_HOST", "perlmutter")
    assert main(["job", IMAGE, "--", "x"]) == 0
    assert "# Written by Sealift" in capsys.readouterr().out


TRIED = """\
found=$(srun --export=ALL --nodes=2 --ntasks=2 --ntasks-per-node=1 --cpus-per-task=32 --cpu-bind=cores \\
    --gpus-per-node=4 --gpu-bind=none --mpi=cray_shasta --kill-on-bad-exit=0 --time=3 \\
    bash -c "$rank" rank /usr/bin/python3 -I -c "$probe" library=libmpi.so.12 path=/usr/local/lib/libmpi.so.12 \\
        world=0x44000000 byte=0x4c00010d int64=0x4c00083a sum=0x58000003 tasks=2)
"""
MPI_JOB = ("--site", "perlmutter", "--kind", "mpi", "--nodes", "2")


@pytest.mark.slow
@pytest.mark.needs("gcc")
def test_a_twin_tells_which_mpi_the_image_has(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.defpath)
    unknown = "# note    nobody looked into the image for its MPI, and no two ranks try it first"
    assert main(["job", IMAGE, *MPI_JOB, "--", "/opt/app/bin/solver"]) == 0
    assert unknown in capsys.readouterr().out
    python = {"usr/bin/python3": b"", "usr/lib/python3.12/lib-dynload/_ctypes.cpython-312.so": b""}
    twin = images.Image(content={**images.mpich(), **python}).write(tmp_path / "mpich")
    assert main(["job", IMAGE, *MPI_JOB, "--twin", str(twin), "--", "/opt/app/bin/solver"]) == 0
    out = capsys.readouterr().out
    assert unknown not in out
    assert re.findall(r"^found=(?:.*\\\n)*.*\n", out, re.MULTILINE) == [TRIED]
    twin = images.Image(content=images.openmpi("5.0.8")).write(tmp_path / "openmpi")
    assert main(["job", IMAGE, *MPI_JOB, "--twin", str(twin), "--", "/opt/app/bin/solver"]) == 2
    assert capsys.readouterr().err.startswith("error: the image's Open MPI 5.0.8 speaks PMIx, and podman-hpc's ")
