"""What is measured on hosts that are made up of files and programs' answers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

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
        },
        {
            "nvidia-smi --query-gpu=name,compute_cap,memory.total --format=csv,noheader,nounits": (
                "NVIDIA H200, 9.0, 143771\nNVIDIA H200, 9.0, 143771\n"
            ),
            "srun --mpi=list": "MPI plugin types are:\n\tnone\n\tpmi2\n\tpmix\nspecific pmix versions: pmix_v4",
            "scontrol show config": "MaxArraySize = 1001\nMpiDefault              = pmix\n",
            "apptainer --version": "apptainer version 1.4.5\n",
            "podman-hpc --wrong": "",
        },
        {"SCRATCH": "/scratch/me"},
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
        "libc.host": "2.38",
        "slurm.mpi_types": ("none", "pmi2", "pmix"),
        "slurm.mpi_default": "pmix",
        "filesystems.scratch.purpose": "scratch",
        "filesystems.scratch.variable": "SCRATCH",
        "filesystems.scratch.path": "/scratch/me",
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


def test_an_amd_gpu_and_a_driver_whose_tool_fails(tmp_path: Path) -> None:
    amd = values(host(tmp_path / "amd", {"sys/module/amdgpu/version": "6.12.12\n"}, {}))
    assert (amd["gpu.vendor"], amd["gpu.driver"]) == ("amd", "6.12.12")
    nvidia = values(host(tmp_path / "nvidia", {"proc/driver/nvidia/version": DRIVER}, {"nvidia-smi --other": ""}))
    assert (nvidia["gpu.vendor"], nvidia["gpu.driver"]) == ("nvidia", "580.105.08")
    assert "gpu.model" not in nvidia
