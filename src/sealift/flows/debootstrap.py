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
from typing import BinaryIO, Literal

from sealift.bases.debootstrap import (
    HOOKS,
    AptSource,
    Bootstrap,
    Command,
    choose_source,
    parse_apt_sources,
    plan,
)
from sealift.core.epoch import clamp
from sealift.core.event import Began, Ended, Said
from sealift.deffile.values import Stage
from sealift.errors import DefinitionError, FetchError, HostError, SectionError
from sealift.flows.base import Base
from sealift.flows.rooms import find_footing, opened_sandbox
from sealift.flows.workshop import Workshop, check_pack, verify_pack
from sealift.sandbox.container import Sandbox
from sealift.system.process import find_program
from sealift.system.web import HttpWeb, Request

RELEASE_LIMIT = 4 << 20
"""Bytes of an InRelease file."""
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
    if shop.request.no_cache:
        shop.store.drop("packs", key)
    what = f"debootstrap {suite}"

    def make(file: BinaryIO) -> None:
        _run(shop, commands, file, what)

    pack = shop.store.entry("packs", key, make, check=check_pack, whole=verify_pack, what=what)
    return Base(packs=(pack,), keys=(key,), origin=f"debootstrap:{suite}", ours=True, created=release.date)


def _run(shop: Workshop, commands: tuple[Command, ...], file: BinaryIO, what: str) -> None:
    footing = find_footing(shop)
    tail: list[bytes] = []

    def take(_stream: str, line: bytes) -> None:
        tail.append(line)
        del tail[:-30]
        shop.events(Said(text=line.decode("utf-8", "replace").rstrip("\n"), level="debug"))

    shop.events(Began(task="bootstrap", label=what))
    with shop.watch.measure("bootstrap"), opened_sandbox(shop, footing, (), bare=True) as sandbox:
        for command in commands:
            argv = [sandbox.root if word == "ROOT" else word for word in command.argv]
            code = sandbox.run(argv, env=command.env, cwd="/", inside=command.inside, umask=0o022, on_line=take)
            if code != 0:
                shop.events(Ended(task="bootstrap", note="failed"))
                raise SectionError(
                    f"`{os.path.basename(argv[0])}` ended with {code}:\n"
                    + b"".join(tail[-12:]).decode("utf-8", "replace").rstrip(),
                    section="bootstrap",
                    code=code,
                    tail=b"".join(tail).decode("utf-8", "replace"),
                    hints=("see all of its output: add -v", "is the suite on that mirror? see `OSVersion:`"),
                )
        _pack(shop, sandbox, file)
    shop.events(Ended(task="bootstrap", note=f"done in {shop.watch.seconds['bootstrap']:.1f} s"))


def _pack(shop: Workshop, sandbox: Sandbox, file: BinaryIO) -> None:
    sandbox.call(
        "sealift.flows.upper:pack_upper",
        descriptors=(file.fileno(),),
        compression=str(shop.options.compression),
        block_size=shop.options.block_size,
        base=[],
    )


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
        data = _fetch(shop, f"{source.uri.rstrip('/')}/dists/{suite}/{name}")
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


def _fetch(shop: Workshop, url: str) -> bytes | None:
    """A small file of a mirror; None where the mirror says that it is not there."""
    if url.startswith(("file:", "/")):
        try:
            with open(url.removeprefix("file://").removeprefix("file:"), "rb") as file:
                return file.read(RELEASE_LIMIT)
        except FileNotFoundError:
            return None
    web = HttpWeb(shop.request.environment)
    try:
        response = web.open(Request(method="GET", url=url))
        try:
            if response.status == 404:
                return None
            if response.status != 200:
                raise FetchError(f"the mirror answers {response.status} for `{url}`", hints=(f"try: curl -I {url}",))
            parts = []
            while part := response.read(1 << 20):
                parts.append(part)
                if sum(map(len, parts)) > RELEASE_LIMIT:
                    raise FetchError(f"`{url}` is larger than {RELEASE_LIMIT >> 20} MiB", hints=(f"curl -I {url}",))
            return b"".join(parts)
        finally:
            response.close()
    finally:
        web.close()
