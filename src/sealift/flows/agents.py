"""Which bootstrap agent brings a stage's base, and what its header must say, checked before any work is done."""

from __future__ import annotations

import os
from collections.abc import Iterator

from sealift.core.elsewhere import ELSEWHERE
from sealift.core.reference import parse_source
from sealift.deffile.values import Definition, Stage
from sealift.deffile.vocabulary import show_keyword
from sealift.errors import DefinitionError, Span, UsageError
from sealift.flows.base import Base, fetch_base, open_local_image
from sealift.flows.workshop import Workshop

_IMAGES = ("docker", "oras", "docker-daemon", "docker-archive", "oci", "oci-archive")
_SUBSCRIBED = ("product", "user", "regcode", "productpgp", "registerurl", "modules")
"""Header keywords of the agent `zypper` that only SUSE Linux Enterprise wants."""


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
    agent = stage.bootstrap
    # Apptainer puts `Registry:` and `Namespace:` before the name as they are, for all agents but oras.
    parts = [stage.source] if agent == "oras" else [stage.key("registry"), stage.key("namespace"), stage.source]
    name = "/".join(part if number else part.strip("/") for number, part in enumerate(filter(None, parts)))
    return f"{agent}://{name}" if agent in ("docker", "oras") else f"{agent}:{name}"


# What is refused, and where it stands.


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
    if agent in ("localimage", "oras") and stage.key("fingerprints"):
        yield DefinitionError(
            "`Fingerprints:` asks to check the signatures of the base, which Sealift cannot do",
            where=_place(stage, "fingerprints"),
            hints=(
                "check them with Apptainer: apptainer verify BASE.sif; then remove this line",
                "or name the very bytes: Bootstrap: oras, From: NAME@sha256:DIGEST",
            ),
        )


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
