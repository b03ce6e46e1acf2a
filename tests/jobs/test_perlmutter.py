"""Scripts for Perlmutter against the site's rules: whole headers, whole calls of srun, whole command lines."""

from __future__ import annotations

import itertools
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from sealift.core.launch import Bind
from sealift.errors import UsageError
from sealift.jobs.job import Job
from sealift.jobs.script import script
from sealift.jobs.words import with_variables
from tests.jobs import world

IMAGE = "0123abcd"
"""The identifier that the script finds before ranks start."""
HEADER = {
    "job-name": "app",
    "qos": "regular",
    "constraint": "gpu",
    "nodes": "2",
    "output": "%x-%j.out",
    "gpus-per-node": "4",
    "gpu-bind": "none",
    "ntasks-per-node": "4",
    "cpus-per-task": "32",
}
STEP = (
    "srun --export=ALL --nodes=2 --ntasks=8 --ntasks-per-node=4 --cpus-per-task=32 --cpu-bind=cores --gpus-per-node=4 "
    "--gpu-bind=none --kill-on-bad-exit=1"
)
RANK = {
    "SLURM_PROCID": "5",
    "SLURM_LOCALID": "1",
    "SLURM_NTASKS": "8",
    "SLURM_NODEID": "1",
    "SLURM_JOB_ID": "77",
    "MASTER_ADDR": "nid001234",
    "MASTER_PORT": "10077",
    "SCRATCH": "/pscratch/sd/u/me",
    "CFS": "/global/cfs/cdirs",
    "HOME": "/global/homes/u/me",
    "PMI_FD": "7",
    "PALS_RANKID": "5",
    "PYTHONPATH": "/host",
    "CUDA_HOME": "/opt/cuda",
    "SEALIFT_IMAGE": IMAGE,
    "LD_LIBRARY_PATH": "/opt/cray/lib",
    "CUDA_VISIBLE_DEVICES": "0",
    "SECRET": "x",
    "BASH_FUNC_ml%%": "() { :; }",
}


def header(text: str) -> dict[str, str]:
    lines = [line.removeprefix("#SBATCH ") for line in text.splitlines() if line.startswith("#SBATCH ")]
    pairs = [shlex.split(line)[0].removeprefix("--").partition("=") for line in lines]
    found = {name: value for name, _, value in pairs}
    assert len(found) == len(lines), "an option stands twice"
    return found


