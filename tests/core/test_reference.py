from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealift.core.digest import Digest
from sealift.core.reference import (
    DockerArchiveSource,
    DockerDaemonSource,
    LayoutArchiveSource,
    LayoutSource,
    OrasSource,
    Reference,
    as_component,
    default_image_name,
    parse_reference,
    parse_source,
)
from sealift.errors import UsageError

DIGEST = Digest("sha256:" + "0123456789abcdef" * 4)
ORAS = OrasSource(reference=Reference(registry="localhost:5000", repository="a/app", tag="1"))
NAMES = "a name has lower-case letters, digits and single `.`, `_`, `-` between them"


@pytest.mark.parametrize(
    ("text", "canonical", "familiar"),
    [
        ("ubuntu", "docker.io/library/ubuntu:latest", "ubuntu:latest"),
        ("ubuntu:24.04", "docker.io/library/ubuntu:24.04", "ubuntu:24.04"),
        ("docker://ubuntu:24.04", "docker.io/library/ubuntu:24.04", "ubuntu:24.04"),
        ("org/app", "docker.io/org/app:latest", "org/app:latest"),
        ("docker.io/ubuntu", "docker.io/library/ubuntu:latest", "ubuntu:latest"),
        ("index.docker.io/library/ubuntu", "docker.io/library/ubuntu:latest", "ubuntu:latest"),
        ("quay.io/org/app:v1", "quay.io/org/app:v1", "quay.io/org/app:v1"),
        ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
        ("localhost:5000/app", "localhost:5000/app:latest", "localhost:5000/app:latest"),
        ("127.0.0.1:5000/a/b/c:x", "127.0.0.1:5000/a/b/c:x", "127.0.0.1:5000/a/b/c:x"),
        ("[::1]:5000/app:x", "[::1]:5000/app:x", "[::1]:5000/app:x"),
        ("Registry.Example.COM/app", "Registry.Example.COM/app:latest", "Registry.Example.COM/app:latest"),
        ("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"),
        ("docker:24-dind", "docker.io/library/docker:24-dind", "docker:24-dind"),
        ("docker://docker", "docker.io/library/docker:latest", "docker:latest"),
        (f"ubuntu@{DIGEST}", f"docker.io/library/ubuntu@{DIGEST}", f"ubuntu@{DIGEST}"),
        (f"ubuntu:24.04@{DIGEST}", f"docker.io/library/ubuntu:24.04@{DIGEST}", f"ubuntu:24.04@{DIGEST}"),
        ("a__b/c-d.e---f", "docker.io/a__b/c-d.e---f:latest", "a__b/c-d.e---f:latest"),
        ("nvcr.io/nvidia/pytorch:24.05-py3", "nvcr.io/nvidia/pytorch:24.05-py3", "nvcr.io/nvidia/pytorch:24.05-py3"),
    ],
)
def test_defaults_are_docker_s(text: str, canonical: str, familiar: str) -> None:
    reference = parse_reference(text)
    assert (str(reference), reference.familiar) == (canonical, familiar)
    assert parse_reference(canonical) == reference
    assert parse_reference(familiar) == reference


