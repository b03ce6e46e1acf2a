"""The bootstrap agents that call the host's package manager: `dnf` and `yum`, `zypper`, `arch`.

A base is made once for each state of the repositories: the key holds the digests of their indexes.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass

from sealift.bases.pacman import CONFIGURATION, Repository, parse_major, plan_pacman
from sealift.bases.rpms import DATABASES, RpmBootstrap, RpmPlan, plan_dnf, plan_zypper, revision, with_version
from sealift.core.epoch import clamp
from sealift.core.event import Said
from sealift.deffile.values import Stage
from sealift.errors import DefinitionError, FetchError, HostError
from sealift.flows.base import Base
from sealift.flows.bootstrap import fetch_small, pack_of_commands
from sealift.flows.workshop import Workshop
from sealift.sandbox.container import Sandbox
from sealift.system.distribution import install_hints, own_families
from sealift.system.process import find_program, machine, run

INDEX_LIMIT = 256 << 20
"""Bytes of a repository's index; Arch Linux's largest has ten million."""
RECORDS = "bootstraps"
"""Records of the store: a base's key to what was found out while it was made."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tool:
    """A program of the host, any of `names`, and the packages that bring it, by family of distributions."""

    names: tuple[str, ...]
    packages: Mapping[str, str]


_RPM = Tool(names=("rpm",), packages={"debian": "rpm", "fedora": "rpm", "suse": "rpm", "arch": "rpm-tools"})
_DNF = Tool(names=("dnf", "yum"), packages={"debian": "dnf", "fedora": "dnf", "suse": "dnf", "arch": "dnf"})
_ZYPPER = Tool(names=("zypper",), packages={"debian": "zypper", "fedora": "zypper", "suse": "zypper", "arch": "zypper"})
_PACMAN = Tool(
    names=("pacman",),
    packages={"debian": "pacman-package-manager", "fedora": "pacman", "arch": "pacman", "alpine": "pacman"},
)
TOOLS: Mapping[str, tuple[Tool, ...]] = {
    "dnf": (_DNF, _RPM),
    "yum": (_DNF, _RPM),
    "zypper": (_ZYPPER, _RPM),
    "arch": (_PACMAN,),
}
"""What each agent needs of the host."""
_INSTEAD = {
    "dnf": "rockylinux:9",
    "yum": "rockylinux:9",
    "zypper": "opensuse/leap:15.6",
    "arch": "archlinux",
}


def find_tools(agent: str, *, path: str | None) -> tuple[str, ...]:
    """The paths of the programs that the agent needs; HostError names the package that lacks."""
    found = []
    for tool in TOOLS[agent]:
        place = next((place for name in tool.names if (place := find_program(name, path=path)) is not None), None)
        if place is None:
            raise HostError(
                f"`{tool.names[0]}` is not installed, with which `Bootstrap: {agent}` makes its base",
                hints=(
                    *install_hints(tool.packages, own_families()),
                    f"or begin with an image: Bootstrap: docker, From: {_INSTEAD[agent]}",
                ),
            )
        found.append(place)
    return tuple(found)


# RPM.


def bootstrap_by_dnf(shop: Workshop, stage: Stage) -> Base:
    """The stage's base by dnf or yum; DefinitionError, FetchError, HostError or SectionError for what went wrong."""
    program, rpm = find_tools(stage.bootstrap, path=shop.request.environment.get("PATH"))
    key = shop.request.environment.get("GPG", "")
    if key and not key.startswith("https://"):
        raise HostError("the variable `GPG` names a key that is not fetched by https", hints=("unset GPG",))
    indexes = _read_indexes(shop, stage, ("mirrorurl", "updateurl"))
    wanted = _wanted(shop, stage, indexes, rpm, key=key)
    return _made(shop, stage, plan_dnf(wanted, program=program, rpm=rpm), wanted, indexes)


