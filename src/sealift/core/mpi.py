"""What MPI is in an image, how a job wires it up, and the program that tells whether it came up."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from sealift.core.launch import Bind, Communication

Implementation = Literal["mpich", "cray-mpich", "intel-mpi", "mvapich", "parastation", "openmpi", "unknown"]
Family = Literal["mpich", "openmpi", "standard", "none"]
"""Whose ABI programs were built with: they run with every library of the same family, and with no other."""
Pmi = Literal["pmi1", "pmi2", "pmix"]
"""A protocol by which ranks learn of each other from what started them."""
Transport = Literal["ucx", "ofi"]
Libc = Literal["glibc", "musl", ""]
Model = Literal["bind", "hybrid", "container", "injected", "none"]
"""The host's MPI in place of the image's: bound by us, by the site's recipe, by its engine; or the image's own."""

NAMES: Mapping[Implementation, str] = {
    "mpich": "MPICH",
    "cray-mpich": "Cray MPICH",
    "intel-mpi": "Intel MPI",
    "mvapich": "MVAPICH",
    "parastation": "ParaStation MPI",
    "openmpi": "Open MPI",
    "unknown": "an MPI that says no name",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class MpiLibrary:
    """One MPI library. `version` is its own word, empty where it cannot be read; `glibc` the newest that it asks for.

    `device` is MPICH's word for what it sends by, such as `ch4:ofi`.
    """

    implementation: Implementation
    family: Family
    path: str
    soname: str
    version: str = ""
    device: str = ""
    pmi: tuple[Pmi, ...] = ()
    transports: tuple[Transport, ...] = ()
    glibc: str = ""

    @property
    def title(self) -> str:
        return f"{NAMES[self.implementation]} {self.version}".rstrip()


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageMpi:
    """What was found in an image without running it.

     `libraries` begins with the one that counts: the one that the program asks for, where it is known. `asked` is the
    soname of MPI that the program needs, which need not be in the image. `static` are programs that seem to carry an
    MPI inside, judged by their texts, and `static_family` tells whose. `launcher`, `compiler` and `python` are paths;
    an interpreter counts if it has ctypes.
    """

    libraries: tuple[MpiLibrary, ...] = ()
    asked: str = ""
    static: tuple[str, ...] = ()
    static_family: Family = "none"
    libc: Libc = ""
    glibc: str = ""
    architecture: str = ""
    launcher: str = ""
    compiler: str = ""
    python: str = ""

    @property
    def library(self) -> MpiLibrary | None:
        return self.libraries[0] if self.libraries else None

    @property
    def family(self) -> Family:
        return self.libraries[0].family if self.libraries else family_of(self.asked) or self.static_family


def family_of(soname: str) -> Family | None:
    """The ABI family that a library's name stands for; None where it is no MPI's."""
    for prefix, family in _FAMILIES:
        if soname.startswith(prefix):
            return family
    return None


_FAMILIES: tuple[tuple[str, Family], ...] = (
    ("libmpi_abi.so", "standard"),
    ("libmpi.so.12", "mpich"),
    ("libmpich.so.12", "mpich"),
    ("libmpi_cray.so", "mpich"),
    ("libmpi_gnu", "mpich"),
    ("libmpi.so.40", "openmpi"),
    ("libmpi.so.20", "openmpi"),
    ("libmpi.so.1", "openmpi"),
)
"""`libmpich.so.12` is Debian's and Ubuntu's name for MPICH's library."""


def spoken(protocols: Iterable[Pmi]) -> str:
    """The protocols in the words of people."""
    return " and ".join(_PMI_NAMES[each] for each in protocols) or "nothing that is known"


_PMI_NAMES: Mapping[Pmi, str] = {"pmi1": "PMI-1", "pmi2": "PMI-2", "pmix": "PMIx"}


def version_numbers(version: str) -> tuple[int, ...]:
    """The numbers of a version, for comparing: `4.0.2rc1` is (4, 0, 2); what has none compares below all."""
    return tuple(int(part) for part in re.findall(r"(?:^|\.)(\d+)", version))


@dataclass(frozen=True, slots=True, kw_only=True)
class HostMpi:
    """An MPI of the host that can lie over an image's: `files` are it and all that it needs but the C library.

    `files` and `folders` are paths on the host by the names that they have inside. `glibc` is the newest that any of
    them asks for.
    """

    library: MpiLibrary
    files: Mapping[str, str]
    folders: Mapping[str, str] = field(default_factory=dict)
    glibc: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wireup:
    """What a job does about MPI. `pmi` is for `srun --mpi=`, empty where the site's default or launcher decides.

    `communication` is what an engine with flags for it is told, `none` for all others. `library_path` goes in front of
    the image's LD_LIBRARY_PATH, `preload` into LD_PRELOAD; both, and `env`, may name variables of the host ($NAME),
    which the job's shell puts in. `notes` are for people.
    """

    model: Model = "none"
    pmi: str = ""
    communication: Communication = "none"
    binds: tuple[Bind, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    library_path: tuple[str, ...] = ()
    preload: str = ""
    modules: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A program that ranks run inside to tell who they are.

    `words` is the command, with FILE where the path of a file goes that holds `program`. `by_text` is the same for a
    program that is a text, with TEXT in place of the text itself, so that no file has to lie where ranks see it; none
    for a compiled one.
    """

    program: bytes
    words: tuple[str, ...]
    by_text: tuple[str, ...] = ()

    def command(self, file: str, *arguments: str) -> tuple[str, ...]:
        return (*(file if word == FILE else word for word in self.words), *arguments)

    def command_by_text(self, text: str, *arguments: str) -> tuple[str, ...]:
        return (*(text if word == TEXT else word for word in self.by_text), *arguments)


FILE, TEXT = "{file}", "{text}"
