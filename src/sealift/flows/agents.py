"""Which bootstrap agent brings a stage's base."""

from __future__ import annotations

from sealift.core.reference import parse_source
from sealift.deffile.values import Stage
from sealift.errors import DefinitionError
from sealift.flows.base import Base, fetch_base, open_local_image
from sealift.flows.workshop import Workshop

_IMAGES = ("docker", "oci", "oci-archive", "docker-archive")


def base_of_stage(shop: Workshop, stage: Stage) -> Base:
    """The base that the stage's header asks for; DefinitionError for an agent that Sealift does not have."""
    match stage.bootstrap:
        case "scratch":
            return Base(packs=(), keys=(), origin="scratch", ours=True)
        case "localimage":
            return open_local_image(shop, stage.source)
        case "debootstrap":
            from sealift.flows.debootstrap import bootstrap_debian

            return bootstrap_debian(shop, stage)
        case agent if agent in _IMAGES:
            source = parse_source(_source_text(stage))
            if source is not None:
                return fetch_base(shop, source)
    field = stage.field("bootstrap")
    raise DefinitionError(
        f"Sealift has no bootstrap agent `{stage.bootstrap}`",
        where=field.span if field else None,
        hints=(
            "it has docker, oci, oci-archive, docker-archive, localimage, debootstrap and scratch",
            "make an image of it with Apptainer, then: Bootstrap: localimage",
        ),
    )


def _source_text(stage: Stage) -> str:
    if stage.bootstrap != "docker":
        return f"{stage.bootstrap}:{stage.source}"
    # Apptainer puts `Registry:` and `Namespace:` before the name as they are.
    parts = [stage.key("registry"), stage.key("namespace"), stage.source]
    return "docker://" + "/".join(part.strip("/") for part in parts if part)
