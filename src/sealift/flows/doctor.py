"""The story of `doctor`: what this host can do for building and running, and what mends the rest."""

from __future__ import annotations

from collections.abc import Mapping

from sealift.core.finding import Finding
from sealift.engines.driver import driver_version
from sealift.engines.findings import engine_findings
from sealift.errors import SealiftError
from sealift.preflight.host import card_findings, driver_findings
from sealift.sandbox.findings import host_findings
from sealift.sites.local import measure_gpus, this_host
from sealift.store.place import choose_place, open_store


def examine(environment: Mapping[str, str]) -> tuple[Finding, ...]:
    """All findings, those about building first; nothing of the host is changed."""
    return (
        *host_findings(environment),
        *engine_findings(environment),
        *driver_findings(driver_version("nvidia")),
        *card_findings(measure_gpus(this_host(environment), today="")),
        *_store_findings(environment),
    )


def _store_findings(environment: Mapping[str, str]) -> tuple[Finding, ...]:
    place = choose_place(environment)
    named = f"from ${place.variable}" if place.variable else "the default"
    try:
        open_store(environment).close()
    except SealiftError as error:
        return (
            Finding(
                id="store.place",
                severity="error",
                what=f"the cache cannot lie in {place.root}",
                evidence=error.message,
                remedy="\n".join(error.hints),
            ),
        )
    return (Finding(id="store.place", severity="ok", what=f"the cache lies in {place.root}", evidence=named),)
