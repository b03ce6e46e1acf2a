"""What the name of a base image says: where it comes from, which distribution it is, what it has."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sealift.deffile.values import Stage
from sealift.shell.follow import UNKNOWN

OCI_AGENTS = ("docker", "oras", "docker-daemon")
_DEBIAN_CODENAMES = (
    "wheezy", "jessie", "stretch", "buster", "bullseye", "bookworm", "trixie",
    "trusty", "xenial", "bionic", "focal", "jammy", "noble",
)  # fmt: skip
_BY_NAME = {
    "debian": ("debian", "ubuntu", "neurodebian", "buildpack-deps", "rocker", "r-base", "bitnami", "kalilinux"),
    "redhat": (
        "centos", "rockylinux", "rocky", "almalinux", "alma", "fedora", "oraclelinux", "redhat", "ubi7", "ubi8", "ubi9",
        "ubi10", "scientificlinux", "sl", "amazonlinux",
    ),
    "alpine": ("alpine",),
    "suse": ("opensuse", "leap", "tumbleweed", "suse"),
    "arch": ("archlinux", "arch"),
}  # fmt: skip
_DEBIAN_OFFICIAL = (
    "python", "node", "golang", "rust", "gcc", "ruby", "perl", "php", "julia", "openjdk", "eclipse-temurin", "maven",
    "postgres", "mysql", "nginx", "redis", "haskell", "r-base", "httpd", "swipl", "pypy",
)  # fmt: skip
_DEBIAN_OTHERS = (
    "continuumio/miniconda3", "continuumio/anaconda3", "continuumio/miniconda", "condaforge/mambaforge",
    "condaforge/miniforge3", "condaforge/miniforge-pypy3", "mambaorg/micromamba", "pytorch/pytorch",
    "tensorflow/tensorflow", "nvcr.io/nvidia/pytorch", "nvcr.io/nvidia/tensorflow", "nvcr.io/nvidia/jax",
    "rocm/pytorch", "rocm/dev-ubuntu-22.04", "rocm/dev-ubuntu-24.04", "jupyter/base-notebook", "rocker/r-ver",
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Base:
    """`name` is the registry's name without tag and digest, `docker.io/library/` left out."""

    agent: str
    name: str = ""
    tag: str = ""
    digest: str = ""
    distribution: str = ""
    known: bool = True
    """Is nothing in it a placeholder without a value?"""

    @property
    def is_registry(self) -> bool:
        return self.agent in OCI_AGENTS

    @property
    def text(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    @property
    def is_official(self) -> bool:
        """An official image of Docker Hub, whose content is known well."""
        return self.is_registry and "/" not in self.name

    @property
    def is_cuda(self) -> bool:
        """NVIDIA's own CUDA images, and those that stand on them."""
        return self.name in ("nvidia/cuda", "nvcr.io/nvidia/cuda") or self.name.startswith("nvcr.io/")

    @property
    def cuda(self) -> str:
        """The CUDA version that the name says, or ""."""
        if self.name in ("nvidia/cuda", "nvcr.io/nvidia/cuda"):
            found = re.match(r"(\d+\.\d+)", self.tag)
        else:
            found = re.search(r"cuda-?(\d+\.\d+)", self.tag)
        return found[1] if found else ""


def base_of(stage: Stage) -> Base:
    agent, source = stage.bootstrap, stage.source
    if agent not in (*OCI_AGENTS, "library", "shub"):
        return Base(agent=agent, name=source, distribution=_of_agent(stage), known=UNKNOWN not in source)
    name = re.sub(r"^(?:[a-z-]+:)?//", "", source)
    registry, namespace = stage.key("registry"), stage.key("namespace")
    if agent == "docker" and (registry or namespace):
        name = "/".join(part.strip("/") for part in (registry, namespace, name) if part)
    name, _, digest = name.partition("@")
    tag = ""
    if ":" in name.rpartition("/")[2]:
        name, _, tag = name.rpartition(":")
    for prefix in ("docker.io/library/", "index.docker.io/library/", "library/", "docker.io/", "index.docker.io/"):
        if agent == "docker" and name.startswith(prefix):
            name = name.removeprefix(prefix)
            break
    return Base(
        agent=agent,
        name=name,
        tag=tag,
        digest=digest,
        distribution=_distribution(name, tag) if agent != "library" or "/" not in name else "",
        known=UNKNOWN not in source + registry + namespace,
    )


def _of_agent(stage: Stage) -> str:
    return {
        "debootstrap": "debian",
        "yum": "redhat",
        "dnf": "redhat",
        "zypper": "suse",
        "arch": "arch",
        "busybox": "alpine",
    }.get(stage.bootstrap, "")


def _distribution(name: str, tag: str) -> str:
    lowered = tag.lower()
    if "alpine" in lowered:
        return "alpine"
    if re.search(r"ubuntu|debian", lowered) or any(word in re.split(r"[-_.]", lowered) for word in _DEBIAN_CODENAMES):
        return "debian"
    if re.search(r"centos|rocky|ubi\d|alma|fedora|(?:^|[-_])el\d", lowered):
        return "redhat"
    if re.search(r"opensuse|leap|sles", lowered):
        return "suse"
    parts = name.lower().split("/")
    for distribution, words in _BY_NAME.items():
        if parts[-1] in words or (len(parts) > 1 and parts[-2] in words and parts[-2] not in ("rocky", "arch")):
            return distribution
    if (len(parts) == 1 and parts[0] in _DEBIAN_OFFICIAL) or name.lower() in _DEBIAN_OTHERS:
        return "debian"
    return ""
