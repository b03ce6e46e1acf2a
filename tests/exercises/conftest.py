"""What walks through exercises share: the wheels that the course installs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.exercises import wheels
from tests.ground import repositories


@pytest.fixture(scope="session")
def course_wheels() -> Iterator[str]:
    """The address of a folder with all of them; needs "mirror"."""
    with repositories.served(wheels.kept()) as served:
        yield served.url