def bootstrap_by_zypper(shop: Workshop, stage: Stage) -> Base:
    """The stage's base by zypper; errors as for dnf."""
    program, rpm = find_tools(stage.bootstrap, path=shop.request.environment.get("PATH"))
    others = _other_keys(stage)
    indexes = _read_indexes(shop, stage, ("mirrorurl", "updateurl", *others))
    wanted = _wanted(shop, stage, indexes, rpm, others=tuple(stage.key(key) for key in others))
    return _made(shop, stage, plan_zypper(wanted, program=program), wanted, indexes)


def _other_keys(stage: Stage) -> tuple[str, ...]:
    """`OtherURL0` or `OtherURL1`, and those that follow without a gap."""
    first = next((number for number in (0, 1) if stage.key(f"otherurl{number}")), 0)
    keys: list[str] = []
    while stage.key(f"otherurl{first + len(keys)}"):
        keys.append(f"otherurl{first + len(keys)}")
    return tuple(keys)


def _read_indexes(shop: Workshop, stage: Stage, keys: tuple[str, ...]) -> tuple[bytes, ...]:
    """The indexes of the header's repositories, in order; DefinitionError where there is none."""
    indexes = []
    with shop.watch.measure("mirror"):
        for key in keys:
            url = with_version(stage.key(key), stage.key("osversion"))
            if not url or "$" in url:
                # dnf's own variables, as `$basearch`, are known to dnf alone.
                indexes.append(os.urandom(16) if url else b"")
                continue
            data = fetch_small(shop, f"{url.rstrip('/')}/repodata/repomd.xml")
            if data is None:
                field = stage.field(key)
                raise DefinitionError(
                    f"`{url}` is no repository of RPM packages: it has no `repodata/repomd.xml`",
                    where=field.span if field else None,
                    hints=(f"look what there is: curl -I {url.rstrip('/')}/repodata/repomd.xml",),
                )
            indexes.append(data)
    return tuple(indexes)


def _wanted(
    shop: Workshop, stage: Stage, indexes: tuple[bytes, ...], rpm: str, *, others: tuple[str, ...] = (), key: str = ""
) -> RpmBootstrap:
    version = stage.key("osversion")
    times = [time for index in indexes if (time := revision(index)) is not None]
    more = shop.request.environment.get("INCLUDE", "")
    return RpmBootstrap(
        mirror=with_version(stage.key("mirrorurl"), version),
        update=with_version(stage.key("updateurl"), version),
        others=others,
        version=version if "%{osversion}" in (stage.key("mirrorurl") + stage.key("updateurl")).lower() else "",
        include=(*stage.key("include").split(), *more.split()),
        setopt=stage.key("setopt"),
        key=key,
        foreign=shop.architecture.machine if shop.architecture.machine != machine() else "",
        epoch=clamp(max(times)) if times else None,
        database="" if _database_of_host(rpm) in DATABASES else DATABASES[0],
    )


def _database_of_host(rpm: str) -> str:
    return run([rpm, "--eval", "%_dbpath"], env={"HOME": "/nonexistent", "PATH": os.defpath}).out.decode().strip()


def _made(shop: Workshop, stage: Stage, plan: RpmPlan, wanted: RpmBootstrap, indexes: tuple[bytes, ...]) -> Base:
    # A package that is named by an address or a path may change without the repositories.
    fixed = not any("/" in name and not name.startswith("/") for name in wanted.include)
    key = shop.key(
        stage.bootstrap,
        [[list(command.argv), dict(command.env)] for command in plan.commands],
        {name: data.decode() for name, data in plan.files.items()},
        [hashlib.sha256(index).hexdigest() for index in indexes],
        shop.architecture.machine,
        "" if fixed else os.urandom(16).hex(),
    )

    def settle(sandbox: Sandbox) -> None:
        for warning in sandbox.call("sealift.flows.settling:settle_rpm", epoch=wanted.epoch or 0):
            shop.events(Said(text=str(warning), level="warning"))

    pack = pack_of_commands(
        shop,
        key,
        plan.commands,
        what=f"{stage.bootstrap} {wanted.mirror}",
        hints=("are these packages in that repository? see `Include:` and `MirrorURL:`",),
        files=dict(plan.files),
        afterwards=settle,
        umask=0o002,
    )
    return Base(
        packs=(pack,), keys=(key,), origin=f"{stage.bootstrap}:{wanted.mirror}", ours=True, created=wanted.epoch
    )


