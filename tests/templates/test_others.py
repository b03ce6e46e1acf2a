"""The templates without PyTorch, by both builders."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealift.flows.templates import template_names
from tests.ground import users
from tests.templates import wheels
from tests.templates.building import NEEDS, Ground, check_by_both
from tests.templates.cases import CASES


@pytest.mark.slow
@pytest.mark.needs(*NEEDS)
@pytest.mark.parametrize("name", ["hello", "mpi-openmpi", "cuda-jax"])
def test_by_sealift_and_by_apptainer(name: str, ground: Ground, as_user: users.AsUser, apptainer) -> None:
    check_by_both(name, ground, as_user, apptainer)


@pytest.mark.slow
@pytest.mark.needs(*NEEDS)
def test_the_hosts_mpich_takes_the_place_of_the_images(
    ground: Ground, wheelhouse: Path, as_user: users.AsUser, apptainer
) -> None:
    images = check_by_both("mpi-mpich", ground, as_user, apptainer)
    libraries = wheels.unpack_hosts_mpich(wheelhouse, as_user.folder() / "host")
    as_user.give(as_user.folder() / "host")
    program = "from mpi4py import MPI; print(MPI.Get_library_version().split()[2])"
    for place, version in (("", "3.4.3"), ("/host", "4.1.3")):
        start = ["sealift", "exec", "--bind", f"{libraries}:/host", "--env", f"LD_LIBRARY_PATH={place}"]
        done = as_user([*start, images["sealift"], "python", "-c", program])
        assert (done.stdout.decode(), done.returncode) == (f"{version}\n", 0), done.stderr.decode()


def test_none_is_missing() -> None:
    assert sorted(CASES) == [*template_names()]
