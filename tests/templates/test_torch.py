"""The templates with PyTorch, by both builders; in a file apart from the others, so that two workers share them."""

from __future__ import annotations

import pytest

from tests.ground import users
from tests.templates.building import NEEDS, Ground, check_by_both


@pytest.mark.slow
@pytest.mark.needs(*NEEDS)
@pytest.mark.parametrize("name", ["cuda-pytorch", "ml-complete"])
def test_by_sealift_and_by_apptainer(name: str, ground: Ground, as_user: users.AsUser, apptainer) -> None:
    check_by_both(name, ground, as_user, apptainer)
