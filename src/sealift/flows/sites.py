"""The story of `sites`: which machines are known, what is known of each, and the user's own words about them."""

from __future__ import annotations

import os
from collections.abc import Mapping

from sealift.errors import SealiftError, UsageError
from sealift.sites.catalogue import SIZE_LIMIT, SUFFIX, Catalogue, load_catalogue, load_shipped
from sealift.sites.local import NAME as LOCAL
from sealift.sites.local import measure, this_host
from sealift.sites.marks import own_folder
from sealift.sites.profile import Profile
from sealift.sites.reading import ProfileText, read_profile
from sealift.system.files import atomic_file, explain_oserror


def all_sites(environment: Mapping[str, str], *, today: str) -> tuple[Profile, ...]:
    """Every site that one can name, `local` last."""
    catalogue = load_catalogue(environment)
    return (*(catalogue.find(name) for name in catalogue.names()), find_site(LOCAL, environment, today=today))


def shipped_names() -> tuple[str, ...]:
    """The names of sites that are known wherever Sealift is, other names of theirs included, sorted."""
    catalogue = load_shipped()
    profiles = [catalogue.find(name) for name in catalogue.names()]
    return tuple(sorted({LOCAL, *(name for profile in profiles for name in (profile.name, *profile.aliases))}))


def find_site(name: str, environment: Mapping[str, str], *, today: str) -> Profile:
    """The site `name`; `local` is measured now. UsageError when there is none."""
    catalogue = load_catalogue(environment)
    if name == LOCAL and LOCAL not in catalogue.own:
        return measure(this_host(environment), today=today)
    return catalogue.find(name)


def site_here(name: str, environment: Mapping[str, str]) -> Profile | None:
    """The site that was named, else the one where this runs, None where no profile's mark is seen."""
    return find_site(name, environment, today="") if name else load_catalogue(environment).detect(environment)


def detect_site(environment: Mapping[str, str]) -> str:
    """The name of the site on which this runs, empty when no profile's mark is seen."""
    found = load_catalogue(environment).detect(environment)
    return found.name if found else ""


def add_site(path: str, environment: Mapping[str, str], *, force: bool) -> tuple[str, str]:
    """Take a profile into the user's folder; its name and where it lies now.

    The file is kept as it was written. UsageError when it is no profile, extends what there is not, or would replace
    another of the user's without `force`.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise UsageError(f"`{path}` cannot be read: {(error.strerror or '').lower()}") from error
    if len(data) > SIZE_LIMIT:
        raise UsageError(f"`{path}` is no site profile: it has more than {SIZE_LIMIT >> 20} MiB")
    text = read_profile(data, file=path)
    catalogue = load_catalogue(environment)
    _refuse_taken_names(text, catalogue)
    Catalogue(shipped=catalogue.shipped, own={**catalogue.own, text.name: text}).find(text.name)
    folder = own_folder(environment)
    target = os.path.join(folder, text.name + SUFFIX)
    if os.path.exists(target) and not force and os.path.realpath(path) != os.path.realpath(target):
        raise UsageError(f"there is a site `{text.name}` of yours: `{target}`", hints=("replace it: add -F",))
    try:
        os.makedirs(folder, exist_ok=True)
        with atomic_file(target, mode=0o644) as out:
            out.write(data)
    except OSError as error:
        raise explain_oserror(error, f"writing {target}") from error
    return text.name, target


def _refuse_taken_names(text: ProfileText, catalogue: Catalogue) -> None:
    """UsageError where a name of `text` means another profile: one of the two could not be found any more."""
    others = {name: each for name, each in {**catalogue.shipped, **catalogue.own}.items() if name != text.name}
    for name in (text.name, *text.aliases):
        holder = next((each.name for each in others.values() if name == each.name or name in each.aliases), "")
        if holder:
            what = "a site" if holder == name else f"another name of the site `{holder}`"
            raise UsageError(
                f"`{name}` is {what} already", hints=(f'to override its facts: name = "{holder}", without aliases',)
            )


def remove_site(name: str, environment: Mapping[str, str]) -> str:
    """Take one of the user's profiles away; the path of the file that is gone."""
    catalogue = load_catalogue(environment)
    text = catalogue.own.get(name)
    if text is None:
        known = name in catalogue.shipped
        why = "comes with Sealift and stays" if known else "is none of yours"
        hint = (
            f'override its facts: sealift sites add FILE, with name = "{name}"' if known else "see them: sealift sites"
        )
        raise UsageError(f"the site `{name}` {why}", hints=(hint,))
    rest = {each: other for each, other in catalogue.own.items() if each != name}
    for other in rest:
        try:
            Catalogue(shipped=catalogue.shipped, own=rest).find(other)
        except SealiftError as error:
            raise UsageError(
                f"the site `{other}` extends `{name}`", hints=(f"sealift sites remove {other}",)
            ) from error
    os.unlink(text.file)
    return text.file