def test_a_digest_decides_over_a_tag() -> None:
    reference = parse_reference(f"ubuntu:24.04@{DIGEST}")
    assert reference == Reference(registry="docker.io", repository="library/ubuntu", tag="24.04", digest=DIGEST)
    assert (reference.wanted, parse_reference("ubuntu:24.04").wanted) == (DIGEST, "24.04")


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("Ubuntu", "`Ubuntu`: `Ubuntu` has upper-case letters, which no image name has", "try docker://ubuntu"),
        (
            "docker://quay.io/Org/app:V1",
            "`docker://quay.io/Org/app:V1`: `Org/app` has upper-case letters, which no image name has",
            "try docker://quay.io/org/app:V1",
        ),
        ("docker://docker://ubuntu", "`docker://docker://ubuntu` says docker:// twice", "try docker://ubuntu"),
        (
            "https://quay.io/a",
            "`https://quay.io/a` holds an address, where the name of an image is expected",
            "try docker://quay.io/a",
        ),
        ("", "`` names no image", "write for instance docker://ubuntu:24.04"),
        ("docker://", "`docker://` names no image", "write for instance docker://ubuntu:24.04"),
        ("ubuntu 24.04", "`ubuntu 24.04` has a blank in it, which no image name has", "try docker://ubuntu"),
        ("ubuntu:", "`ubuntu:`: the tag behind `:` is missing", "try docker://ubuntu"),
        (
            "ubuntu:-x",
            "`ubuntu:-x`: `-x` is not a tag",
            "a tag has at most 128 letters, digits, `_`, `.` and `-`, and begins with none of the last two",
        ),
        (
            "ubuntu@sha256:12",
            "`ubuntu@sha256:12`: `sha256:12` is not a digest",
            "a digest is sha256: and 64 digits of 0-9a-f",
        ),
        ("a//b", "`a//b`: `a//b` has an empty part between slashes", NAMES),
        ("a.b:x/c", "`a.b:x/c`: `a.b:x` is not the name of a registry", "a registry is HOST or HOST:PORT"),
        ("_a", "`_a`: `_a` is not the name of an image", NAMES),
        ("quay.io/", "`quay.io/`: `` is empty", NAMES),
    ],
)
def test_errors_name_the_fault(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_reference(text)
    assert (caught.value.message, caught.value.hints[0]) == (message, hint)


@pytest.mark.parametrize(
    ("text", "name"),
    [("app", "app"), ("My App", "my-app"), ("a__b.c-1", "a__b.c-1"), ("_x_", "x"), ("a:1", "a-1"), ("…", "image")],
)
def test_the_nearest_name_of_a_repository(text: str, name: str) -> None:
    assert as_component(text) == name


def test_a_name_has_an_end() -> None:
    with pytest.raises(UsageError, match="longer than 255"):
        parse_reference("a" * 250)
    assert parse_reference("a" * 200).repository == "library/" + "a" * 200
    with pytest.raises(UsageError, match="not a tag"):
        parse_reference("a:" + "b" * 129)


@pytest.mark.parametrize(
    ("text", "source"),
    [
        ("docker://ubuntu", Reference(registry="docker.io", repository="library/ubuntu", tag="latest")),
        ("oci:dir", LayoutSource(path="dir")),
        ("oci:/a/dir:v1", LayoutSource(path="/a/dir", name="v1")),
        ("oci:dir:quay.io/org/app:v1", LayoutSource(path="dir", name="quay.io/org/app:v1")),
        ("oci-archive:x.tar", LayoutArchiveSource(path="x.tar")),
        ("oci-archive:///x/y.tar:v1", LayoutArchiveSource(path="/x/y.tar", name="v1")),
        ("docker-archive:x.tar", DockerArchiveSource(path="x.tar")),
        ("docker-archive://x.tar", DockerArchiveSource(path="x.tar")),
        ("docker-archive:x.tar:app:1", DockerArchiveSource(path="x.tar", name="app:1")),
        ("docker-archive:x.tar:@2", DockerArchiveSource(path="x.tar", name="@2")),
        ("docker-daemon:app:1", DockerDaemonSource(name="app:1")),
        ("docker-daemon://quay.io/a/app:1", DockerDaemonSource(name="quay.io/a/app:1")),
        (f"docker-daemon:app@{DIGEST}", DockerDaemonSource(name=f"app@{DIGEST}")),
        (f"docker-daemon:{DIGEST}", DockerDaemonSource(name=str(DIGEST))),
        ("oras://localhost:5000/a/app:1", ORAS),
        (
            f"oras://localhost:5000/a/app:1@{DIGEST}",
            OrasSource(reference=ORAS.reference.pinned(DIGEST)),
        ),
        ("hello.def", None),
        ("./a:b", None),
        ("C:x", None),
        ("dir", None),
    ],
)
def test_sources(text: str, source: object) -> None:
    assert parse_source(text) == source


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("docker-daemon:app", "`docker-daemon:app` names no tag, which images of a daemon need"),
        ("docker-daemon:", "`docker-daemon:` names no image"),
        (
            f"docker-daemon:app:1@{DIGEST}",
            f"`docker-daemon:app:1@{DIGEST}` has a tag and a digest, and daemons take one of them",
        ),
        ("oras:x", "`oras:x`: `//` is missing behind `oras:`"),
        ("oras://", "`oras://` names no image"),
        ("oras://oras://x", "`oras://oras://x` says oras:// twice"),
        ("Oras://x", "`Oras://x`: a scheme is written in lower case"),
        ("shub://a/b", "`shub://a/b`: Sealift does not fetch from `shub:`"),
        ("buildkit://.", "`buildkit://.`: Sealift does not fetch from `buildkit:`"),
        ("dockerfile://.", "`dockerfile://.`: Sealift does not fetch from `dockerfile:`"),
        ("containers-storage:x:1", "`containers-storage:x:1`: Sealift does not fetch from `containers-storage:`"),
        ("library://alpine", "`library://alpine`: Sealift does not fetch from `library:`"),
        ("https://host/x.sif", "`https://host/x.sif`: Sealift does not fetch from `https:`"),
        ("Docker://ubuntu", "`Docker://ubuntu`: a scheme is written in lower case"),
        ("dokcer://ubuntu", "`dokcer://ubuntu`: unknown scheme `dokcer`"),
        ("docker:ubuntu", "`docker:ubuntu`: `//` is missing behind `docker:`"),
        ("oci:", "`oci:` names no path"),
        ("docker-archive:x.tar:@x", "`docker-archive:x.tar:@x`: behind `@` stands the position of an image"),
        ("docker-archive:x.tar:App", "`App`: `App` has upper-case letters, which no image name has"),
    ],
)
def test_wrong_sources(text: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_source(text)
    assert caught.value.message == message
    assert caught.value.hints != ()


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("docker://ubuntu", "ubuntu_latest.sif"),
        ("oras://quay.io/a/app:1", "app_1.sif"),
        ("docker-daemon:quay.io/a/app:1", "app_1.sif"),
        (f"docker-daemon:{DIGEST}", "image.sif"),
    ],
)
def test_the_file_that_pull_writes(text: str, name: str) -> None:
    assert default_image_name(text) == name


