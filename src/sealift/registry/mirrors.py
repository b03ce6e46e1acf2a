"""registries.conf (containers-registries.conf(5), version 2): where an image is really fetched from.

A name is matched by the longest `prefix` (host, host/path…, or `*.domain`); the part behind it is put behind the
`location` of each mirror in turn, and of the registry itself at last.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from sealift.core.reference import DOCKER_HUB, Reference
from sealift.errors import FetchError, HostError
from sealift.system.home import home_folder

MirrorUse = Literal["all", "digest-only", "tag-only"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mirror:
    location: str
    insecure: bool = False
    use: MirrorUse = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistryRule:
    """One `[[registry]]`; `source` is the file that holds it."""

    prefix: str
    location: str = ""
    insecure: bool = False
    blocked: bool = False
    mirrors: tuple[Mirror, ...] = ()
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """One place to ask: a registry and the repository's name there; `push` for one that is written to."""

    registry: str
    repository: str
    insecure: bool = False
    mirror: bool = False
    push: bool = False

    @property
    def host(self) -> str:
        """The host that serves the registry: Docker Hub's is not called docker.io."""
        return "registry-1.docker.io" if self.registry == DOCKER_HUB else self.registry

    def __str__(self) -> str:
        return f"{self.registry}/{self.repository}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistriesConf:
    """All rules, of which no two have one prefix."""

    rules: tuple[RegistryRule, ...] = ()

    def find(self, name: str) -> RegistryRule | None:
        """The rule with the longest prefix of `host/path`."""
        fitting = [rule for rule in self.rules if _match_length(rule.prefix, name) >= 0]
        return max(fitting, key=lambda rule: len(rule.prefix), default=None)

    def endpoints(self, reference: Reference, *, insecure: bool = False) -> tuple[Endpoint, ...]:
        """Where to ask, in order; FetchError when the rules block it. `insecure` is for the registry itself."""
        own = Endpoint(registry=reference.registry, repository=reference.repository, insecure=insecure)
        rule = self.find(reference.name)
        if rule is None:
            return (own,)
        if rule.blocked:
            raise FetchError(
                f"`{reference.name}` is blocked by the rule for `{rule.prefix}` in `{rule.source}`",
                hints=("ask who keeps that file, or name the image in a registry that is allowed",),
            )
        places = []
        for mirror in rule.mirrors:
            wanted = "tag-only" if reference.digest is None else "digest-only"
            if mirror.use in ("all", wanted):
                places.append(_moved(rule, reference, mirror.location, insecure=mirror.insecure, mirror=True))
        if rule.location and rule.location != rule.prefix:
            places.append(_moved(rule, reference, rule.location, insecure=rule.insecure or insecure, mirror=False))
        else:
            places.append(
                Endpoint(registry=own.registry, repository=own.repository, insecure=rule.insecure or insecure)
            )
        return tuple(places)

    def destination(self, reference: Reference, *, insecure: bool = False) -> Endpoint:
        """Where an image of this name is pushed to: the registry of the name itself, never a mirror."""
        *_, own = self.endpoints(reference, insecure=insecure)
        return Endpoint(registry=reference.registry, repository=reference.repository, insecure=own.insecure, push=True)


def load_registries_conf(env: Mapping[str, str], *, etc: str = "/etc/containers") -> RegistriesConf:
    """Read what this host and user have set; absent files are empty ones. HostError names a file that is wrong."""
    home = home_folder(env)
    user = os.path.join(env.get("XDG_CONFIG_HOME") or os.path.join(home, ".config"), "containers")
    mains = (os.path.join(user, "registries.conf"), os.path.join(etc, "registries.conf"))
    main = env.get("CONTAINERS_REGISTRIES_CONF") or next((path for path in mains if os.path.isfile(path)), "")
    files = [main] if main else []
    for folder in (os.path.join(etc, "registries.conf.d"), os.path.join(user, "registries.conf.d")):
        files += _drop_ins(folder)
    rules: dict[str, RegistryRule] = {}
    for path in files:
        # A later file replaces a prefix's rule as a whole.
        rules.update((rule.prefix, rule) for rule in _read(path, needed=path == env.get("CONTAINERS_REGISTRIES_CONF")))
    return RegistriesConf(rules=tuple(rules.values()))


