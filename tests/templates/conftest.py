"""What the tests of whole templates share: stand-ins of the official bases, and all wheels."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.ground import repositories, services
from tests.templates import cases, wheels
from tests.templates.building import Ground, make_ground


@pytest.fixture(scope="session")
def wheelhouse() -> Path:
    """All wheels that the templates install."""
    return wheels.kept({name: case.arguments for name, case in cases.CASES.items()})


@pytest.fixture(scope="session")
def ground(debian_tree: Path, registry: services.Registry, session_folder: Path, wheelhouse: Path) -> Iterator[Ground]:
    with repositories.served(wheelhouse) as served:
        yield make_ground(debian_tree, registry, session_folder / "template-bases", wheels=served.url)
