"""Which bootstrap agent brings a stage's base, and what its header must say, checked before any work is done."""

from __future__ import annotations

import os
from collections.abc import Iterator

from sealift.core.architecture import find_architecture
from sealift.core.elsewhere import ELSEWHERE
from sealift.core.reference import parse_source
from sealift.deffile.values import Definition, Stage
from sealift.deffile.vocabulary import show_keyword
from sealift.errors import DefinitionError, HostError, Span, UsageError
from sealift.flows.base import Base, fetch_base, open_local_image
from sealift.flows.flags import chosen_sections
from sealift.flows.workshop import Workshop
from sealift.sif.reader import is_sif
from sealift.system.distribution import install_hints, own_families
from sealift.system.emulation import BINFMT, can_run, emulator, registration
from sealift.system.process import machine

_IMAGES = ("docker", "oras", "docker-daemon", "docker-archive", "oci", "oci-archive")
_SUBSCRIBED = ("product", "user", "regcode", "productpgp", "registerurl", "modules")
"""Header keywords of the agent `zypper` that only SUSE Linux Enterprise wants."""


_PACKAGERS = ("dnf", "yum", "zypper", "arch")
"""Agents that are programs of this host."""
_RUNNING = ("debootstrap", "dnf", "yum", "zypper", "arch", "busybox")
"""Agents that run programs of the new root."""
_EMULATORS = {
    "debian": "qemu-user-static binfmt-support",
    "fedora": "qemu-user-static",
    "suse": "qemu-linux-user",
    "arch": "qemu-user-static qemu-user-static-binfmt",
    "alpine": "qemu-openrc",
}


def base_of_stage(shop: Workshop, stage: Stage) -> Base:
    """The base that the stage's header asks for; `check_agents` has been asked before."""
    match stage.bootstrap:
        case "scratch":
            return Base(packs=(), keys=(), origin="scratch", ours=True)
        case "localimage":
            return open_local_image(shop, os.path.normpath(stage.source))
        case "debootstrap":
            from sealift.flows.debootstrap import bootstrap_debian

            return bootstrap_debian(shop, stage)
        case "dnf" | "yum":
            from sealift.flows.packagers import bootstrap_by_dnf

            return bootstrap_by_dnf(shop, stage)
        case "zypper":
            from sealift.flows.packagers import bootstrap_by_zypper

            return bootstrap_by_zypper(shop, stage)
        case "arch":
            from sealift.flows.packagers import bootstrap_by_pacman

            return bootstrap_by_pacman(shop, stage)
        case "busybox":
            from sealift.flows.busybox import bootstrap_busybox

            return bootstrap_busybox(shop, stage)
        case agent if agent in _IMAGES:
            source = parse_source(source_text(stage))
            if source is not None:
                return fetch_base(shop, source)
    raise _elsewhere(stage)


def source_text(stage: Stage) -> str:
    """The stage's image as one would name it on the command line."""
    agent, name = stage.bootstrap, stage.source
    if agent == "docker":
        name = name.strip("/")
    if agent != "oras":
        # Apptainer puts `Namespace:` and `Registry:` before the name as they are.
        for key in ("namespace", "registry"):
            name = f"{stage.key(key).strip('/')}/{name}" if stage.key(key) else name
    return f"{agent}://{name}" if agent in ("docker", "oras") else f"{agent}:{name}"


# What is refused, and where it stands.


def check_stages(shop: Workshop, definition: Definition) -> None:
    """Refuse, before any work is done, what could only fail later: wrong headers, tools or emulation that lack here."""
    check_agents(definition)
    for stage in definition.stages:
        if stage.bootstrap in _PACKAGERS:
            from sealift.flows.packagers import find_tools

            find_tools(stage.bootstrap, path=shop.request.environment.get("PATH"))
        _check_architecture(shop, stage)


