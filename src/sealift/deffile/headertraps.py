"""Traps in the header: keywords that the stage's agent does not read, and what only Sealift can do without."""

from __future__ import annotations

from collections.abc import Iterator

from sealift.deffile.findings import Caution
from sealift.deffile.values import Stage
from sealift.deffile.vocabulary import show_keyword

_ALWAYS = ("bootstrap", "stage")
_IMAGE = ("from", "registry", "namespace")
_BUILDKIT = ("from", "target", "frontend", "filename", "buildargs")
_YUM = ("mirrorurl", "updateurl", "osversion", "include", "setopt")
_READ = {
    "docker": _IMAGE,
    "docker-archive": _IMAGE,
    "docker-daemon": _IMAGE,
    "oci": _IMAGE,
    "oci-archive": _IMAGE,
    "oras": ("from", "fingerprints"),
    "library": ("from", "library", "fingerprints"),
    "shub": ("from",),
    "localimage": ("from", "fingerprints"),
    "scratch": (),
    "buildkit": _BUILDKIT,
    "dockerfile": _BUILDKIT,
    "yum": _YUM,
    "dnf": _YUM,
    "debootstrap": ("mirrorurl", "osversion", "include"),
    "arch": ("include", "confurl"),
    "busybox": ("mirrorurl",),
}
"""Which keywords each agent reads; zypper reads all that are left."""


def is_read(agent: str, key: str) -> bool:
    """Does the agent look at this key of the header? One that is not known reads all."""
    read = _READ.get(agent)
    return read is None or key in read


def header_traps(stage: Stage) -> Iterator[Caution]:
    for field in stage.fields:
        if field.key not in _ALWAYS and not is_read(stage.bootstrap, field.key):
            yield Caution(
                id="unread-header-key",
                message=f"`Bootstrap: {stage.bootstrap}` does not read `{show_keyword(field.key)}:`",
                where=field.span,
                hints=("remove this line",),
            )
    agent = stage.field("bootstrap")
    if stage.bootstrap == "debootstrap" and not stage.key("mirrorurl") and agent is not None:
        yield Caution(
            id="debootstrap-without-mirror",
            message="Sealift takes the host's own mirror; Apptainer wants `MirrorURL:` here",
            where=agent.span,
            hints=("write: MirrorURL: http://YOUR-MIRROR/debian",),
        )
