"""Where an image can be pushed to: what is understood, what is refused and with which words, what comes next."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealift.core.reference import OrasSource, Reference
from sealift.errors import UsageError
from sealift.flows.destinations import Destination, EngineStore, parse_destination
from sealift.flows.push import next_line
from sealift.flows.targets import Target

ONE = Reference(registry="r.example.org", repository="me/app", tag="1")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("docker://r.example.org/me/app:1", ONE),
        ("docker://me/app", Reference(registry="docker.io", repository="me/app", tag="latest")),
        ("oras://r.example.org/me/app:1", OrasSource(reference=ONE)),
        ("docker-daemon:app:1", EngineStore(engine="docker-daemon", name="app:1")),
        ("docker-daemon:app", EngineStore(engine="docker-daemon", name="app:latest")),
        ("docker-daemon:r.example.org/me/app:1", EngineStore(engine="docker-daemon", name="r.example.org/me/app:1")),
        ("podman:app:1", EngineStore(engine="podman", name="localhost/app:1")),
        ("podman:me/app", EngineStore(engine="podman", name="localhost/me/app:latest")),
        ("podman:localhost/app:1", EngineStore(engine="podman", name="localhost/app:1")),
        ("podman:docker.io/me/app:1", EngineStore(engine="podman", name="docker.io/me/app:1")),
        ("podman-hpc:app:1", EngineStore(engine="podman-hpc", name="localhost/app:1")),
        ("podman-hpc:r.example.org/me/app:1", EngineStore(engine="podman-hpc", name="r.example.org/me/app:1")),
        ("oci:dir:1", Target(text="oci:dir:1", kind="oci", path="dir", tag="1")),
        ("oci-archive:x.tar", Target(text="oci-archive:x.tar", kind="oci-archive", path="x.tar")),
        (
            "docker-archive:x.tar:app",
            Target(text="docker-archive:x.tar:app", kind="docker-archive", path="x.tar", tag="app:latest"),
        ),
    ],
)
def test_destinations(text: str, expected: Destination) -> None:
    assert parse_destination(text, image="app.sif") == expected


FORMS = (
    "sealift push app.sif docker://HOST/REPOSITORY:TAG",
    "also: oras://…, podman:NAME, docker-daemon:NAME, …",
)


@pytest.mark.parametrize(
    ("text", "message", "hints"),
    [
        (
            "copy.sif",
            "`copy.sif` is a file, and `push` goes to registries and engines",
            ("write a file: sealift build copy.sif app.sif", *FORMS),
        ),
        (
            "r.example.org/me/app:1",
            "`r.example.org/me/app:1` does not say what it is",
            ("a registry: sealift push app.sif docker://r.example.org/me/app:1",),
        ),
        ("library://me/c/app", "`library://me/c/app`: nothing can be pushed to `library:`", FORMS),
        ("docker:r/app", "`docker:r/app`: `//` is missing behind `docker:`", ("try docker://r/app",)),
        (
            f"docker://r.example.org/app@sha256:{'0' * 64}",
            f"`docker://r.example.org/app@sha256:{'0' * 64}` names a digest, which is what comes out of a push",
            ("give a tag: docker://r.example.org/app:1",),
        ),
        (
            f"oras://r.example.org/app:2@sha256:{'0' * 64}",
            f"`oras://r.example.org/app:2@sha256:{'0' * 64}` names a digest, which is what comes out of a push",
            ("give a tag: oras://r.example.org/app:2",),
        ),
        ("podman:", "`podman:` names no image", ("write for instance podman:app:1",)),
        ("podman:App:1", "`App:1`: `App` has upper-case letters, which no image name has", ("try podman:app:1",)),
        (
            f"podman:app@sha256:{'0' * 64}",
            f"`podman:app@sha256:{'0' * 64}` names a digest",
            ("give a tag: podman:app:1",),
        ),
    ],
)
def test_what_is_refused(text: str, message: str, hints: tuple[str, ...]) -> None:
    with pytest.raises(UsageError) as caught:
        parse_destination(text, image="app.sif")
    assert (caught.value.message, caught.value.hints) == (message, hints)


HUB = Reference(registry="docker.io", repository="me/app", tag="1")


@pytest.mark.parametrize(
    ("engine", "destination", "line"),
    [
        ("podman-hpc", ONE, "podman-hpc pull r.example.org/me/app:1"),
        ("podman-hpc", HUB, "podman-hpc pull me/app:1"),
        ("shifter", ONE, "shifterimg pull docker:r.example.org/me/app:1"),
        ("shifter", HUB, "shifterimg pull docker:me/app:1"),
        ("docker", ONE, "docker pull r.example.org/me/app:1"),
        ("podman", ONE, "podman pull r.example.org/me/app:1"),
        ("apptainer", ONE, "apptainer pull docker://r.example.org/me/app:1"),
        ("singularity", ONE, "singularity pull docker://r.example.org/me/app:1"),
        ("embedded", ONE, "sealift pull docker://r.example.org/me/app:1"),
        ("charliecloud", ONE, "ch-image pull r.example.org/me/app:1"),
        ("enroot", ONE, "enroot import docker://r.example.org#me/app:1"),
        ("pyxis", ONE, "srun --container-image=r.example.org#me/app:1 …"),
        ("edf", ONE, ""),
        ("apptainer", OrasSource(reference=ONE), "apptainer pull oras://r.example.org/me/app:1"),
        ("shifter", OrasSource(reference=ONE), ""),
        ("podman-hpc", EngineStore(engine="podman-hpc", name="app:1"), ""),
    ],
)
def test_what_to_type_next(engine: str, destination: Destination, line: str) -> None:
    assert next_line(engine, destination) == line


@pytest.mark.parametrize(
    ("image", "code", "said"),
    [
        (
            "app.def",
            2,
            (
                "error: `app.def` is a definition file, and `push` takes an image\n"
                "hint: build it first: sealift build app.sif app.def\n"
                "hint: then: sealift push app.sif docker://127.0.0.1:1/app:1\n"
            ),
        ),
        ("none.sif", 2, "error: there is no definition file or image `none.sif`\nhint: see what is there: ls .\n"),
        (
            "Dockerfile",
            3,
            (
                "error: `Dockerfile` is a Dockerfile, not a definition file\n"
                "hint: build it with podman or docker and save it: podman save -o image.tar NAME\n"
                "hint: then: Bootstrap: docker-archive, From: image.tar\n"
            ),
        ),
    ],
)
def test_what_is_no_image(sealift, image: str, code: int, said: str) -> None:
    Path("app.def").write_text("Bootstrap: scratch\n")
    Path("Dockerfile").write_text("FROM ubuntu\nRUN true\n")
    done = sealift("push", image, "docker://127.0.0.1:1/app:1")
    assert (done.code, done.out, done.err) == (code, "", said)


def test_an_engine_that_there_is_not(sealift, small_layout: Path) -> None:
    done = sealift("push", "--for", "rkt", f"oci:{small_layout}", "docker://127.0.0.1:1/app:1")
    assert (done.code, done.out, done.err) == (
        2,
        "",
        (
            "error: `--for rkt`: no engine of this name fetches images\n"
            "hint: engines: apptainer, singularity, embedded, docker, podman, podman-hpc, shifter, charliecloud, "
            "enroot, pyxis\n"
        ),
    )


@pytest.mark.parametrize("flags", [("--compression", "zstd:3"), ("--layers", "steps")])
def test_layers_that_are_there_are_not_made_anew(sealift, small_layout: Path, flags: tuple[str, str]) -> None:
    done = sealift("push", *flags, f"oci:{small_layout}", "docker://127.0.0.1:1/app:1")
    assert (done.code, done.err) == (
        2,
        (
            f"error: `{flags[0]}`: `oci:{small_layout}` is made of layers already, which are sent as they are\n"
            f"hint: leave out {flags[0]}\n"
            f"hint: or make other layers: sealift build image.sif oci:{small_layout}\n"
        ),
    )


@pytest.mark.parametrize("flags", [("--compression", "zstd:3"), ("--layers", "steps")])
def test_a_sif_goes_as_it_is(sealift, small_layout: Path, flags: tuple[str, str]) -> None:
    done = sealift("push", *flags, f"oci:{small_layout}", "oras://127.0.0.1:1/app:1")
    assert (done.code, done.err) == (
        2,
        (
            f"error: `{flags[0]}`: `oras://` sends the SIF as it is\n"
            f"hint: leave out {flags[0]}\n"
            f"hint: or make another one: sealift build --compression zstd:3 image.sif oci:{small_layout}\n"
        ),
    )