# pacman.


def bootstrap_by_pacman(shop: Workshop, stage: Stage) -> Base:
    """The stage's base by pacman; errors as for dnf. As with Apptainer, x86-64 alone."""
    if shop.architecture.oci != "amd64":
        raise HostError(
            f"`Bootstrap: arch` is for amd64 alone, not for {shop.architecture.oci}",
            hints=("Arch Linux has no other; begin with an image: Bootstrap: docker",),
        )
    (program,) = find_tools("arch", path=shop.request.environment.get("PATH"))
    configuration = _read_configuration(shop, stage)
    repositories = _repositories(program, configuration)
    with shop.watch.measure("mirror"):
        indexes = [_index_digest(shop, each) for each in repositories]
    include = tuple(stage.key("include").split())
    commands = plan_pacman(include, program=program, major=parse_major(run([program, "--version"]).out))
    key = shop.key(
        "arch",
        [[list(command.argv), dict(command.env)] for command in commands],
        configuration.decode("utf-8", "replace"),
        indexes,
    )

    def settle(sandbox: Sandbox) -> None:
        created = sandbox.call("sealift.flows.settling:settle_pacman")
        shop.store.put_record(RECORDS, key, {"created": created})

    pack = pack_of_commands(
        shop,
        key,
        commands,
        what="arch",
        hints=("are these packages in the repositories of `ConfURL:`? see `Include:`",),
        files={CONFIGURATION: configuration},
        afterwards=settle,
        umask=0o022,
    )
    record = shop.store.record(RECORDS, key) or {}
    created = record.get("created")
    return Base(
        packs=(pack,),
        keys=(key,),
        origin="arch:" + " ".join(each.servers[0] for each in repositories),
        ours=True,
        created=clamp(created) if isinstance(created, int) else None,
    )


def _read_configuration(shop: Workshop, stage: Stage) -> bytes:
    """What `ConfURL` names, else the host's own configuration."""
    url = stage.key("confurl")
    field = stage.field("confurl")
    data = fetch_small(shop, url or "/etc/pacman.conf")
    if data is None or (not url and not _has_repositories(data)):
        raise DefinitionError(
            f"there is no configuration of pacman at `{url}`" if url else "this host's pacman knows no repository",
            where=field.span if field else stage.span,
            hints=("add a line with the address of a pacman.conf that names its servers: ConfURL: https://…",),
        )
    return data


def _has_repositories(data: bytes) -> bool:
    sections = [line.strip() for line in data.splitlines() if line.strip().startswith(b"[")]
    return any(each != b"[options]" for each in sections)


def _repositories(program: str, configuration: bytes) -> tuple[Repository, ...]:
    """The repositories and their servers, by pacman's own reader of its configuration."""
    import tempfile

    reader = os.path.join(os.path.dirname(program), "pacman-conf")
    with tempfile.NamedTemporaryFile(suffix=".conf") as file:
        file.write(configuration)
        file.flush()

        def ask(*words: str) -> tuple[str, ...]:
            return tuple(run([reader, "--config", file.name, *words]).out.decode("utf-8", "replace").split())

        found = tuple(Repository(name=name, servers=ask("--repo", name, "Server")) for name in ask("--repo-list"))
    without = next((each.name for each in found if not each.servers), None)
    if without is not None:
        raise HostError(
            f"the repository `{without}` of the configuration of pacman has no server",
            hints=("write `Server = https://…` into the file of `ConfURL:`, or this host's /etc/pacman.d/mirrorlist",),
        )
    return found


def _index_digest(shop: Workshop, repository: Repository) -> str:
    data = fetch_small(shop, repository.index, limit=INDEX_LIMIT)
    if data is None:
        raise FetchError(
            f"the server has no `{repository.index}`", hints=(f"look what there is: curl -I {repository.index}",)
        )
    return hashlib.sha256(data).hexdigest()
