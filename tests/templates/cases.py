"""Each template: the base it asks for, its arguments for a machine without a GPU, and what its own test then says.

The stand-in bases have no CUDA: PyTorch and JAX come as their wheels for processors.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

UBUNTU, CUDA = "library/ubuntu:24.04", "nvidia/cuda:12.6.3-base-ubuntu24.04"
TORCH = "2.13.0+cpu"
NO_GPU = "no GPU is seen here: its part of the test was left out (with a GPU: --nv)\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    base: str
    arguments: Mapping[str, str] = field(default_factory=dict)
    says: str = ""
    """How what its own test prints begins."""


CASES = {
    "hello": Case(base=UBUNTU),
    "mpi-mpich": Case(base=UBUNTU, says="2 ranks, sum 3, MPICH Version:\t3.4.3\n"),
    "mpi-openmpi": Case(base=UBUNTU, says="2 ranks, sum 3, Open MPI v5.0.11,"),
    "cuda-pytorch": Case(base=CUDA, arguments={"torch": TORCH}, says=f"torch {TORCH}, CUDA None\n{NO_GPU}"),
    "cuda-jax": Case(base=CUDA, arguments={"plugin": "cpu"}, says=f"jax 0.10.2 on 1 x cpu\n{NO_GPU}"),
    "ml-complete": Case(
        base=CUDA,
        arguments={"torch": TORCH},
        says=f"torch {TORCH}, CUDA None, MPICH Version:\t3.4.3\n{NO_GPU}",
    ),
}
