"""The story of `run`, `exec`, `shell` and `test`: a launch plan, an engine, a program."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from sealift.core.event import Events, ignore
from sealift.engines.binds import parse_binds
from sealift.engines.choose import CLEAN_ENGINES, SITE_ENGINES, nowhere
from sealift.engines.start import start
from sealift.system.standin import find_real

if TYPE_CHECKING:
    from sealift.core.launch import LaunchPlan
    from sealift.engines.embedded.image import RootImage
    from sealift.sites.profile import Profile


def run(
    plan: LaunchPlan,
    *,
    engine: str,
    environment: Mapping[str, str],
    insecure: bool = False,
    authfile: str = "",
    site: str = "",
    safe: bool = False,
    show: Callable[[str], object] | None = None,
    events: Events = ignore,
) -> int:
    """Run `plan` on `engine` (`auto` chooses); this process becomes the program, so most calls do not return.

    `environment` is the caller's as it was handed to this process. `insecure` allows plain HTTP for registries,
    `authfile` has the logins for them. `safe` keeps out what does harm inside. `show` is given the engine's command
    line, and nothing is run. `site` names the site, which tells how engines are called; without it the one where this
    runs is looked for.
    """
    if engine in CLEAN_ENGINES or safe or show is not None or plan.passed:
        # What few starts ask for; the others do not pay for it.
        from sealift.flows import elsewhere

        if engine in CLEAN_ENGINES:
            text = elsewhere.start_elsewhere(
                plan,
                engine,
                environment,
                site=site,
                show=show is not None,
                insecure=insecure,
                authfile=authfile,
                events=events,
            )
            if show is not None:
                show(text.rstrip("\n"))
            return 0
        if safe:
            plan = elsewhere.made_safe(plan, environment, site=site)
        elif plan.passed:
            plan = elsewhere.with_passed(plan, environment)
        if show is not None:
            place = _place(site, environment, engine)
            show(elsewhere.shown(plan, engine, environment, site=place, insecure=insecure, authfile=authfile))
            return 0
    # The program inside is not told of the logins.
    fetching = {**environment, "REGISTRY_AUTH_FILE": authfile} if authfile else environment
    plan = replace(plan, image=local_image(plan.image, fetching, events, insecure=insecure))

    def unpack(image: RootImage) -> str:
        from sealift.flows.unpacking import unpacked

        return unpacked(image.path, image.offset, environment, events=events)

    return start(
        plan, engine=engine, env=environment, unpack=unpack, site=_place(site, environment, engine), events=events
    )


def _place(site: str, environment: Mapping[str, str], engine: str) -> Callable[[], Profile | None]:
    """Tells the site when it is asked. Where no Apptainer is found it decides nothing, and nothing is read for it."""

    def here() -> Profile | None:
        from sealift.flows.sites import site_here

        return site_here(site, environment)

    if engine == "embedded" or site:
        return nowhere if engine == "embedded" else here
    from sealift.sites.marks import may_be_known, own_folder

    own = own_folder(environment)
    decides = os.path.isdir(own) or find_real(SITE_ENGINES, environment.get("PATH", os.defpath)) is not None
    return here if decides and may_be_known(environment, own) else nowhere


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
