"""Whole command lines of enroot and of srun with pyxis, and whole environment files."""

from __future__ import annotations

import tomllib

import pytest

from sealift.core.launch import Bind, Communication
from sealift.engines.clean import enroot
from sealift.engines.clean.image import StoredImage
from sealift.errors import UsageError
from tests.engines.clean.world import APART, AROUND, DATA, EXEC, IMAGE, bare, caller, pairs, plan, settled, site

GPU = {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"}
APP = StoredImage(reference="app.sqsh", library_path="/app/lib")
GO = 'cd "$1" || exit; shift; exec "$@"'


def test_enroot() -> None:
    wanted = bare(nv=True, writable=True, binds=(Bind(source="/data", destination="/in", read_only=True),))
    assert list(enroot.command_line(wanted, APP, caller()).argv) == [
        *("enroot", "start", "--rw", "--mount", "/lustre/data:/in:x-create=auto,rbind,ro"),
        *pairs("--env", GPU | APART),
        *("app.sqsh", EXEC, "python", "train.py"),
    ]


def test_enroot_with_the_hosts_folders_and_orders() -> None:
    wanted = plan(env={"LD_LIBRARY_PATH": "/mine", "A": "b"}, fakeroot=True)
    assert list(enroot.command_line(wanted, APP, caller()).argv) == [
        *("enroot", "start", "--root"),
        *("--mount", "/tmp:/tmp", "--mount", "/var/tmp:/var/tmp", "--mount", "/home/me:/home/me"),
        *("--mount", "/lustre/me:/scratch/me"),
        *pairs("--env", AROUND | {"A": "b", "LD_LIBRARY_PATH": "/mine:/app/lib"}),
        *("app.sqsh", "/bin/sh", "-c", GO, "sh", "/scratch/me/run"),
        *settled("python", "train.py", A="b"),
    ]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"binds": (DATA,)},
            "enroot takes no `:`, no `,` and no spaces in the names of folders: `/lustre/data:/in put,1`",
        ),
        ({"env": {"A": "two\nlines"}}, "enroot takes no lines in a variable: `A`"),
        ({"rocm": True}, "enroot cannot do what is asked for: `--rocm` (it knows NVIDIA GPUs only)"),
    ],
)
def test_what_enroot_cannot_do(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        enroot.command_line(bare(**fields), IMAGE, caller())
    assert caught.value.message == message


@pytest.mark.parametrize(
    ("reference", "shown"),
    [
        ("registry.example.org/me/app:1", "registry.example.org#me/app:1"),
        ("docker://localhost:5000/app", "localhost:5000#app"),
        ("ubuntu:24.04", "ubuntu:24.04"),
        ("me/app", "me/app"),
        ("/scratch/me/app.sqsh", "/scratch/me/app.sqsh"),
    ],
)
def test_pyxis(reference: str, shown: str) -> None:
    wanted = bare(nv=True, binds=(Bind(source="/data", destination="/in"),), pwd="/in")
    started = enroot.srun_options(wanted, StoredImage(reference=reference), caller())
    fresh = {name: value for name, value in APART.items() if caller().env.get(name) != value}
    assert list(started.argv) == [
        *("srun", f"--container-image={shown}", "--container-mounts=/lustre/data:/in"),
        *("--no-container-mount-home", "--container-workdir=/in", "--container-readonly"),
        *("--no-container-remap-root", "--no-container-entrypoint"),
        f"--export={','.join(GPU | APART)}",
        f"--container-env={','.join(GPU | fresh)}",
        *(EXEC, "python", "train.py"),
    ]
    assert started.added == tuple(GPU | fresh)
    assert dict(started.env) == {**caller().env, **GPU, **fresh}


def test_pyxis_with_the_hosts_folders_and_orders() -> None:
    wanted = plan(env={"LD_LIBRARY_PATH": "/mine", "OMP_NUM_THREADS": "8"}, writable_tmpfs=True, fakeroot=True)
    started = enroot.srun_options(wanted, APP, caller())
    names = list(AROUND | {"LD_LIBRARY_PATH": ""})
    ours = [name for name in names if name not in ("SLURM_JOB_ID", "SCRATCH", "HF_HOME", "HOME")]
    assert list(started.argv) == [
        *("srun", "--container-image=app.sqsh"),
        "--container-mounts=/tmp:/tmp,/var/tmp:/var/tmp,/home/me:/home/me,/lustre/me:/scratch/me",
        *("--container-workdir=/scratch/me/run", "--container-writable", "--container-remap-root"),
        *("--no-container-entrypoint", f"--export={','.join(names)}", f"--container-env={','.join(ours)}"),
        *settled("python", "train.py", OMP_NUM_THREADS="8"),
    ]
    assert started.env["LD_LIBRARY_PATH"] == "/mine:/app/lib"


EMPTY = """\
PYTHONPATH = ""
PYTHONHOME = ""
PYTHONUSERBASE = ""
PYTHONSTARTUP = ""
LD_PRELOAD = ""
LD_AUDIT = ""
R_LIBS = ""
R_LIBS_USER = ""
PERL5LIB = ""
JULIA_LOAD_PATH = ""
"""


def test_an_environment_file() -> None:
    wanted = bare(nv=True, binds=(Bind(source="/data", destination="/in"),), env={"A": 'b "${c}"'}, pwd="/in")
    text = enroot.environment_file(wanted, StoredImage(reference="ghcr.io/me/app:1"), caller(), site=site("cscs-alps"))
    assert text == (
        'image = "ghcr.io#me/app:1"\n'
        "mounts = [\n"
        '    "/lustre/data:/in",\n'
        "]\n"
        'workdir = "/in"\n'
        "writable = false\n"
        "entrypoint = false\n"
        "\n"
        "[env]\n"
        'NVIDIA_VISIBLE_DEVICES = "all"\n'
        'NVIDIA_DRIVER_CAPABILITIES = "compute,utility"\n'
        'PYTHONNOUSERSITE = "1"\n'
        'TORCH_HOME = "/scratch/me/.cache/torch"\n'
        'MPLCONFIGDIR = "/tmp/sealift-cache-7/matplotlib"\n'
        'NUMBA_CACHE_DIR = "/tmp/sealift-cache-7/numba"\n'
        'TRITON_CACHE_DIR = "/tmp/sealift-cache-7/triton"\n'
        'TORCHINDUCTOR_CACHE_DIR = "/tmp/sealift-cache-7/torchinductor"\n'
        'CUDA_CACHE_PATH = "/tmp/sealift-cache-7/cuda"\n'
        'A = "b \\"$${c}\\""\n'
        'LD_LIBRARY_PATH = ""\n'
        f"{EMPTY}"
        "\n"
        "[annotations]\n"
        'com.hooks.cxi.enabled = "true"\n'
    )
    assert tomllib.loads(text)["env"]["A"] == 'b "$${c}"'


def test_a_variable_with_a_dot_is_no_table() -> None:
    wanted = bare(env={"a.b": "c", 'd"e': "${f}"})
    read = tomllib.loads(enroot.environment_file(wanted, APP, caller()))["env"]
    assert {name: read.get(name) for name in wanted.env} == {"a.b": "c", 'd"e': "$${f}"}


@pytest.mark.parametrize(
    ("fields", "communication", "hooks"),
    [
        ({}, "none", {}),
        ({"nv": True}, "none", {"cxi": {"enabled": "true"}}),
        ({}, "mpi", {"cxi": {"enabled": "true"}}),
        (
            *({"nv": True}, "nccl"),
            {"cxi": {"enabled": "true"}, "aws_ofi_nccl": {"enabled": "true", "variant": "cuda12"}},
        ),
    ],
)
def test_the_hooks_of_an_environment_file(
    fields: dict[str, object], communication: Communication, hooks: dict[str, object]
) -> None:
    wanted = bare(communication=communication, env={"LD_LIBRARY_PATH": "/mine"}, **fields)
    read = tomllib.loads(enroot.environment_file(wanted, APP, caller(), site=site("cscs-alps")))
    assert read.get("annotations", {}).get("com", {}).get("hooks", {}) == hooks
    assert read["env"]["LD_LIBRARY_PATH"] == "/mine:/app/lib"
    assert read["env"].get("NCCL_PROTO") == ("^LL128" if communication == "nccl" else None)
