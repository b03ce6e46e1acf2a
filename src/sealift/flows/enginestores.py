"""An OCI image straight into the images that an engine holds on this machine, and a look whether it is there.

docker-daemon   POST /images/load, the archive of `docker save` as a stream
podman          podman load, the same on its standard input
podman-hpc      podman-hpc load; then `migrate`, which squashes it into a folder that compute nodes see. That ends with
                0 when it failed, too, so that the list of images is asked: its R/O column is true for squashed ones

Nothing is written to a file on the way.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from typing import Any, BinaryIO
from urllib.parse import quote

from sealift.core.event import Events, Said
from sealift.errors import FetchError, HostError, ImageError, ToolError
from sealift.flows.destinations import EngineStore
from sealift.flows.layouts import write_archive_to
from sealift.flows.ociimages import in_ocis_words
from sealift.flows.ocilayers import MOST_LAYERS
from sealift.oci.image import OciImage
from sealift.system.daemon import DaemonAddress, DaemonAnswer, ask_daemon, find_daemon
from sealift.system.process import Completed, feed, find_program, run

_ANSWER_LIMIT = 4 << 20
_LISTED = "{{.ID}} {{.Repository}}:{{.Tag}} {{.ReadOnly}}"


def give(image: OciImage, store: EngineStore, environment: Mapping[str, str], *, events: Events) -> bool:
    """Have the engine hold the image under its name; False where it did already.

    HostError where the engine is not there, ToolError or FetchError where it fails, ImageError where it ended up with
    another image.
    """
    image = in_ocis_words(image)
    if store.engine == "docker-daemon":
        return _give_to_docker(image, store.name, environment, events)
    program = _program(store.engine, environment)
    if store.engine == "podman":
        return _give_to_podman(image, store.name, program, environment, events)
    return _give_to_podman_hpc(image, store.name, program, environment, events)


def squashed_image(name: str, environment: Mapping[str, str]) -> str:
    """The ID of the image that podman-hpc holds squashed as `name`; HostError where it holds none."""
    program = _program("podman-hpc", environment)
    squashed = {other: identity for identity, other, is_so in _held_by_podman_hpc(program, environment) if is_so}
    if name not in squashed:
        raise HostError(
            f"podman-hpc holds no squashed image `{name}`",
            hints=(f"put it there: sealift push IMAGE podman-hpc:{name}", "see them: podman-hpc images"),
        )
    return squashed[name]


def _program(name: str, environment: Mapping[str, str]) -> str:
    found = find_program(name, path=environment.get("PATH"))
    if found is None:
        hints: tuple[str, ...] = ("push to a registry instead: docker://HOST/REPOSITORY:TAG",)
        if name == "podman-hpc":
            hints = ("it is on NERSC's machines: push from a login node there", *hints)
        raise HostError(f"`{name}` is not installed", hints=hints)
    return found


def _identities(image: OciImage) -> tuple[str, str]:
    """What engines call an image by: most its config's digest, Docker with containerd's store its manifest's."""
    return image.config.descriptor.digest, image.manifest.descriptor.digest


# Docker


def _give_to_docker(image: OciImage, name: str, environment: Mapping[str, str], events: Events) -> bool:
    address = find_daemon(environment)
    if _held_by_docker(address, name) in _identities(image):
        return False

    def send(file: BinaryIO) -> None:
        write_archive_to(file, "", image, docker_name=name, events=events)

    answer = ask_daemon(address, "/images/load?quiet=1", send=send)
    with contextlib.closing(answer):
        said = _read(answer)
    fault = next((str(line["error"]) for line in _lines(said) if "error" in line), "")
    if answer.status != 200 or fault:
        hint = f"does it take it from a file? sealift push IMAGE docker-archive:image.tar:{name}"
        if len(image.layers) > MOST_LAYERS:
            hint = f"the image has {len(image.layers)} layers, and Docker stacks {MOST_LAYERS}"
        raise FetchError(
            f"the Docker daemon at `{address}` does not take the image: {fault or _message(said)}", hints=(hint,)
        )
    if _held_by_docker(address, name) not in _identities(image):
        raise ImageError(f"the Docker daemon at `{address}` holds another image as `{name}`", hints=("push once more",))
    return True


