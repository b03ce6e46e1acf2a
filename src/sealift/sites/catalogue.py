"""All profiles at hand: those of the package and, before them, the user's own."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import resources

from sealift.errors import UsageError
from sealift.sites.marks import own_folder
from sealift.sites.profile import Fact, Profile, Source
from sealift.sites.reading import ProfileText, read_profile

SUFFIX = ".toml"
_NOT_PROFILES = {"schema.toml", "sources.toml"}
SIZE_LIMIT = 1 << 20
"""Bytes of a profile; ours are of some thousands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """Profiles by name, the package's and the user's. A user's profile of the same name lies over the package's."""

    shipped: Mapping[str, ProfileText]
    own: Mapping[str, ProfileText]

    def names(self) -> tuple[str, ...]:
        """The profiles that one can choose, sorted."""
        texts = {**self.shipped, **self.own}
        return tuple(sorted(name for name, text in texts.items() if not text.abstract))

    def find(self, name: str) -> Profile:
        """The profile of this name or alias with all that it inherits; UsageError when there is none."""
        texts = {**self.shipped, **self.own}
        wanted = name if name in texts else self._called(name)
        if wanted is None or texts[wanted].abstract:
            close = self._near(name)
            meant = (f"did you mean {' or '.join(f'`{each}`' for each in close)}?",) if close else ()
            raise UsageError(f"there is no site `{name}`", hints=(*meant, "see the sites: sealift sites"))
        return self._resolve(wanted, ())

    def _called(self, alias: str) -> str | None:
        texts = (*self.own.values(), *self.shipped.values())
        return next((text.name for text in texts if alias in text.aliases), None)

    def _near(self, name: str) -> list[str]:
        """Names and aliases that look like it, and those of sites whose title has the word."""
        texts = [text for text in (*self.own.values(), *self.shipped.values()) if not text.abstract]
        known = [*self.names(), *(alias for text in texts for alias in text.aliases)]
        close = get_close_matches(name.lower(), known, n=3, cutoff=0.75)
        titled = [each for each in self.names() if name.lower() in self.find(each).text("site.title").lower()]
        return list(dict.fromkeys([*close, *titled]))[:3] if len(name) > 2 else close

    def detect(self, environment: Mapping[str, str]) -> Profile | None:
        """The site whose mark this environment carries; where several do, the one that others call by an alias."""
        found = []
        for name in self.names():
            profile = self.find(name)
            variable, value = profile.text("detect.variable"), profile.text("detect.value")
            if variable and environment.get(variable) == value:
                found.append(profile)
        found.sort(key=lambda profile: (not profile.aliases, profile.name))
        return found[0] if found else None

    def _resolve(self, name: str, above: tuple[str, ...]) -> Profile:
        if name in above:
            raise UsageError(
                f"the site profiles {', '.join(f'`{each}`' for each in above)} extend each other",
                hints=("take `extends` out of one of them",),
            )
        layers = [texts[name] for texts in (self.shipped, self.own) if name in texts]
        if not layers:
            raise UsageError(
                f"the site `{above[-1]}` extends `{name}`, which there is not",
                hints=("see the sites: sealift sites",),
            )
        facts: dict[str, Fact] = {}
        sources: dict[str, Source] = {}
        files: tuple[str, ...] = ()
        for text in layers:
            if text.extends and text.extends != name:
                parent = self._resolve(text.extends, (*above, name))
                facts, sources, files = {**facts, **parent.facts}, {**sources, **parent.sources}, files + parent.files
            facts, sources, files = {**facts, **text.facts}, {**sources, **text.sources}, (*files, text.file)
        last = layers[-1]
        return Profile(
            name=name,
            collected=last.collected,
            facts=facts,
            files=files,
            aliases=tuple(alias for text in layers for alias in text.aliases),
            abstract=last.abstract,
            sources=sources,
        )


def load_catalogue(environment: Mapping[str, str]) -> Catalogue:
    """Read all profiles; UsageError when one of the user's is wrong."""
    return Catalogue(shipped=_shipped(), own=_own(own_folder(environment)))


def load_shipped() -> Catalogue:
    """The package's profiles alone."""
    return Catalogue(shipped=_shipped(), own={})


def _shipped() -> dict[str, ProfileText]:
    folder = resources.files("sealift").joinpath("data/sites")
    files = sorted((entry.name, entry.read_bytes()) for entry in folder.iterdir() if entry.name.endswith(SUFFIX))
    texts = [read_profile(data, file=name) for name, data in files if name not in _NOT_PROFILES]
    return {text.name: text for text in texts}


def _own(folder: str) -> dict[str, ProfileText]:
    texts: dict[str, ProfileText] = {}
    try:
        names = sorted(name for name in os.listdir(folder) if name.endswith(SUFFIX))
    except OSError:
        return texts
    for name in names:
        path = os.path.join(folder, name)
        with open(path, "rb") as file:
            text = read_profile(file.read(SIZE_LIMIT), file=path)
        texts[text.name] = text
    return texts