def parse_registries_conf(text: str, source: str) -> tuple[RegistryRule, ...]:
    """Read one file of version 2, or of the older version 1 as far as it blocks or allows plain HTTP."""
    try:
        value = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise HostError(
            f"`{source}` is not TOML: {error}", hints=("see `man containers-registries.conf`, or remove the file",)
        ) from error
    old = value.get("registries")
    rules = list(_version_1(old, source)) if isinstance(old, dict) else []
    entries = value.get("registry", [])
    for number, entry in enumerate(entries if isinstance(entries, list) else []):
        if not isinstance(entry, dict):
            raise HostError(f"`registry[{number}]` in `{source}` is not a table")
        rules.append(_rule(entry, number, source))
    return tuple(rules)


def _rule(entry: Mapping[str, Any], number: int, source: str) -> RegistryRule:
    prefix, location = _text(entry, "prefix"), _text(entry, "location")
    if not prefix and not location:
        raise HostError(f"`registry[{number}]` in `{source}` has neither `prefix` nor `location`")
    if prefix.startswith("*.") and "/" in prefix:
        raise HostError(f"`registry[{number}]` in `{source}`: the prefix `{prefix}` has a path behind `*.`")
    by_digest = entry.get("mirror-by-digest-only") is True
    mirrors = []
    found = entry.get("mirror", [])
    for mirror in found if isinstance(found, list) else []:
        place = _text(mirror, "location") if isinstance(mirror, dict) else ""
        if not place:
            raise HostError(f"a mirror of `{prefix or location}` in `{source}` has no `location`")
        use = _text(mirror, "pull-from-mirror") or ("digest-only" if by_digest else "all")
        if use not in ("all", "digest-only", "tag-only"):
            raise HostError(f"`pull-from-mirror` of `{place}` in `{source}` must be all, digest-only or tag-only")
        mirrors.append(Mirror(location=place, insecure=mirror.get("insecure") is True, use=use))  # type: ignore[arg-type]
    return RegistryRule(
        prefix=prefix or location,
        location=location,
        insecure=entry.get("insecure") is True,
        blocked=entry.get("blocked") is True,
        mirrors=tuple(mirrors),
        source=source,
    )


def _version_1(old: Mapping[str, Any], source: str) -> list[RegistryRule]:
    def names(kind: str) -> list[str]:
        table = old.get(kind)
        found = table.get("registries", []) if isinstance(table, dict) else []
        return [name for name in found if isinstance(name, str)]

    insecure, blocked = names("insecure"), names("block")
    return [
        RegistryRule(prefix=name, insecure=name in insecure, blocked=name in blocked, source=source)
        for name in dict.fromkeys((*insecure, *blocked))
    ]


def _match_length(prefix: str, name: str) -> int:
    """How many characters of `name` the prefix covers; -1 for no match."""
    if prefix.startswith("*."):
        host = name.partition("/")[0]
        return len(host) if host.partition(":")[0].endswith(prefix[1:]) or host.endswith(prefix[1:]) else -1
    if name == prefix or name.startswith(f"{prefix}/"):
        return len(prefix)
    return -1


def _moved(rule: RegistryRule, reference: Reference, location: str, *, insecure: bool, mirror: bool) -> Endpoint:
    rest = reference.name[_match_length(rule.prefix, reference.name) :]
    registry, _, repository = f"{location.rstrip('/')}{rest}".partition("/")
    return Endpoint(registry=registry, repository=repository, insecure=insecure, mirror=mirror)


def _drop_ins(folder: str) -> Sequence[str]:
    try:
        return [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name.endswith(".conf")]
    except OSError:
        return []


def _read(path: str, *, needed: bool) -> tuple[RegistryRule, ...]:
    try:
        with open(path, encoding="utf-8") as file:
            return parse_registries_conf(file.read(), path)
    except (OSError, UnicodeDecodeError) as error:
        if not needed and isinstance(error, FileNotFoundError | PermissionError):
            return ()
        raise HostError(
            f"`{path}` cannot be read: {error}", hints=("unset CONTAINERS_REGISTRIES_CONF",) if needed else ()
        ) from error


def _text(entry: Mapping[str, Any], name: str) -> str:
    value = entry.get(name)
    return value.strip().rstrip("/") if isinstance(value, str) else ""
