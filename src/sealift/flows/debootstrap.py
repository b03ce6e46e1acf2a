"""The bootstrap agent `debootstrap`: a Debian or Ubuntu tree from a mirror, made in a sandbox and kept as a pack.

It is made once for each state of the mirror: the key holds the digest of the suite's signed index, so a new point
release gives a new base, and a build while nothing was released costs one small request.
"""

from __future__ import annotations

import email.utils
import glob
import hashlib
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sealift.bases.debootstrap import HOOKS, AptSource, Bootstrap, choose_source, parse_apt_sources, plan
from sealift.core.epoch import clamp
from sealift.deffile.values import Stage
from sealift.errors import DefinitionError, HostError
from sealift.flows.base import Base
from sealift.flows.bootstrap import fetch_small, pack_of_commands
from sealift.flows.workshop import Workshop
from sealift.system.process import find_program

_KEYRINGS = {
    "ubuntu": "/usr/share/keyrings/ubuntu-archive-keyring.gpg",
    "debian": "/usr/share/keyrings/debian-archive-keyring.gpg",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """The state of a suite: the digest of its signed index, and the time that it names."""

    digest: str
    date: int | None


def bootstrap_debian(shop: Workshop, stage: Stage) -> Base:
    """The stage's base; DefinitionError, FetchError or HostError where header, mirror or host stand in the way."""
    suite = stage.key("osversion")
    source = _source(stage, suite)
    program, path = _program(shop)
    with shop.watch.measure("mirror"):
        release = _read_release(shop, stage, source, suite)
    bootstrap = Bootstrap(
        suite=suite,
        mirror=source.uri,
        architecture=shop.architecture.debian,
        components=("main",) if stage.key("mirrorurl") else _components(source),
        include=tuple(stage.key("include").replace(",", " ").split()),
        keyring=source.signed_by if os.path.isfile(source.signed_by) else "",
        epoch=release.date,
    )
    commands = plan(bootstrap, program=program, path=path, hooks=os.path.isdir(HOOKS))
    key = shop.key(
        "debootstrap",
        program,
        [[list(command.argv), dict(command.env)] for command in commands],
        release.digest,
        shop.architecture.debian,
    )
    pack = pack_of_commands(
        shop, key, commands, what=f"debootstrap {suite}", hints=("is the suite on that mirror? see `OSVersion:`",)
    )
    return Base(packs=(pack,), keys=(key,), origin=f"debootstrap:{suite}", ours=True, created=release.date)


def _program(shop: Workshop) -> tuple[Literal["mmdebstrap", "debootstrap"], str]:
    for name in ("mmdebstrap", "debootstrap"):
        found = find_program(name, path=shop.request.environment.get("PATH"))
        if found is not None:
            return ("mmdebstrap" if name == "mmdebstrap" else "debootstrap"), found
    raise HostError(
        "neither `mmdebstrap` nor `debootstrap` is installed, and this definition file begins with one of them",
        hints=("on Debian and Ubuntu: apt-get install mmdebstrap", "or begin with an image: Bootstrap: docker"),
    )


# The mirror.


def _source(stage: Stage, suite: str) -> AptSource:
    mirror = stage.key("mirrorurl")
    if not mirror:
        return choose_source(parse_apt_sources(_apt_texts()), suite)
    url = re.sub(r"%\{OSVERSION\}", suite, mirror, flags=re.IGNORECASE)
    return AptSource(uri=url, suite=suite, components=("main",), signed_by=_keyring(url))


def _keyring(url: str) -> str:
    """The archive's own keyring where the host is of another distribution: apt trusts its own by default."""
    name = "ubuntu" if "ubuntu" in url else "debian"
    return _KEYRINGS[name] if os.path.isfile(_KEYRINGS[name]) else ""


def _components(source: AptSource) -> tuple[str, ...]:
    return ("main",) if "main" in source.components or not source.components else source.components


def _apt_texts() -> Mapping[str, str]:
    texts = {}
    for path in ("/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*"))):
        if path.endswith((".list", ".sources")):
            try:
                with open(path, encoding="utf-8", errors="replace") as file:
                    texts[path] = file.read()
            except OSError:
                continue
    return texts


def _read_release(shop: Workshop, stage: Stage, source: AptSource, suite: str) -> Release:
    where = stage.field("osversion")
    data = None
    for name in ("InRelease", "Release"):
        data = fetch_small(shop, f"{source.uri.rstrip('/')}/dists/{suite}/{name}")
        if data is not None:
            break
    if data is None:
        raise DefinitionError(
            f"the mirror `{source.uri}` has no suite `{suite}`",
            where=where.span if where else None,
            hints=("`OSVersion:` is a release's code name, for instance bookworm or noble",),
        )
    match = re.search(rb"(?m)^Date: (.+)$", data)
    date = email.utils.parsedate_to_datetime(match[1].decode("ascii", "replace")) if match else None
    return Release(
        digest=hashlib.sha256(data).hexdigest(), date=clamp(int(date.timestamp())) if date is not None else None
    )
