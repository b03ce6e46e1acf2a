"""Checks of what `sealift check` says of the learner's image: on a known site, or on one that the course brings."""

from __future__ import annotations

from sealift.flows.check import CheckRequest
from sealift.flows.check import check as judge
from sealift.flows.lessons.desk import Desk, Seen, quoted
from sealift.learn.course import Check
from sealift.sites.catalogue import Catalogue, load_catalogue
from sealift.sites.profile import Profile
from sealift.sites.reading import read_profile

_SHOWN = 4


def look_at_site(check: Check, desk: Desk) -> Seen:
    image, site = check.text("image"), check.text("site")
    profile = _brought(site, desk) if site.startswith("./") else None
    verdict = judge(
        CheckRequest(
            image=desk.path(image),
            environment=desk.environment,
            site="" if profile else site,
            profile=profile,
            engine=check.text("engine"),
            today=desk.today,
        )
    )
    grave = [one for one in verdict.findings if one.severity in ("error", "warning")]
    missing = [one for one in check.texts("finds") if one not in {each.id for each in verdict.findings}]
    unwanted = [one for one in grave if one.id in check.texts("without")]
    runs_otherwise = "runs" in check.fields and check.fields["runs"] != verdict.runs
    if not (missing or unwanted or runs_otherwise):
        return Seen(right=True)
    # What the check is about, and nothing that another one asks for.
    about = grave if missing or runs_otherwise else unwanted
    said = "\n".join(f"{one.what}  [{one.id}]" for one in about[:_SHOWN])
    remedy = tuple(one.remedy for one in about[:1] if one.remedy)
    if profile is None:
        remedy = (*remedy, f"all of it: {quoted('sealift', 'check', image, '--site', site)}")
    return Seen(right=False, seen=said or verdict.sentence, remedy=remedy, texts=(said,))


def _brought(site: str, desk: Desk) -> Profile:
    """The profile that lies beside the exercise, on top of those that it extends."""
    text = read_profile(desk.beside(site.removeprefix("./")), file=site)
    known = load_catalogue(desk.environment)
    return Catalogue(shipped=known.shipped, own={**known.own, text.name: text}).find(text.name)
