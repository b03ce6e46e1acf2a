"""Every template by both builders, for `make templates`: some minutes each, so no part of `make test`.

The stand-in bases have no GPU and no CUDA: PyTorch and JAX come as their wheels for CPUs, and the templates' own tests
say that no GPU is seen.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from pip._internal.models.index import PyPI

from sealift.flows.templates import template_names
from tests import parts
from tests.ground import repositories, services, users
from tests.templates.building import CUDA, NORMAL, UBUNTU, Ground, build_by_both, leftovers, make_ground

TORCH = "2.13.0+cpu"
CASES: dict[str, tuple[str, dict[str, str], str]] = {
    "hello": (f"library/{UBUNTU}", {}, ""),
    "mpi-mpich": (f"library/{UBUNTU}", {}, "2 ranks, sum 3, MPICH Version:\t3.4.3\n"),
    "mpi-openmpi": (f"library/{UBUNTU}", {}, "2 ranks, sum 3, Open MPI v5.0.11,"),
    "cuda-pytorch": (
        CUDA,
        {"torch": TORCH, "wheels": PyPI.simple_url},
        f"torch {TORCH}, CUDA None\nno GPU is seen here: its part of the test was left out (with a GPU: --nv)\n",
    ),
    "cuda-jax": (
        CUDA,
        {"plugin": "cpu"},
        "jax 0.10.2 on 1 x cpu\nno GPU is seen here: its part of the test was left out (with a GPU: --nv)\n",
    ),
    "ml-complete": (
        CUDA,
        {"torch": TORCH, "wheels": PyPI.simple_url},
        f"torch {TORCH}, CUDA None, MPICH Version:\t3.4.3\nno GPU is seen here: its part of the test was left out",
    ),
}
"""The base, the arguments for a machine without a GPU, and how what the template's own test prints begins."""


@pytest.fixture(scope="module")
def ground(debian_tree: Path, registry: services.Registry, session_folder: Path) -> Iterator[Ground]:
    wheels = parts.cache_folder() / "wheels"
    download = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(wheels), f"torch=={TORCH}"]
    subprocess.run(download, check=True)
    with repositories.served(wheels) as served:
        yield make_ground(debian_tree, registry, session_folder / "template-bases", find_links=served.url)


def test_none_is_missing() -> None:
    assert sorted(CASES) == [*template_names()]


@pytest.mark.needs("root", "registry", "skopeo", "mmdebstrap", "mirror", "squashfuse", "apptainer", "subuid-user")
@pytest.mark.parametrize("name", CASES)
def test_by_sealift_and_by_apptainer(name: str, ground: Ground, as_user: users.AsUser, apptainer) -> None:
    base, arguments, says = CASES[name]
    made = build_by_both(name, ground, as_user, apptainer, base=base, arguments=arguments)
    for builder, one in made.items():
        assert one.tested.startswith(says), (builder, one.tested)
        assert leftovers(one) <= NORMAL, builder
        print(f"{name} by {builder}: {one.size['file_size']:,} bytes")
