"""What this host has, as far as a course asks for it."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping


def conditions(environment: Mapping[str, str]) -> Callable[[str], bool]:
    """Tells of each of `vocabulary.CONDITIONS` whether it holds here; looked for once, when it is asked."""

    @functools.cache
    def has_gpu() -> bool:
        from sealift.engines.driver import find_driver
        from sealift.system.process import machine

        driver = find_driver("nvidia", path=environment.get("PATH", os.defpath), machine=machine())
        return bool(driver.version and driver.devices)

    @functools.cache
    def has_slurm() -> bool:
        from sealift.system.process import find_program

        return find_program("srun", path=environment.get("PATH")) is not None

    asked = {"gpu": has_gpu, "slurm": has_slurm}

    def here(condition: str) -> bool:
        without = condition.removeprefix("no-")
        return asked[without]() is (without == condition)

    return here
