"""The templates without PyTorch, by both builders."""

from __future__ import annotations

import pytest

from sealift.flows.templates import template_names
from tests.ground import users
from tests.templates.building import NEEDS, Ground, check_by_both
from tests.templates.cases import CASES


@pytest.mark.slow
@pytest.mark.needs(*NEEDS)
@pytest.mark.parametrize("name", ["hello", "mpi-mpich", "mpi-openmpi", "cuda-jax"])
def test_by_sealift_and_by_apptainer(name: str, ground: Ground, as_user: users.AsUser, apptainer) -> None:
    check_by_both(name, ground, as_user, apptainer)


def test_none_is_missing() -> None:
    assert sorted(CASES) == [*template_names()]