@pytest.mark.parametrize(
    "text",
    [
        "oci:dir:v1",
        "oci-archive:f.tar:v1",
        "docker-archive:f.tar:app:1",
        "oci:dir",
        "docker-daemon:app:1",
        "oras://quay.io/a/app:1",
    ],
)
def test_sources_print_as_they_are_read(text: str) -> None:
    assert str(parse_source(text)) == text


COMPONENT = st.from_regex(r"[a-z0-9]{1,8}(?:(?:\.|_|__|-{1,3})[a-z0-9]{1,8}){0,2}", fullmatch=True)
HOST = st.from_regex(r"[a-z0-9]{1,8}\.[a-z]{2,3}(?::[0-9]{1,5})?", fullmatch=True)


@given(
    registry=HOST,
    path=st.lists(COMPONENT, min_size=1, max_size=4).map("/".join),
    tag=st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,12}", fullmatch=True),
    digest=st.sampled_from((None, DIGEST)),
)
def test_canonical_text_reads_back(registry: str, path: str, tag: str, digest: Digest | None) -> None:
    reference = Reference(registry=registry, repository=path, tag=tag, digest=digest)
    assert parse_reference(str(reference)) == reference


@given(st.text(max_size=60))
def test_any_text_is_a_reference_or_a_usage_error(text: str) -> None:
    try:
        reference = parse_reference(text)
    except UsageError:
        return
    assert parse_reference(str(reference)) == reference