def _held_by_docker(address: DaemonAddress, name: str) -> str:
    """The ID of the image that the daemon calls so; `""` when it has none."""
    answer = ask_daemon(address, f"/images/{quote(name, safe='/:@')}/json")
    with contextlib.closing(answer):
        data = _read(answer)
    try:
        return str(json.loads(data)["Id"]) if answer.status == 200 else ""
    except (ValueError, KeyError, TypeError):
        return ""


def _read(answer: DaemonAnswer) -> bytes:
    pieces, size = [], 0
    while (piece := answer.read(1 << 16)) and size < _ANSWER_LIMIT:
        pieces.append(piece)
        size += len(piece)
    return b"".join(pieces)


def _lines(data: bytes) -> list[dict[str, Any]]:
    found = []
    for line in data.splitlines():
        with contextlib.suppress(ValueError):
            value = json.loads(line)
            if isinstance(value, dict):
                found.append(value)
    return found


def _message(data: bytes) -> str:
    lines = _lines(data)
    return str(lines[0].get("message", "")) if lines else data[:200].decode("utf-8", "replace").strip() or "nothing"


# Podman


def _give_to_podman(image: OciImage, name: str, program: str, environment: Mapping[str, str], events: Events) -> bool:
    identity = image.config.descriptor.digest
    if _held_by_podman(program, name, environment) == identity:
        return False
    load(image, name, program, environment, events)
    if _held_by_podman(program, name, environment) != identity:
        raise ImageError(f"Podman holds another image as `{name}`", hints=("push once more",))
    return True


def _held_by_podman(program: str, name: str, environment: Mapping[str, str]) -> str:
    done = run((program, "image", "inspect", "--format", "{{.Id}}", name), env=environment, accept=range(256))
    return f"sha256:{done.out.decode().strip().removeprefix('sha256:')}" if done.code == 0 else ""


def load(image: OciImage, name: str, program: str, environment: Mapping[str, str], events: Events) -> None:
    """Have `program load` take the image, from its standard input; ToolError when it does not."""

    def write(file: BinaryIO) -> None:
        write_archive_to(file, "", image, docker_name=name, events=events)

    feed((program, "load"), write, env=environment)


# podman-hpc


def _give_to_podman_hpc(
    image: OciImage, name: str, program: str, environment: Mapping[str, str], events: Events
) -> bool:
    identity = image.config.descriptor.digest
    held = _held_by_podman_hpc(program, environment)
    if (identity, name, True) in held:
        return False
    _check_other_names(name, {other for found, other, squashed in held if found == identity and squashed})
    load(image, name, program, environment, events)
    events(Said(text=f"squashing {name}: podman-hpc migrate {name}"))
    done = run((program, "migrate", name), env=environment, accept=range(256))
    if (identity, name, True) not in _held_by_podman_hpc(program, environment):
        raise _not_squashed(name, done)
    return True


def _held_by_podman_hpc(program: str, environment: Mapping[str, str]) -> set[tuple[str, str, bool]]:
    """The ID, a name, and whether it is squashed, of all images."""
    done = run((program, "images", "--no-trunc", "--format", _LISTED), env=environment)
    words = (line.split() for line in done.out.decode(errors="replace").splitlines())
    return {(each[0], each[1], each[2] == "true") for each in words if len(each) == 3}


def _check_other_names(name: str, others: set[str]) -> None:
    """`migrate` takes an image that is squashed for done, under whatever name."""
    if others:
        other = min(others)
        raise HostError(
            f"podman-hpc holds this image squashed as `{other}` and gives no second name, `{name}`",
            hints=(f"run it as {other}", f"or rename it: podman-hpc rmsqi {other}, then push once more"),
        )


def _not_squashed(name: str, done: Completed) -> ToolError:
    tail = (done.err + done.out).decode(errors="replace").strip()[-2000:]
    return ToolError(
        f"podman-hpc did not squash `{name}`, so that compute nodes will not find it" + (f"\n{tail}" if tail else ""),
        argv=("podman-hpc", "migrate", name),
        code=done.code,
        tail=tail,
        hints=(
            f"try it by itself: podman-hpc migrate {name}",
            "is there room in its folder, $SCRATCH/storage? another one: export SQUASH_DIR=…; see: podman-hpc infohpc",
        ),
    )
