"""A caller, a site and an image, made up, for whole command lines to be compared."""

from __future__ import annotations

from sealift.core.launch import Bind, LaunchPlan
from sealift.engines.clean.image import SETTLE, StoredImage
from sealift.engines.clean.surroundings import Caller
from sealift.sites.catalogue import load_catalogue
from sealift.sites.profile import Profile

IMAGE = StoredImage(reference="registry.example.org/me/app:1")
FOREIGN = StoredImage(reference="registry.example.org/me/app:1", prepared=False)
HOST = {
    "HOME": "/home/me",
    "PATH": "/opt/host/bin",
    "LD_LIBRARY_PATH": "/opt/host/lib",
    "PYTHONPATH": "/home/me/lib",
    "SCRATCH": "/scratch/me",
    "SLURM_JOB_ID": "7",
    "OMP_NUM_THREADS": "8",
    "CUDA_HOME": "/opt/cuda",
    "HF_HOME": "/scratch/me/hf",
}
CACHES = {
    "HF_HOME": "/scratch/me/hf",
    "TORCH_HOME": "/scratch/me/.cache/torch",
    "MPLCONFIGDIR": "/tmp/sealift-cache-7/matplotlib",
    "NUMBA_CACHE_DIR": "/tmp/sealift-cache-7/numba",
    "TRITON_CACHE_DIR": "/tmp/sealift-cache-7/triton",
    "TORCHINDUCTOR_CACHE_DIR": "/tmp/sealift-cache-7/torchinductor",
    "CUDA_CACHE_PATH": "/tmp/sealift-cache-7/cuda",
}
AROUND = {
    "OMP_NUM_THREADS": "8",
    "SLURM_JOB_ID": "7",
    "SCRATCH": "/scratch/me",
    "PYTHONNOUSERSITE": "1",
    **CACHES,
    "HOME": "/home/me",
}
"""What is set inside for `caller()` and a plain plan, in this order."""


APART = {name: value for name, value in AROUND.items() if name not in ("HOME", "SCRATCH")}
"""The same for `bare()`."""
EXEC = "/.singularity.d/actions/exec"


def settled(*words: str, **orders: str) -> tuple[str, ...]:
    """What is run in a prepared image where the caller's orders must outlast the image's scripts."""
    return ("/bin/sh", "-c", SETTLE, "sh", *(f"{name}={value}" for name, value in orders.items()), "-", *words)


def caller(*, terminal: bool = False, **more: str) -> Caller:
    return Caller(
        env=HOST | more,
        cwd="/scratch/me/run",
        home="/home/me",
        uid=1000,
        gid=100,
        groups=(100, 27),
        terminal=terminal,
        real={"/scratch/me": "/lustre/me", "/data": "/lustre/data"},
    )


def bare(**fields: object) -> LaunchPlan:
    """`exec python train.py` with nothing of the host but what is asked for."""
    return plan(contain=True, no_home=True, **fields)


def plan(**fields: object) -> LaunchPlan:
    given: dict[str, object] = {"image": "x", "action": "exec", "command": ("python", "train.py"), **fields}
    return LaunchPlan(**given)  # type: ignore[arg-type]  # tables of cases give each field its own type


def site(name: str) -> Profile:
    return load_catalogue({"XDG_CONFIG_HOME": "/nowhere"}).find(name)


def pairs(flag: str, variables: dict[str, str]) -> list[str]:
    return [word for name, value in variables.items() for word in (flag, f"{name}={value}")]


DATA = Bind(source="/data", destination="/in put,1", read_only=True)
