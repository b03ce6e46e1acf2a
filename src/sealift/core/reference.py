"""Names of images, as people type them: `ubuntu:24.04`, `docker://…`, `oras://…`, `oci:DIR:TAG`, `docker-archive:FILE`.

The grammar of a registry reference is Docker's (github.com/distribution/reference, regexp.go and normalize.go):

    reference  = [ domain "/" ] path [ ":" tag ] [ "@" digest ]
    domain     = host [ ":" port ]          host holds a dot, a port, an upper-case letter or is `localhost`
    path       = component *( "/" component )
    component  = [a-z0-9]+ ( separator [a-z0-9]+ )*      separator = "." | "_" | "__" | "-"+
    tag        = [A-Za-z0-9_] [A-Za-z0-9_.-]{0,127}
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from sealift.core.digest import Digest, parse_digest
from sealift.core.elsewhere import ELSEWHERE
from sealift.errors import UsageError

DOCKER_HUB = "docker.io"
DEFAULT_TAG = "latest"

_HOST_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_HOST_LABEL}(?:\.{_HOST_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_COMPONENT = re.compile(r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_NAME_LIMIT = 255


@dataclass(frozen=True, slots=True, kw_only=True)
class Reference:
    """An image in a registry. Has a tag, a digest or both; where both are given, the digest decides.

    `str()` is the canonical text, with nothing left out: `docker.io/library/ubuntu:24.04@sha256:…`.
    """

    registry: str
    repository: str
    tag: str = ""
    digest: Digest | None = None

    @property
    def name(self) -> str:
        return f"{self.registry}/{self.repository}"

    @property
    def wanted(self) -> str:
        """What a registry is asked for: the digest, else the tag."""
        return self.digest or self.tag

    @property
    def familiar(self) -> str:
        """The short form that people write: `ubuntu:24.04`, `quay.io/org/app:1`."""
        name = self.name
        if self.registry == DOCKER_HUB:
            name = self.repository.removeprefix("library/")
        return name + self._suffix()

    def pinned(self, digest: Digest) -> Reference:
        return replace(self, digest=digest)

    def _suffix(self) -> str:
        return (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    def __str__(self) -> str:
        return self.name + self._suffix()


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutSource:
    """`oci:DIR[:NAME]`: an OCI image layout in a folder; `name` is an `org.opencontainers.image.ref.name`."""

    path: str
    name: str = ""

    def __str__(self) -> str:
        return f"oci:{self.path}" + (f":{self.name}" if self.name else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class LayoutArchiveSource:
    """`oci-archive:FILE[:NAME]`: an OCI image layout in a tar file."""

    path: str
    name: str = ""

    def __str__(self) -> str:
        return f"oci-archive:{self.path}" + (f":{self.name}" if self.name else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerArchiveSource:
    """`docker-archive:FILE[:NAME[:TAG]|:@INDEX]`: what `docker save` writes.

    `name` is as typed: a reference, or `@` and the position of the image in the archive.
    """

    path: str
    name: str = ""

    def __str__(self) -> str:
        return f"docker-archive:{self.path}" + (f":{self.name}" if self.name else "")


@dataclass(frozen=True, slots=True, kw_only=True)
class DockerDaemonSource:
    """`docker-daemon:NAME:TAG` or `docker-daemon:sha256:ID`: an image that Docker or Podman holds.

    `name` is as a daemon knows it: a familiar name with its tag or digest, or an image's ID.
    """

    name: str

    def __str__(self) -> str:
        return f"docker-daemon:{self.name}"


@dataclass(frozen=True, slots=True, kw_only=True)
class OrasSource:
    """`oras://…`: a SIF that lies in a registry as it is."""

    reference: Reference

    def __str__(self) -> str:
        return f"oras://{self.reference}"


OciSource = Reference | LayoutSource | LayoutArchiveSource | DockerArchiveSource | DockerDaemonSource
"""Where an OCI or Docker image, made of layers, can come from."""
ImageSource = OciSource | OrasSource
"""Every image that is named by a scheme."""

SCHEMES = ("docker", "docker-daemon", "docker-archive", "oci", "oci-archive", "oras")
_KNOWN = "known are docker://NAME, docker-daemon:NAME:TAG, docker-archive:FILE, oci:DIR, oci-archive:FILE, oras://NAME"


def parse_source(text: str) -> ImageSource | None:
    """Read one of the forms with a scheme; None when `text` has none of them and so is the path of a file.

    `//` behind a local scheme is tolerated as Apptainer does (`docker-archive://image.tar`).
    """
    scheme, colon, rest = text.partition(":")
    if not colon or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+-]*", scheme):
        return None
    match scheme:
        case "docker":
            if not rest.startswith("//"):
                name = rest.lstrip("/")
                raise UsageError(f"`{text}`: `//` is missing behind `docker:`", hints=(f"try docker://{name}",))
            return parse_reference(text)
        case "oras":
            if not rest.startswith("//"):
                name = rest.lstrip("/")
                raise UsageError(f"`{text}`: `//` is missing behind `oras:`", hints=(f"try oras://{name}",))
            return OrasSource(reference=_parse_oras(text, rest.removeprefix("//")))
        case "docker-daemon":
            return DockerDaemonSource(name=_parse_daemon_name(text, rest.removeprefix("//")))
        case "oci":
            path, name = _split_path(text, rest)
            return LayoutSource(path=path, name=name)
        case "oci-archive":
            path, name = _split_path(text, rest)
            return LayoutArchiveSource(path=path, name=name)
        case "docker-archive":
            path, name = _split_path(text, rest)
            return DockerArchiveSource(path=path, name=_check_archive_name(text, name))
    if scheme in ELSEWHERE:
        raise UsageError(f"`{text}`: Sealift does not fetch from `{scheme}:`", hints=ELSEWHERE[scheme])
    if scheme.lower() in SCHEMES:
        raise UsageError(f"`{text}`: a scheme is written in lower case", hints=(f"try {scheme.lower()}:{rest}",))
    if rest.startswith("//"):
        raise UsageError(f"`{text}`: unknown scheme `{scheme}`", hints=(_KNOWN,))
    return None


def _parse_oras(text: str, rest: str) -> Reference:
    if rest.startswith("oras://"):
        once = rest.removeprefix("oras://")
        raise UsageError(
            f"`{text}` says oras:// twice",
            hints=(f"try oras://{once}", f"under `Bootstrap: oras`, write `From: {once}`"),
        )
    if not rest:
        raise UsageError(f"`{text}` names no image", hints=("write for instance oras://quay.io/ORG/IMAGE:TAG",))
    return parse_reference(rest)


def _parse_daemon_name(text: str, name: str) -> str:
    """The name as a daemon knows it. containers/image wants a tag to be written, and so does Apptainer."""
    if not name:
        raise UsageError(f"`{text}` names no image", hints=("see what there is: docker images",))
    if re.fullmatch(r"sha256:[0-9a-f]{64}", name):
        return name
    reference = parse_reference(name)
    if reference.digest is None and not _split_tag(name)[1]:
        raise UsageError(
            f"`{text}` names no tag, which images of a daemon need", hints=(f"try docker-daemon:{name}:latest",)
        )
    if reference.digest is not None and reference.tag:
        raise UsageError(
            f"`{text}` has a tag and a digest, and daemons take one of them",
            hints=(f"try docker-daemon:{replace(reference, digest=None).familiar}",),
        )
    return reference.familiar


def parse_reference(text: str) -> Reference:
    """Read a reference with Docker's defaults (docker.io, library/, latest); `docker://` before it is optional."""
    rest = text.removeprefix("docker://")
    # `docker:24` alone is the image called docker.
    if rest.startswith("docker://"):
        once = rest.removeprefix("docker://")
        raise UsageError(
            f"`{text}` says docker:// twice",
            hints=(f"try docker://{once}", f"under `Bootstrap: docker`, write `From: {once}`"),
        )
    if re.match(r"[a-z+-]+://", rest):
        raise UsageError(
            f"`{text}` holds an address, where the name of an image is expected",
            hints=(f"try docker://{rest.partition('://')[2]}",),
        )
    if not rest:
        raise UsageError(f"`{text}` names no image", hints=("write for instance docker://ubuntu:24.04",))
    if re.search(r"\s", rest):
        hints = tuple(f"try docker://{word}" for word in rest.split()[:1])
        raise UsageError(f"`{text}` has a blank in it, which no image name has", hints=hints)
    return _parse_checked(text, rest)


