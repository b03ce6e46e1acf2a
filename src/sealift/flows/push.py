"""The story of `push`: an image as it is to a registry, into an engine's store, or to a file that engines read."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace

from sealift.core.reference import LayoutArchiveSource, LayoutSource, OrasSource, Reference, parse_source
from sealift.deffile.sniff import refuse_other_files
from sealift.errors import UsageError
from sealift.flows.definitions import read_spec
from sealift.flows.destinations import Destination, EngineStore, parse_destination
from sealift.flows.ociimages import in_ocis_words, opened_to_send
from sealift.flows.pushed import note_pushed
from sealift.flows.registryout import check_push, layer_blobs, send
from sealift.flows.requests import BuildRequest, Pushed, PushRequest, Sent
from sealift.flows.stored import stored_image
from sealift.flows.targets import Target, check_target
from sealift.flows.workshop import Workshop, open_workshop
from sealift.oci.config import parse_config


def push(request: PushRequest) -> Pushed:
    """Bring the image to where `request` says. Again is as once, and sends nothing.

    UsageError before any work for what cannot be; FetchError's kinds, ImageError, HostError.
    """
    destination = parse_destination(request.target, image=request.image)
    engines = _engines(request)
    if isinstance(destination, Target):
        check_target(destination, force=request.force)
    _check_image(request)
    _check_flags(request, destination)
    asked = BuildRequest(
        target="",
        spec=request.image,
        environment=request.environment,
        architecture=request.architecture or _own_architecture(request.image),
        insecure=request.insecure,
        compression=request.compression,
        layers=request.layers,
        events=request.events,
    )
    with open_workshop(asked) as shop:
        with shop.watch.measure("push"):
            _ask_first(shop, destination)
            if isinstance(destination, OrasSource):
                from sealift.flows.orasout import push_sif

                done = push_sif(shop, request.image, destination)
            else:
                done = _push_layers(shop, destination)
        _remember(shop, destination, done)
        shop.store.prune()
        following = tuple((name, next_line(name, destination)) for name in engines)
        return replace(
            done,
            target=request.target,
            following=tuple((name, line) for name, line in following if line),
            seconds=dict(shop.watch.seconds),
            warnings=tuple(shop.warnings),
        )


def _ask_first(shop: Workshop, destination: Destination) -> None:
    """Where an image has to be made for a registry, that takes minutes: whether it is wanted there is known before."""
    source = parse_source(shop.request.spec)
    if isinstance(destination, OrasSource) and source is not None:
        check_push(shop, destination.reference)
    made_of_layers = isinstance(source, Reference | LayoutSource | LayoutArchiveSource)
    if isinstance(destination, Reference) and not made_of_layers:
        check_push(shop, destination)


def _push_layers(shop: Workshop, destination: Reference | EngineStore | Target) -> Pushed:
    with opened_to_send(shop, shop.request.spec) as found:
        image, sent = found.image, tuple[Sent, ...]()
        match destination:
            case Reference():
                sent = send(shop, destination, layer_blobs(image.layers), image.config, image.manifest)
                digest = image.manifest.descriptor.digest
                reference = f"docker://{replace(destination, tag='').pinned(digest)}"
                unchanged = all(each.how == "there" for each in sent)
            case EngineStore():
                from sealift.flows.enginestores import give

                unchanged = not give(image, destination, shop.request.environment, events=shop.events)
                image, reference = in_ocis_words(image), destination.name
            case Target():
                from sealift.flows.ociout import write_image

                image = in_ocis_words(image)
                write_image(shop, image, destination)
                reference, unchanged = destination.text, False
        return Pushed(
            image=shop.request.spec,
            target="",
            reference=reference,
            digest=image.manifest.descriptor.digest,
            tree_digest=found.tree,
            size=image.size,
            unchanged=unchanged,
            sent=sent,
            library_path=stored_image("", parse_config(image.config.data)).library_path,
        )


def _remember(shop: Workshop, destination: Destination, done: Pushed) -> None:
    """For engines that take no files: under this name the image can be found from now on."""
    if not isinstance(destination, Reference | EngineStore):
        return
    target = f"docker://{destination}"
    if isinstance(destination, EngineStore):
        target = f"{destination.engine}:{destination.name}"
    note_pushed(shop.store, tree=done.tree_digest, target=target, library_path=done.library_path)


def _check_image(request: PushRequest) -> None:
    """UsageError for what is no image, in the words of what it is."""
    image = request.image
    if parse_source(image) is not None or os.path.isdir(image):
        return
    what, data = read_spec(image)
    if what in ("sif", "squashfs"):
        return
    refuse_other_files(data, name=image)
    stem = os.path.splitext(image)[0]
    raise UsageError(
        f"`{image}` is a definition file, and `push` takes an image",
        hints=(
            f"build it first: sealift build {shlex.quote(stem)}.sif {shlex.quote(image)}",
            f"then: sealift push {shlex.quote(stem)}.sif {shlex.quote(request.target)}",
        ),
    )


def _check_flags(request: PushRequest, destination: Destination) -> None:
    """UsageError for what is asked of layers that are not made."""
    source, shown = parse_source(request.image), shlex.quote(request.image)
    if isinstance(destination, OrasSource):
        why = "`oras://` sends the SIF as it is"
        other = f"or make another one: sealift build --compression zstd:3 image.sif {shown}"
    elif source is not None and not isinstance(source, OrasSource):
        why = f"`{request.image}` is made of layers already, which are sent as they are"
        other = f"or make other layers: sealift build image.sif {shown}"
    else:
        return
    for flag, given in (("--compression", request.compression), ("--layers", request.layers != "one")):
        if given:
            raise UsageError(f"`{flag}`: {why}", hints=(f"leave out {flag}", other))


def _own_architecture(image: str) -> str | None:
    """That of a SIF: pushing runs nothing of it, so that it may be another machine's."""
    from sealift.evidence.opening import open_image

    if parse_source(image) is not None or os.path.isdir(image):
        return None
    with open_image(image) as found:
        architecture = found.sif.architecture if found.sif is not None else None
        return architecture.oci if architecture is not None else None


