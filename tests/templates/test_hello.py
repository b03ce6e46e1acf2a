"""One template by both builders; `make templates` builds every one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.ground import services, users
from tests.templates.building import UBUNTU, build_by_both, leftovers, make_ground


@pytest.mark.slow
@pytest.mark.needs("root", "registry", "skopeo", "mmdebstrap", "mirror", "squashfuse", "apptainer", "subuid-user")
def test_hello_by_sealift_and_by_apptainer(
    debian_tree: Path, registry: services.Registry, session_folder: Path, as_user: users.AsUser, apptainer
) -> None:
    ground = make_ground(debian_tree, registry, session_folder / "hello-base")
    made = build_by_both("hello", ground, as_user, apptainer, base=f"library/{UBUNTU}")
    assert {builder: one.tested for builder, one in made.items()} == {"sealift": "", "apptainer": ""}
    assert {builder: leftovers(one) for builder, one in made.items()} == {"sealift": set(), "apptainer": set()}
