"""Which GPUs run what was compiled for which: binaries on their own generation, PTX on all newer ones."""

from __future__ import annotations

import pytest

from sealift.lint.check import lint
from sealift.lint.values import Settings

A100 = Settings(select=frozenset({"gpu-generation-missing"}), site=("perlmutter-gpu",), facts={"gpu.capability": "8.0"})


@pytest.mark.parametrize(
    ("line", "runs"),
    [
        ("export TORCH_CUDA_ARCH_LIST='7.0 8.0'", True),
        ("export TORCH_CUDA_ARCH_LIST='7.0'", False),
        ("export TORCH_CUDA_ARCH_LIST='7.0+PTX'", True),
        ("TORCH_CUDA_ARCH_LIST=8.6 pip install .", False),
        ("L='9.0;9.0a'\n    export TORCH_CUDA_ARCH_LIST=$L", False),
        ("export TORCH_CUDA_ARCH_LIST=$UNKNOWN", True),
        ("cmake -DCMAKE_CUDA_ARCHITECTURES=80 .", True),
        ("cmake -DCMAKE_CUDA_ARCHITECTURES='70;75' .", True),
        ("cmake -DCMAKE_CUDA_ARCHITECTURES='70-real;75-real' .", False),
        ("cmake -DCMAKE_CUDA_ARCHITECTURES=90 .", False),
        ("cmake -DCMAKE_CUDA_ARCHITECTURES=native .", True),
        ("nvcc -arch=sm_70 a.cu", True),
        ("nvcc -arch=sm_90 a.cu", False),
    ],
)
def test_a_target_runs_on_an_a100_or_not(line: str, runs: bool) -> None:
    text = f"Bootstrap: docker\nFrom: nvidia/cuda:12.6.3-devel-ubuntu24.04\n\n%post\n    {line}\n"
    assert (lint(text.encode(), settings=A100).findings == ()) == runs
