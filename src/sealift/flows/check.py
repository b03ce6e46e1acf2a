"""The story of `check`: will this image run on that site? Read both, ask every check, and with `probe` try it here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from sealift.core.event import Events, ignore
from sealift.engines.choose import CLEAN_ENGINES, ENGINES, choose
from sealift.errors import UsageError
from sealift.evidence.imagefacts import ImageFacts, read_facts
from sealift.evidence.opening import open_image
from sealift.flows.environment import default_environment
from sealift.flows.ociconfig import DEFAULT_PATH, environment_scripts
from sealift.flows.run import local_image
from sealift.flows.sites import detect_site, find_site
from sealift.preflight.checks import Verdict, judge
from sealift.preflight.question import Question, traits
from sealift.sites.local import NAME as LOCAL
from sealift.sites.profile import Profile


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckRequest:
    """What `check` is asked. Without `site` it is the one where this runs, else this host; without `engine` the site's
    first one. `profile` is a site that nobody has to know by name. `probe` runs the image on this host, too.
    """

    image: str
    environment: Mapping[str, str]
    site: str = ""
    profile: Profile | None = None
    engine: str = ""
    probe: bool = False
    insecure: bool = False
    today: str = ""
    events: Events = ignore


def check(request: CheckRequest) -> Verdict:
    """Judge the image for the site; nothing of either is changed. UsageError, ImageError, FetchError's kinds."""
    site = request.profile or find_site(
        request.site or detect_site(request.environment) or "local", request.environment, today=request.today
    )
    name = _engine(request, site)
    path = local_image(request.image, request.environment, request.events, insecure=request.insecure)
    with open_image(path) as opened:
        values = default_environment(environment_scripts(opened.root), {"PATH": DEFAULT_PATH})
        facts = read_facts(opened, values, source=request.image)
    others = tuple(traits(site, each) for each in site.texts("engines.order") if each != name)
    verdict = judge(Question(image=facts, site=site, engine=traits(site, name), others=others))
    if not request.site and site.name == LOCAL:
        note = "no site was named: this is judged for this host; for another: --site NAME (see: sealift sites)"
        verdict = replace(verdict, how=(*verdict.how, note))
    return _tried(request, verdict, facts, path) if request.probe else verdict


def _engine(request: CheckRequest, site: Profile) -> str:
    if not request.engine and site.name == LOCAL:
        return choose("auto", env=request.environment).engine
    if not request.engine:
        return next(iter(site.texts("engines.order")), "apptainer")
    known = [name for name in (*ENGINES, *CLEAN_ENGINES) if name != "auto"]
    if request.engine not in known:
        raise UsageError(f"there is no engine `{request.engine}`", hints=(f"engines: {', '.join(known)}",))
    return request.engine


def _tried(request: CheckRequest, verdict: Verdict, facts: ImageFacts, path: str) -> Verdict:
    from sealift.flows.trial import try_image

    return replace(verdict, findings=(*verdict.findings, *try_image(facts, path, request.environment)))