# What to type next


LINES = {
    "apptainer": "apptainer pull docker://{name}",
    "singularity": "singularity pull docker://{name}",
    "embedded": "sealift pull docker://{name}",
    "docker": "docker pull {name}",
    "podman": "podman pull {name}",
    "podman-hpc": "podman-hpc pull {name}",
    "shifter": "shifterimg pull docker:{name}",
    "charliecloud": "ch-image pull {name}",
    "enroot": "enroot import docker://{registry}#{repository}:{tag}",
    "pyxis": "srun --container-image={registry}#{repository}:{tag} …",
}
"""What brings an image of a registry to an engine."""
SIF_LINES = {
    "apptainer": "apptainer pull oras://{name}",
    "singularity": "singularity pull oras://{name}",
    "embedded": "sealift pull oras://{name}",
}
"""The same for a SIF."""


def _engines(request: PushRequest) -> tuple[str, ...]:
    if request.engine:
        if request.engine not in LINES:
            raise UsageError(
                f"`--for {request.engine}`: no engine of this name fetches images",
                hints=(f"engines: {', '.join(LINES)}",),
            )
        return (request.engine,)
    if not request.site:
        return ()
    from sealift.flows.sites import find_site

    return find_site(request.site, request.environment, today="").texts("engines.order")


def next_line(engine: str, destination: Destination) -> str:
    """What brings a pushed image to an engine; `""` where it has it, or cannot take it."""
    lines, reference = LINES, destination
    if isinstance(destination, OrasSource):
        lines, reference = SIF_LINES, destination.reference
    if not isinstance(reference, Reference):
        return ""
    return lines.get(engine, "").format(
        name=reference.familiar, registry=reference.registry, repository=reference.repository, tag=reference.tag
    )
