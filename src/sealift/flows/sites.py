"""The story of `sites`: which machines are known, what is known of each, and the user's own words about them."""

from __future__ import annotations

import os
from collections.abc import Mapping

from sealift.errors import SealiftError, UsageError
from sealift.sites.catalogue import SIZE_LIMIT, SUFFIX, Catalogue, load_catalogue, own_folder
from sealift.sites.local import NAME as LOCAL
from sealift.sites.local import measure, this_host
from sealift.sites.profile import Profile
from sealift.sites.reading import read_profile
from sealift.system.files import atomic_file, explain_oserror


def all_sites(environment: Mapping[str, str], *, today: str) -> tuple[Profile, ...]:
    """Every site that one can name, `local` last."""
    catalogue = load_catalogue(environment)
    return (*(catalogue.find(name) for name in catalogue.names()), find_site(LOCAL, environment, today=today))


def find_site(name: str, environment: Mapping[str, str], *, today: str) -> Profile:
    """The site `name`; `local` is measured now. UsageError when there is none."""
    catalogue = load_catalogue(environment)
    if name == LOCAL and LOCAL not in catalogue.own:
        return measure(this_host(environment), today=today)
    return catalogue.find(name)


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
            data = file.read(SIZE_LIMIT)
    except OSError as error:
        raise UsageError(f"`{path}` cannot be read: {(error.strerror or '').lower()}") from error
    text = read_profile(data, file=path)
    catalogue = load_catalogue(environment)
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