def step(text: str) -> str:
    """The call of srun that starts the ranks, up to what they run."""
    found = re.search(r"^(srun .*?) \\\n {4}bash -c", text.replace(" \\\n    --", " --"), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def called(text: str, engine: str, tmp_path: Any, *command: str, cwd: str = "/tmp") -> tuple[list[str], dict[str, str]]:
    """What a rank becomes: the engine's command line and environment, when bash runs the rank's own lines."""
    rank = re.search(r"<<'RANK' \|\| :\n(.*?)^RANK$", text, re.DOTALL | re.MULTILINE)
    assert rank is not None
    recorder = tmp_path / engine
    recorder.write_text('#!/bin/bash\nprintf "%s\\0" "$@"\nprintf "\\1"\nexec env -0\n')
    recorder.chmod(0o755)
    env = {**RANK, "PATH": f"{tmp_path}:/usr/bin:/bin"}
    argv = ["bash", "-c", rank[1], "rank", *command]
    out = subprocess.run(argv, env=env, cwd=cwd, capture_output=True, check=True).stdout.decode()
    words, variables = out.split("\1")
    found = dict(pair.split("=", 1) for pair in variables.split("\0") if pair)
    return words.split("\0")[:-1], {name: value for name, value in found.items() if name not in ("_", "SHLVL")}


def pairs(words: list[str], flag: str) -> dict[str, str | None]:
    """The variables that an engine is given: with a value, or None for the caller's own."""
    found: dict[str, str | None] = {}
    for here, there in itertools.pairwise(words):
        if here == flag:
            name, equals, value = there.partition("=")
            found[name] = value if equals else None
    return found


CACHES = {
    "HF_HOME": "/pscratch/sd/u/me/.cache/huggingface",
    "TORCH_HOME": "/pscratch/sd/u/me/.cache/torch",
    "MPLCONFIGDIR": "/tmp/sealift-cache-77/matplotlib",
    "NUMBA_CACHE_DIR": "/tmp/sealift-cache-77/numba",
    "TRITON_CACHE_DIR": "/tmp/sealift-cache-77/triton",
    "TORCHINDUCTOR_CACHE_DIR": "/tmp/sealift-cache-77/torchinductor",
    "CUDA_CACHE_PATH": "/tmp/sealift-cache-77/cuda",
}
MPI_PATH = "/opt/udiImage/modules/mpich:/opt/udiImage/modules/mpich/dep"
PASSED: dict[str, str | None] = dict.fromkeys(
    [
        *(
            "SLURM_PROCID",
            "SLURM_LOCALID",
            "SLURM_NTASKS",
            "SLURM_NODEID",
            "SLURM_JOB_ID",
            "MASTER_ADDR",
            "MASTER_PORT",
        ),
        *("SCRATCH", "CFS", "PALS_RANKID", "CUDA_VISIBLE_DEVICES"),
    ]
) | {"PMI_FD": "3"}
MEMORY = ["--ipc=host"] if Path("/dev/mqueue").is_dir() else []
MOUNTS = ("/tmp", "/var/tmp", "/global/homes/u/me", "/pscratch/sd/u/me", "/global/cfs/cdirs")


def mounts(words: list[str]) -> list[str]:
    return [there for here, there in itertools.pairwise(words) if here == "--mount"]


def shared(words: list[str]) -> list[str]:
    return [word for word in words if word.startswith(("--network", "--ipc", "--pid", "--uts", "--group-add"))]


def test_gpu_aware_mpi_on_podman_hpc(tmp_path) -> None:
    job = world.job("perlmutter", "podman-hpc", "./app", "a b", kind="gpu-mpi", nodes=2, talk="gpu-mpi")
    text = script(job)
    assert header(text) == HEADER
    assert step(text) == STEP
    words, variables = called(text, "podman-hpc", tmp_path, "./app", "a b")
    # One container a node, joined by the ranks: the flags of the site's modules, and one merged library path
    assert [word for word in words if word in ("run", "--rm", "--gpu", "--mpi", "--cuda-mpi", "--nccl")] == [
        *("run", "--rm", "--gpu", "--cuda-mpi")
    ]
    assert pairs(words, "--env") == {
        **PASSED,
        **CACHES,
        "PYTHONNOUSERSITE": "1",
        "HOME": "/global/homes/u/me",
        "LD_LIBRARY_PATH": MPI_PATH,
        "MPICH_OFI_NIC_POLICY": "GPU",
        "MPICH_GPU_SUPPORT_ENABLED": "1",
    }
    # The host's network and memory come with these flags, and Podman takes them once
    assert shared(words) == []
    # Nothing is mounted by default
    assert mounts(words) == [f"type=bind,source={path},target={path}" for path in MOUNTS]
    assert words[-6:] == ["--entrypoint", "env", "--", IMAGE, "./app", "a b"]
    assert words[words.index("--workdir") + 1] == "/tmp"
    # The nearest GPU; nothing else of the host's, but for what podman-hpc itself needs
    assert variables["CUDA_VISIBLE_DEVICES"] == "2"
    assert variables["PODMANHPC_WAIT_TIMEOUT"] == "90"
    assert not variables.keys() & {"SECRET", "PYTHONPATH", "CUDA_HOME"}


def test_the_working_folder_is_mounted_where_nothing_else_shows_it(tmp_path) -> None:
    text = script(world.job("perlmutter", "podman-hpc", "./app"))
    words, _ = called(text, "podman-hpc", tmp_path, "./app", cwd="/usr/share")
    shown = (*MOUNTS, "/usr/share")
    assert sorted(mounts(words)) == sorted(f"type=bind,source={path},target={path}" for path in shown)
    assert words[words.index("--workdir") + 1] == "/usr/share"


@pytest.mark.parametrize(("groups", "flags"), [("100", []), ("100 27", ["--group-add=keep-groups"])])
def test_ones_further_groups_enter(tmp_path, groups: str, flags: list[str]) -> None:
    """Folders of projects belong to them; runc, which cannot keep any, is not asked for what is not there."""
    (tmp_path / "id").write_text(f"#!/bin/sh\necho {groups}\n")
    (tmp_path / "id").chmod(0o755)
    job = world.job("perlmutter", "podman-hpc", "./app", kind="gpu-mpi", nodes=2, talk="gpu-mpi")
    words, _ = called(script(job), "podman-hpc", tmp_path, "./app")
    assert shared(words) == flags


@pytest.mark.parametrize("wishes", [{"signal": "USR1@60"}, {"requeue": True}])
def test_ranks_that_share_podman_hpcs_container_hear_no_signal(wishes: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as raised:
        script(world.job("perlmutter", "podman-hpc", "./app", kind="gpu-mpi", nodes=2, talk="gpu-mpi", **wishes))
    assert raised.value.message == "podman-hpc hands no signal on to ranks of MPI, which share a node's container"


@pytest.mark.parametrize(
    ("nodes", "talk", "flags", "more"),
    [
        (1, "none", ["--gpu"], {"MPICH_GPU_SUPPORT_ENABLED": "0"}),
        (
            2,
            "nccl",
            ["--gpu", "--nccl"],
            {
                "FI_CXI_DISABLE_HOST_REGISTER": "1",
                "FI_MR_CACHE_MONITOR": "userfaultfd",
                "NCCL_CROSS_NIC": "1",
                "NCCL_SOCKET_IFNAME": "hsn",
                "NCCL_NET_GDR_LEVEL": "PHB",
                "NCCL_NET": "AWS Libfabric",
                "MPICH_GPU_SUPPORT_ENABLED": "0",
                "LD_LIBRARY_PATH": (
                    "/opt/udiImage/modules/nccl-plugin/lib:/opt/udiImage/modules/nccl-plugin/deps/lib:/usr/lib64"
                ),
            },
        ),
    ],
)
def test_nccl_is_for_several_nodes_only(
    tmp_path, nodes: int, talk: Any, flags: list[str], more: dict[str, str]
) -> None:
    job = world.job("perlmutter", "podman-hpc", "train.py", kind="pytorch-tasks", nodes=nodes, talk=talk)
    words, variables = called(script(job), "podman-hpc", tmp_path, "train.py")
    assert [word for word in words if word in ("--gpu", "--mpi", "--cuda-mpi", "--nccl")] == flags
    # Else each rank would be in a network of its own, with a /dev/shm of its own
    assert sorted(shared(words)) == [*MEMORY, "--network=host"]
    assert pairs(words, "--env") == {
        **PASSED,
        **CACHES,
        "PYTHONNOUSERSITE": "1",
        "HOME": "/global/homes/u/me",
        "RANK": "5",
        "LOCAL_RANK": "1",
        "WORLD_SIZE": "8",
        "LOCAL_WORLD_SIZE": "4",
        "GROUP_RANK": "1",
        **more,
    }
    # All see all, for NCCL, and the local rank names the nearest
    assert variables["CUDA_VISIBLE_DEVICES"] == "3,2,1,0"


@pytest.mark.parametrize(
    ("kind", "talk", "modules"),
    [("gpu-mpi", "gpu-mpi", "gpu,cuda-mpich"), ("mpi", "mpi", "gpu,mpich"), ("jax", "nccl", "gpu,nccl-plugin"),
     ("single", "none", "gpu"), ("mpi", "openmpi", "gpu")],
)  # fmt: skip
def test_shifter_has_it_all_in_the_header(tmp_path, kind: str, talk: Any, modules: str) -> None:
    bind = Bind(source="/pscratch/sd/u/me/in", destination="/data", read_only=True)
    job = world.job("perlmutter", "shifter", "./app", kind=kind, nodes=2, talk=talk, binds=(bind,))
    text = script(job)
    tasks, cpus = ("1", "128") if kind == "single" else ("4", "32")
    assert header(text) == {
        **HEADER,
        "ntasks-per-node": tasks,
        "cpus-per-task": cpus,
        "image": "docker:registry.nersc.gov/m1234/app:1.2",
        "volume": "/pscratch/sd/u/me/in:/data:ro",
        "module": modules,
    }
    words, variables = called(text, "shifter", tmp_path, "./app")
    assert not [word for word in words if word.startswith(("--image", "--volume", "--module"))]
    assert words[-1] == "./app"
    assert not variables.keys() & {"SECRET", "PYTHONPATH", "CUDA_HOME"}


@pytest.mark.parametrize("target", ["/etc/x", "/var/lib", "/opt/udiImage/x", "/opt"])
def test_shifter_refuses_targets_that_are_its_own(target: str) -> None:
    bind = Bind(source="/pscratch/sd/u/me/in", destination=target)
    with pytest.raises(UsageError) as raised:
        script(world.job("perlmutter", "shifter", "./app", binds=(bind,)))
    assert raised.value.message.startswith(f"Shifter lets nothing be bound to `{target}`")


def test_shifters_header_knows_no_variables() -> None:
    bind = Bind(source=with_variables("$SCRATCH/in", path=True), destination="/data")
    with pytest.raises(UsageError) as raised:
        script(world.job("perlmutter", "shifter", "./app", binds=(bind,)))
    assert raised.value.message == "Shifter mounts what a job's header names, where `$SCRATCH` is no variable"


@pytest.mark.parametrize(
    ("site", "wishes", "changes"),
    [
        ("perlmutter-gpu80", {}, {"constraint": "gpu&hbm80g"}),
        ("perlmutter-cpu", {}, {"constraint": "cpu", "cpus-per-task": "256", "gpus-per-node": None, "gpu-bind": None}),
        ("perlmutter", {"account": "m1234", "time": "1:00"}, {"account": "m1234", "time": "1:00"}),
        ("perlmutter", {"array": "0-3"}, {"array": "0-3", "output": "%x-%A_%a.out"}),
        ("perlmutter", {"signal": "TERM@60"}, {"signal": "B:TERM@60"}),
        ("perlmutter", {"requeue": True}, {"signal": "B:USR1@120", "requeue": "", "open-mode": "append"}),
        (
            "perlmutter",
            {"qos": "shared", "gpus_per_node": 1},
            {"qos": "shared", "gpus-per-node": "1", "cpus-per-task": "32"},
        ),
    ],
)
def test_headers(site: str, wishes: dict[str, Any], changes: dict[str, str | None]) -> None:
    expected = {**HEADER, "nodes": "1", "ntasks-per-node": "1", "cpus-per-task": "128", **changes}
    text = script(world.job(site, "podman-hpc", "./app", **wishes))
    assert header(text) == {name: value for name, value in expected.items() if value is not None}
    # sbatch takes a constraint with an & in quotes alone, and what nobody gave is said
    if site == "perlmutter-gpu80":
        assert '#SBATCH --constraint="gpu&hbm80g"\n' in text
    assert "# without it a job gets the QOS `debug`\n" in text


def test_no_script_isolates_gpus() -> None:
    jobs: list[Job] = [
        world.job("perlmutter", "podman-hpc", "./app", kind=kind, nodes=2)
        for kind in ("single", "mpi", "gpu-mpi", "pytorch", "pytorch-tasks", "jax")
    ]
    for job in jobs:
        commands = [line for line in script(job).splitlines() if not line.startswith("# ")]
        assert not [line for line in commands if "--gpus-per-task" in line]
        assert {found for line in commands for found in re.findall(r"--gpu-bind=(\S+)", line)} == {"none"}
