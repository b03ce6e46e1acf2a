"""Which engines this host has to run images with, as findings of `sealift doctor`."""

from __future__ import annotations

from collections.abc import Mapping

from sealift.core.finding import Finding
from sealift.engines.choose import choose
from sealift.errors import SealiftError


def engine_findings(environment: Mapping[str, str]) -> tuple[Finding, ...]:
    """What `--engine auto` takes and why."""
    try:
        choice = choose("auto", env=environment)
    except SealiftError as error:
        return (
            Finding(
                id="engine.none",
                severity="error",
                what="there is no engine to run images with",
                evidence=error.message,
                remedy="\n".join(error.hints),
            ),
        )
    return (Finding(id="engine.auto", severity="ok", what=f"images run on: {choice.engine}", evidence=choice.why),)