def _parse_checked(text: str, rest: str) -> Reference:
    rest, at, digest_text = rest.partition("@")
    digest: Digest | None = None
    if at:
        try:
            digest = parse_digest(digest_text)
        except ValueError:
            raise UsageError(
                f"`{text}`: `{digest_text}` is not a digest",
                hints=("a digest is sha256: and 64 digits of 0-9a-f",),
            ) from None
    first, slash, path = rest.partition("/")
    if slash and _reads_as_domain(first):
        registry = first
    else:
        registry, path = DOCKER_HUB, rest
    path, tag = _split_tag(path)
    if not tag and path != rest and rest.endswith(":"):
        raise UsageError(f"`{text}`: the tag behind `:` is missing", hints=(f"try docker://{rest[:-1]}",))
    if not _DOMAIN.fullmatch(registry):
        raise UsageError(
            f"`{text}`: `{registry}` is not the name of a registry", hints=("a registry is HOST or HOST:PORT",)
        )
    if registry in ("index.docker.io", "registry-1.docker.io", "registry.hub.docker.com"):
        registry = DOCKER_HUB
    _check_path(text, path)
    if tag and not _TAG.fullmatch(tag):
        raise UsageError(
            f"`{text}`: `{tag}` is not a tag",
            hints=("a tag has at most 128 letters, digits, `_`, `.` and `-`, and begins with none of the last two",),
        )
    if registry == DOCKER_HUB and "/" not in path:
        path = f"library/{path}"
    if len(registry) + 1 + len(path) > _NAME_LIMIT:
        raise UsageError(f"`{text}`: the name is longer than {_NAME_LIMIT} characters")
    if not tag and digest is None:
        tag = DEFAULT_TAG
    return Reference(registry=registry, repository=path, tag=tag, digest=digest)


