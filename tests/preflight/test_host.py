"""What `sealift doctor` says of GPUs, on hosts that are made up of a driver's files and of its tool's answers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from sealift.core.finding import Finding
from sealift.preflight.host import card_findings
from sealift.sites.local import measure_gpus
from tests.sites.test_local import host

VERSION = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  {}  Sun Nov 1 2026\n"
ASKED = "nvidia-smi --query-gpu=name,compute_cap,memory.total --format=csv,noheader,nounits"


def nvidia(driver: str, cards: int) -> dict[str, str]:
    found = {f"proc/driver/nvidia/gpus/0000:0{number}:00.0/information": "" for number in range(cards)}
    return {"proc/driver/nvidia/version": VERSION.format(driver), **found}


AMD = {f"sys/class/kfd/kfd/topology/nodes/{number}/properties": "gfx_target_version 90010\n" for number in range(8)}


@pytest.mark.parametrize("files", [{}, nvidia("580.105.08", 1)], ids=["nothing", "a driver whose tool fails"])
def test_nothing_is_said_of_cards_that_are_not_seen(tmp_path: Path, files: dict[str, str]) -> None:
    assert card_findings(measure_gpus(host(tmp_path, files, {}), today="")) == ()


@pytest.mark.parametrize(("machine", "wheels"), [("x86_64", "12.6, 12.8, 13.0, 13.2"), ("aarch64", "12.6")])
def test_nvidia_s_cards(tmp_path: Path, machine: str, wheels: str) -> None:
    made = host(tmp_path, nvidia("580.105.08", 4), {ASKED: "NVIDIA A100-SXM4-40GB, 8.0, 40960\n"})
    assert card_findings(measure_gpus(replace(made, machine=machine), today="")) == (
        Finding(
            id="gpu.nvidia.code",
            severity="ok",
            what="4 x NVIDIA A100-SXM4-40GB: what has machine code for 8.0, or PTX for at most 8.0, runs here",
            evidence=f"CUDA 11.0 is the first with code for it; PyTorch's wheels for CUDA {wheels} have it",
        ),
    )


def test_v100_and_an_older_driver(tmp_path: Path) -> None:
    made = host(tmp_path, nvidia("570.124.06", 1), {ASKED: "Tesla V100-SXM2-32GB, 7.0, 32768\n"})
    assert card_findings(measure_gpus(made, today="")) == (
        Finding(
            id="gpu.nvidia.code",
            severity="ok",
            what="1 x Tesla V100-SXM2-32GB: what has machine code for 7.0, or PTX for at most 7.0, runs here",
            evidence="CUDA 9.0 is the first with code for it",
        ),
    )


def test_amd_s_cards(tmp_path: Path) -> None:
    made = host(tmp_path, {**AMD, "opt/rocm/.info/version": "6.3.4-79\n"}, {})
    assert card_findings(measure_gpus(made, today="")) == (
        Finding(
            id="gpu.amd.code",
            severity="ok",
            what="8 x gfx90a: what has code for gfx90a runs here",
            evidence="ROCm 6.3.4 of the host",
        ),
    )
