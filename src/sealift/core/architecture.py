"""Processor architectures under the names that each part of this field gives them."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True, kw_only=True)
class Architecture:
    """One architecture: OCI's name and variant (Go's GOARCH), `uname -m`'s, Debian's, and SIF's two-character code.

    The SIF codes are those of the `arch` field (apptainer/sif, pkg/sif/arch.go).
    """

    oci: str
    machine: str
    debian: str
    sif: str
    variant: str = ""


ARCHITECTURES = (
    Architecture(oci="amd64", machine="x86_64", debian="amd64", sif="02"),
    Architecture(oci="386", machine="i686", debian="i386", sif="01"),
    Architecture(oci="arm64", machine="aarch64", debian="arm64", sif="04"),
    Architecture(oci="arm", machine="armv7l", debian="armhf", sif="03", variant="v7"),
    Architecture(oci="ppc64", machine="ppc64", debian="ppc64", sif="05"),
    Architecture(oci="ppc64le", machine="ppc64le", debian="ppc64el", sif="06"),
    Architecture(oci="mips", machine="mips", debian="mips", sif="07"),
    Architecture(oci="mipsle", machine="mipsel", debian="mipsel", sif="08"),
    Architecture(oci="mips64", machine="mips64", debian="mips64", sif="09"),
    Architecture(oci="mips64le", machine="mips64el", debian="mips64el", sif="10"),
    Architecture(oci="s390x", machine="s390x", debian="s390x", sif="11"),
    Architecture(oci="riscv64", machine="riscv64", debian="riscv64", sif="12"),
)

_ALIASES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "x64": "amd64",
    "aarch64": "arm64",
    "arm64v8": "arm64",
    "i386": "386",
    "i686": "386",
    "armv7l": "arm",
    "armhf": "arm",
    "arm32v7": "arm",
}
_OLDER_ARM = {"arm32v6": "v6", "arm32v5": "v5"}
"""Apptainer's names for processors that run less than ours."""


def find_architecture(name: str) -> Architecture | None:
    """Find by OCI's name, `uname -m`'s, Debian's, or one of Docker's image prefixes; None when nobody knows it."""
    wanted = "arm" if name in _OLDER_ARM else _ALIASES.get(name, name)
    for architecture in ARCHITECTURES:
        if wanted in (architecture.oci, architecture.machine, architecture.debian):
            return replace(architecture, variant=_OLDER_ARM.get(name, architecture.variant))
    return None


def by_sif_code(code: str) -> Architecture | None:
    return next((a for a in ARCHITECTURES if a.sif == code), None)


def known_architectures() -> str:
    """The names that people may type, for messages."""
    return ", ".join(architecture.oci for architecture in ARCHITECTURES)
