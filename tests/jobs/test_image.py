"""Where a job's image is read: by itself, and as ordered."""

from __future__ import annotations

import dataclasses

import pytest

from sealift.jobs.image import choose_stage
from tests.jobs import world

GB = 1_000_000_000


@pytest.mark.parametrize(
    ("size", "nodes", "site", "stage"),
    [
        # An eighth of the 512 GB of a node's memory, which its /tmp is
        (GB, 2, "perlmutter-cpu", "node"),
        (64 * GB, 2, "perlmutter-cpu", "node"),
        (64 * GB + 1, 2, "perlmutter-cpu", "shared"),
        (GB - 1, 2, "perlmutter-cpu", "shared"),
        (GB, 1, "perlmutter-cpu", "shared"),
        # Nobody knows how much it has
        (GB, 2, "slurm", "shared"),
    ],
)
def test_large_images_are_copied_for_several_nodes(size: int, nodes: int, site: str, stage: str) -> None:
    image = dataclasses.replace(world.FILE, size=size)
    assert choose_stage("auto", image, nodes=nodes, site=world.site(site)) == stage


@pytest.mark.parametrize("stage", ["node", "shared"])
def test_an_order_counts(stage: str) -> None:
    for image in (world.FILE, world.LARGE_FILE):
        assert choose_stage(stage, image, nodes=1 if image is world.FILE else 2, site=world.site("slurm")) == stage


def test_what_engines_keep_themselves_is_shared() -> None:
    assert choose_stage("auto", world.REGISTRY, nodes=4, site=world.site("perlmutter")) == "shared"
