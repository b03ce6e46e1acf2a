"""The story of `run`, `exec`, `shell` and `test`: a launch plan, an engine, a program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sealift.core.event import Events, ignore
from sealift.engines.binds import parse_binds
from sealift.engines.start import start

if TYPE_CHECKING:
    from sealift.core.launch import LaunchPlan
    from sealift.engines.embedded.image import RootImage


def run(plan: LaunchPlan, *, engine: str, environment: Mapping[str, str], events: Events = ignore) -> int:
    """Run `plan` on `engine` (`auto` chooses); this process becomes the program, so most calls do not return.

    `environment` is the caller's as it was handed to this process.
    """

    def unpack(image: RootImage) -> str:
        from sealift.flows.unpacking import unpacked

        return unpacked(image.path, image.offset, environment, events=events)

    return start(plan, engine=engine, env=environment, unpack=unpack, events=events)


__all__ = ["parse_binds", "run"]