def _reads_as_domain(first: str) -> bool:
    return any(c in first for c in ".:") or first == "localhost" or first != first.lower()


def _split_tag(path: str) -> tuple[str, str]:
    head, slash, last = path.rpartition("/")
    name, _, tag = last.partition(":")
    return head + slash + name, tag


def _check_path(text: str, path: str) -> None:
    if all(_COMPONENT.fullmatch(part) for part in path.split("/")):
        return
    hints: tuple[str, ...] = ("a name has lower-case letters, digits and single `.`, `_`, `-` between them",)
    if path != path.lower():
        problem = "has upper-case letters, which no image name has"
        hints = (f"try docker://{text.removeprefix('docker://').replace(path, path.lower())}",)
    elif not path:
        problem = "is empty"
    elif "//" in path or path.startswith("/") or path.endswith("/"):
        problem = "has an empty part between slashes"
    else:
        problem = "is not the name of an image"
    raise UsageError(f"`{text}`: `{path}` {problem}", hints=hints)


def as_component(text: str) -> str:
    """The name nearest to `text` that a repository may have."""
    text = text.lower()
    return text if _COMPONENT.fullmatch(text) else "-".join(re.findall(r"[a-z0-9]+", text)) or "image"


def _split_path(text: str, rest: str) -> tuple[str, str]:
    """Split at the first colon, as containers/image does: a path with a colon cannot be named this way."""
    path, _, name = rest.removeprefix("//").partition(":")
    if not path:
        scheme = text.partition(":")[0]
        raise UsageError(f"`{text}` names no path", hints=(f"write for instance {scheme}:image:latest",))
    return path, name


def _check_archive_name(text: str, name: str) -> str:
    if name.startswith("@"):
        if not re.fullmatch(r"@[0-9]+", name):
            raise UsageError(f"`{text}`: behind `@` stands the position of an image", hints=("the first one is @0",))
    elif name:
        parse_reference(name)
    return name


def default_image_name(text: str) -> str:
    """The file that `pull` writes when none is named, as Apptainer does: `ubuntu_24.04.sif` for `docker://ubuntu:24.04`."""
    source = parse_source(text)
    if isinstance(source, OrasSource):
        source = source.reference
    elif isinstance(source, DockerDaemonSource) and not source.name.startswith("sha256:"):
        source = parse_reference(source.name)
    if isinstance(source, Reference):
        return f"{source.repository.rpartition('/')[2]}_{source.tag or DEFAULT_TAG}.sif"
    if source is None:
        raise UsageError(f"`{text}` is not an image to pull", hints=(f"did you mean docker://{text}",))
    return "image.sif"