def _check_architecture(shop: Workshop, stage: Stage) -> None:
    """HostError where the stage runs programs of an architecture that this host cannot run."""
    wanted = shop.architecture
    running = tuple(_running(shop, stage))
    if not running or wanted.machine == machine():
        return
    what, where, way_out = running[0]
    own = find_architecture(machine())
    found = registration(wanted)
    if not can_run(wanted):
        raise HostError(
            f"{what} would run programs for {wanted.oci}, which this host ({own.oci if own else machine()}) cannot",
            where=where,
            hints=(
                *install_hints(_EMULATORS, own_families()),
                f"then this must work: {emulator(wanted)}-static --version, and see: ls {BINFMT}",
                f"or build on a machine for {wanted.oci}" + (f", or {way_out}" if way_out else ""),
            ),
        )
    if found is not None and "F" not in found.flags:
        raise HostError(
            f"{what} would run programs for {wanted.oci} by `{found.interpreter}`, which no image has",
            where=where,
            hints=(
                "let it be registered with the flag F (fix binary): apt-get install --reinstall qemu-user-static",
                f"see: cat {BINFMT}/{found.name}",
            ),
        )


def _running(shop: Workshop, stage: Stage) -> Iterator[tuple[str, Span, str]]:
    """What runs programs of the new root: for people, where it stands, and how to do without."""
    if stage.bootstrap in _RUNNING:
        yield f"`Bootstrap: {stage.bootstrap}`", _place(stage, "bootstrap"), "begin with an image: Bootstrap: docker"
    # `--section` leaves out no `%post`, neither here nor in Apptainer.
    for app in stage.apps:
        if app.body("appinstall"):
            yield "`%appinstall`", app.spans["appinstall"], "convert the base without it"
    post, test = stage.script("post"), stage.script("test")
    if post.text:
        yield "`%post`", post.spans[0], "convert the base without it"
    chosen = chosen_sections(shop.request.flags)
    if test.text and not shop.request.no_test and (chosen is None or "test" in chosen):
        yield "`%test`", test.spans[0], "leave it out: --notest"


def check_agents(definition: Definition) -> None:
    """DefinitionError with every header that Apptainer knows a way with and Sealift does not, or that names no image.

    What Apptainer refuses too was refused when the file was read.
    """
    faults = [fault for stage in definition.stages for fault in _faults(stage)]
    if faults:
        first, *others = faults
        raise DefinitionError(first.message, hints=first.hints, where=first.where, others=tuple(others))


def _faults(stage: Stage) -> Iterator[DefinitionError]:
    agent = stage.bootstrap
    if agent in ELSEWHERE:
        yield _elsewhere(stage)
    elif agent in _IMAGES:
        try:
            parse_source(source_text(stage))
        except UsageError as error:
            yield DefinitionError(error.message, where=_place(stage, "from"), hints=error.hints)
    elif agent == "zypper":
        key = next((key for key in _SUBSCRIBED if stage.key(key)), None)
        if key is not None:
            yield _subscribed(stage, key)
    # Apptainer looks at signatures of SIFs alone.
    if stage.key("fingerprints") and (agent == "oras" or (agent == "localimage" and _names_sif(stage.source))):
        yield DefinitionError(
            "`Fingerprints:` asks to check the signatures of the base, which Sealift cannot do",
            where=_place(stage, "fingerprints"),
            hints=(
                "check them with Apptainer: apptainer verify BASE.sif; then remove this line",
                "or name the very bytes: Bootstrap: oras, From: NAME@sha256:DIGEST",
            ),
        )


def _names_sif(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return is_sif(file.read(64))
    except OSError:
        return False


def _elsewhere(stage: Stage) -> DefinitionError:
    return DefinitionError(
        f"Sealift has no bootstrap agent `{stage.bootstrap}`",
        where=_place(stage, "bootstrap"),
        hints=ELSEWHERE[stage.bootstrap],
    )


def _subscribed(stage: Stage, key: str) -> DefinitionError:
    return DefinitionError(
        f"`{show_keyword(key)}:` asks for SUSE Linux Enterprise, with which Sealift cannot register",
        where=_place(stage, key),
        hints=(
            "SUSE's own base images need no registration: Bootstrap: docker, From: registry.suse.com/bci/bci-base",
            "or make the base with Apptainer on a registered host, then: Bootstrap: localimage",
        ),
    )


def _place(stage: Stage, key: str) -> Span:
    field = stage.field(key)
    return field.span if field is not None else stage.span
