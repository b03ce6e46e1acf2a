"""What is measured on hosts that are made up of files and programs' answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from sealift.errors import ToolError
from sealift.sites.local import Host, measure

DRIVER = """\
NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.105.08  Release Build  (dvs-builder@U22)
GCC version:  gcc
"""


def host(root: Path, files: dict[str, str], answers: dict[str, str], env: dict[str, str] | None = None) -> Host:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    programs = {line.split()[0] for line in answers}

    def run(argv: Sequence[str]) -> str:
        line = " ".join(argv)
        if line not in answers:
            raise ToolError("no", argv=tuple(argv), code=1)
        return answers[line]

    return Host(
        environment=env or {},
        machine="aarch64",
        cpu_count=72,
        libc="2.38",
        run=run,
        find=lambda name: f"/usr/bin/{name}" if name in programs else None,
        users=("me", "1000"),
        root=str(root),
    )


def values(made: Host) -> dict[str, object]:
    profile = measure(made, today="2026-11-22")
    assert all(fact.verified == "2026-11-22" for fact in profile.facts.values())
    return {key: fact.value for key, fact in profile.facts.items()}


def test_a_gpu_node_of_a_slurm_cluster(tmp_path: Path) -> None:
    made = host(
        tmp_path,
        {
            "proc/cpuinfo": "processor : 0\nmodel name\t: Some CPU\n",
            "proc/meminfo": "MemTotal:       250000000 kB\n",
            "proc/driver/nvidia/version": DRIVER,
            "proc/driver/nvidia/gpus/0000:01:00.0/information": "Model: X\n",
            "proc/driver/nvidia/gpus/0000:02:00.0/information": "Model: X\n",
            "proc/sys/kernel/osrelease": "6.4.0-150600\n",
            "proc/sys/user/max_user_namespaces": "255000\n",
            "etc/subuid": "you:100000:65536\nme:165536:65536\n1000:300000:10\n",
            "sys/class/net/hsn0/mtu": "",
            "sys/class/net/hsn1/mtu": "",
            "sys/class/net/lo/mtu": "",
            "opt/cray/libfabric/1.9.0/x": "",
            "opt/cray/libfabric/1.20.1/x": "",
        },
        {
            "nvidia-smi --query-gpu=name,compute_cap,memory.total --format=csv,noheader,nounits": (
                "NVIDIA H200, 9.0, 143771\nNVIDIA H200, 9.0, 143771\n"
            ),
            "nvidia-smi": "| NVIDIA-SMI 580.105.08    Driver Version: 580.105.08    CUDA Version: 13.0 |\n",
            "srun --mpi=list": "MPI plugin types are:\n\tnone\n\tpmi2\n\tpmix\nspecific pmix versions: pmix_v4",
            "scontrol show config": "MaxArraySize = 1001\nMpiDefault              = pmix\n",
            "apptainer --version": "apptainer version 1.4.5\n",
            "podman-hpc --wrong": "",
        },
        {"SCRATCH": "/scratch/me", "PSCRATCH": "/scratch/me", "TMPDIR": "/local/7", "WORK": "relative", "HOME": "/h"},
    )
    assert values(made) == {
        "site.title": "this host",
        "site.kind": "host",
        "site.scheduler": "slurm",
        "node.architecture": "arm64",
        "node.cpu": "Some CPU",
        "node.threads": 72.0,
        "node.memory_gb": 256.0,
        "gpu.vendor": "nvidia",
        "gpu.driver": "580.105.08",
        "gpu.count": 2.0,
        "gpu.model": "NVIDIA H200",
        "gpu.capability": "9.0",
        "gpu.memory_gb": 151.0,
        "gpu.cuda": "13.0",
        "network.interfaces": "hsn0,hsn1",
        "network.libfabric": "1.20.1",
        "kernel.release": "6.4.0-150600",
        "kernel.user_namespaces": True,
        "kernel.subuids": 65546.0,
        "libc.host": "2.38",
        "slurm.mpi_types": ("none", "pmi2", "pmix"),
        "slurm.mpi_default": "pmix",
        "filesystems.scratch.purpose": "scratch",
        "filesystems.scratch.variable": "SCRATCH",
        "filesystems.scratch.path": "/scratch/me",
        "filesystems.tmpdir.purpose": "node",
        "filesystems.tmpdir.variable": "TMPDIR",
        "filesystems.tmpdir.path": "/local/7",
        "filesystems.home.purpose": "home",
        "filesystems.home.variable": "HOME",
        "filesystems.home.path": "/h",
        "engines.order": ("apptainer", "podman-hpc", "embedded"),
        "engines.apptainer.command": "/usr/bin/apptainer",
        "engines.apptainer.version": "1.4.5",
        "engines.podman-hpc.command": "/usr/bin/podman-hpc",
    }


def test_a_host_without_anything(tmp_path: Path) -> None:
    assert values(host(tmp_path, {}, {})) == {
        "site.title": "this host",
        "site.kind": "host",
        "site.scheduler": "none",
        "node.architecture": "arm64",
        "node.threads": 72.0,
        "gpu.vendor": "none",
        "libc.host": "2.38",
        "engines.order": ("embedded",),
    }


NODES = "sys/class/kfd/kfd/topology/nodes"


def test_an_amd_gpu_with_and_without_a_topology(tmp_path: Path) -> None:
    old = values(host(tmp_path / "old", {"sys/module/amdgpu/version": "6.12.12\n"}, {}))
    assert {key: value for key, value in old.items() if key.startswith("gpu.")} == {
        "gpu.vendor": "amd",
        "gpu.driver": "6.12.12",
    }
    files = {
        f"{NODES}/0/properties": "cpu_cores_count 64\ngfx_target_version 0\n",
        f"{NODES}/1/properties": "simd_count 440\ngfx_target_version 90010\n",
        f"{NODES}/2/properties": "simd_count 440\ngfx_target_version 90010\n",
        "opt/rocm/.info/version": "6.3.4-120\n",
    }
    full = values(host(tmp_path / "full", files, {}))
    assert {key: value for key, value in full.items() if key.startswith("gpu.")} == {
        "gpu.vendor": "amd",
        "gpu.count": 2.0,
        "gpu.capability": "gfx90a",
        "gpu.rocm": "6.3.4",
    }


def test_a_driver_whose_tool_fails(tmp_path: Path) -> None:
    nvidia = values(host(tmp_path, {"proc/driver/nvidia/version": DRIVER}, {"nvidia-smi --other": ""}))
    assert {key: value for key, value in nvidia.items() if key.startswith("gpu.")} == {
        "gpu.vendor": "nvidia",
        "gpu.driver": "580.105.08",
    }


@pytest.mark.parametrize(
    ("files", "possible"),
    [
        ({"max": "255000"}, True),
        ({"max": "0"}, False),
        ({"max": "255000", "clone": "0"}, False),
        ({"max": "255000", "clone": "1"}, True),
        ({"max": "255000", "apparmor": "1"}, False),
    ],
)
def test_user_namespaces(tmp_path: Path, files: dict[str, str], possible: bool) -> None:
    paths = {
        "max": "proc/sys/user/max_user_namespaces",
        "clone": "proc/sys/kernel/unprivileged_userns_clone",
        "apparmor": "proc/sys/kernel/apparmor_restrict_unprivileged_userns",
    }
    made = host(tmp_path, {paths[name]: f"{text}\n" for name, text in files.items()}, {})
    assert values(made)["kernel.user_namespaces"] is possible
