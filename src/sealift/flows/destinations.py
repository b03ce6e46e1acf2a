"""Where an image can be pushed to, as people name it.

docker://HOST/REPOSITORY[:TAG]       a registry, as an image of layers
oras://HOST/REPOSITORY[:TAG]         a registry, as the SIF that it is
docker-daemon:NAME[:TAG]             the Docker of this machine
podman:NAME[:TAG]                    the Podman of this machine
podman-hpc:NAME[:TAG]                NERSC's podman-hpc: squashed, so that compute nodes have it
oci: oci-archive: docker-archive:    files, as `build` writes them
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from typing import Literal

from sealift.core.reference import OrasSource, Reference, parse_reference, parse_source
from sealift.errors import UsageError
from sealift.flows.targets import LAYERED, Target, parse_target

Engine = Literal["docker-daemon", "podman", "podman-hpc"]
ENGINES: tuple[Engine, ...] = ("docker-daemon", "podman", "podman-hpc")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineStore:
    """The images that an engine holds on this machine; `name` is what it will call ours."""

    engine: Engine
    name: str


Destination = Reference | OrasSource | EngineStore | Target


def parse_destination(text: str, *, image: str) -> Destination:
    """Read a destination as typed; UsageError where nothing can be pushed to it. `image` is for hints."""
    if text.startswith(LAYERED):
        return parse_target(text)
    scheme, colon, rest = text.partition(":")
    if scheme in ENGINES and colon:
        engine: Engine = next(each for each in ENGINES if each == scheme)
        return EngineStore(engine=engine, name=_engines_name(engine, rest.removeprefix("//")))
    if scheme in ("docker", "oras"):
        source = parse_source(text)
        reference = source.reference if isinstance(source, OrasSource) else source
        if isinstance(reference, Reference) and source is not None:
            _check_tag(text, reference)
            return source if isinstance(source, OrasSource) else reference
    shown = shlex.quote(image)
    if re.match(r"([\w-]+(\.[\w-]+)+|localhost)(:[0-9]+)?/", text):
        raise UsageError(
            f"`{text}` does not say what it is", hints=(f"a registry: sealift push {shown} docker://{text}",)
        )
    if colon and rest.startswith("//"):
        raise UsageError(f"`{text}`: nothing can be pushed to `{scheme}:`", hints=_forms(shown))
    raise UsageError(
        f"`{text}` is a file, and `push` goes to registries and engines",
        hints=(f"write a file: sealift build {shlex.quote(text)} {shown}", *_forms(shown)),
    )


def _forms(image: str) -> tuple[str, ...]:
    return (f"sealift push {image} docker://HOST/REPOSITORY:TAG", "also: oras://…, podman:NAME, docker-daemon:NAME, …")


def _check_tag(text: str, reference: Reference) -> None:
    if reference.digest is not None:
        raise UsageError(
            f"`{text}` names a digest, which is what comes out of a push",
            hints=(f"give a tag: {text.partition('@')[0]}" + ("" if reference.tag else ":1"),),
        )


def _engines_name(engine: Engine, rest: str) -> str:
    """The name with its tag. Podman's own word for what no registry has is `localhost`."""
    if not rest:
        raise UsageError(f"`{engine}:` names no image", hints=(f"write for instance {engine}:app:1",))
    try:
        reference = parse_reference(rest)
    except UsageError as error:
        hints = tuple(hint.replace("docker://", f"{engine}:") for hint in error.hints)
        raise UsageError(error.message, hints=hints) from error
    if reference.digest is not None:
        raise UsageError(f"`{engine}:{rest}` names a digest", hints=(f"give a tag: {engine}:app:1",))
    if engine == "docker-daemon":
        return reference.familiar
    if "/" in rest and str(reference).startswith(rest.partition("/")[0] + "/"):
        return str(reference)
    return f"localhost/{reference.repository.removeprefix('library/')}:{reference.tag}"
