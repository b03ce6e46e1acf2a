"""What this host has, as far as a course asks for it."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping

from sealift.errors import SealiftError

SECONDS = 20
"""In which a Slurm has to answer."""


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
        """One that answers: the programs alone, as of a package, send no job."""
        from sealift.system.process import find_program, run

        scontrol = find_program("scontrol", path=environment.get("PATH"))
        if scontrol is None:
            return False
        try:
            return b" is UP" in run((scontrol, "ping"), env=environment, timeout=SECONDS, accept=range(256)).out
        except SealiftError:
            return False

    asked = {"gpu": has_gpu, "slurm": has_slurm}

    def here(condition: str) -> bool:
        without = condition.removeprefix("no-")
        return asked[without]() is (without == condition)

    return here
