"""The story of `run`, `exec`, `shell` and `test`: a launch plan, an engine, a program."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from sealift.core.event import Events, ignore
from sealift.engines.binds import parse_binds
from sealift.engines.start import start

if TYPE_CHECKING:
    from sealift.core.launch import LaunchPlan
    from sealift.engines.embedded.image import RootImage


def run(
    plan: LaunchPlan,
    *,
    engine: str,
    environment: Mapping[str, str],
    insecure: bool = False,
    events: Events = ignore,
) -> int:
    """Run `plan` on `engine` (`auto` chooses); this process becomes the program, so most calls do not return.

    `environment` is the caller's as it was handed to this process. `insecure` allows plain HTTP for registries.
    """
    plan = replace(plan, image=local_image(plan.image, environment, events, insecure=insecure))

    def unpack(image: RootImage) -> str:
        from sealift.flows.unpacking import unpacked

        return unpacked(image.path, image.offset, environment, events=events)

    return start(plan, engine=engine, env=environment, unpack=unpack, events=events)


def local_image(text: str, environment: Mapping[str, str], events: Events = ignore, *, insecure: bool = False) -> str:
    """The path of a runnable image for any form of IMAGE: docker://…, oras://…, oci:…, oci-archive:…, docker-archive:…

    A path is given back as it is, there or not; all else is fetched and converted once, and kept in the cache.
    UsageError for a form that is refused, FetchError's kinds, ImageError.
    """
    if ":" not in text or os.path.exists(text):
        return text
    # Most starts have a file, and do not pay for what the others need.
    from sealift.flows.images import prepared_image

    return prepared_image(text, environment, events, insecure=insecure)


__all__ = ["local_image", "parse_binds", "run"]
