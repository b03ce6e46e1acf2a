"""MPI and what carries it: the image's against the site's launcher and library, libfabric, NCCL."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from dataclasses import replace

from sealift.core.finding import Finding
from sealift.core.mpi import MpiLibrary, Wireup, version_numbers
from sealift.engines.wireup import wire_up
from sealift.errors import UsageError
from sealift.evidence.mpiusers import MpiUse
from sealift.preflight.question import Question, lines


def plan(question: Question, use: MpiUse | None = None) -> Wireup | UsageError | None:
    """What a job would do about MPI, of the first one where the image has several; the reason where it cannot; None
    for an image without MPI.

    The C library's age is left out: it is judged by itself, for it is seldom sure.
    """
    image = replace(use.mpi if use else question.image.mpi, glibc="")
    if image.family == "none":
        return None
    try:
        return wire_up(image, question.site, engine=question.engine.name, gpu=False)
    except UsageError as error:
        return error


def wireup(question: Question) -> Iterator[Finding]:
    """Family, static or shared, PMI: what `sealift job` would refuse, of every MPI that programs use."""
    for use in question.image.mpi_uses:
        found = plan(question, use)
        if isinstance(found, UsageError):
            yield _refused(question, use, found)


def _refused(question: Question, use: MpiUse, why: UsageError) -> Finding:
    mpi, library = use.mpi, use.mpi.library
    # A distribution's library without a launcher came along with something else, which may never call it.
    meant = library is not None and (mpi.launcher or not library.path.startswith(("/usr/lib", "/lib")))
    # A wheel of mpi4py without any MPI came along, too.
    used = bool(use.users and (library or use.users[0].startswith("/")))
    return Finding(
        id="mpi.fit",
        severity="error" if used or meant else "warning",
        what=why.message,
        evidence=lines(
            f"{library.title}: {library.path}" if library else "",
            f"used by {', '.join(use.users[:3])}" if use.users and not mpi.static else "",
            *question.says("mpi.host", "mpi.families", "slurm.mpi_types"),
            *(question.says(_pmi_key(library)) if library and library.implementation == "openmpi" else ()),
        ),
        remedy="\n".join((*why.hints, *(("a recipe: sealift new mpi-mpich",) if "MPICH" in why.hints[0] else ()))),
    )


def _pmi_key(library: MpiLibrary) -> str:
    return "mpi.pmi.openmpi5" if version_numbers(library.version)[:1] >= (5,) else "mpi.pmi.openmpi4"


def fixed(question: Question) -> Iterator[Finding]:
    """The host's MPI takes the place of the image's by LD_LIBRARY_PATH, which a program's RPATH goes before."""
    programs = [program for use in question.image.mpi_uses if exchanged(question, use) for program in use.fixed]
    if not programs:
        return
    host = question.site.text("mpi.host", "the host's MPI")
    yield Finding(
        id="mpi.fixed",
        severity="error",
        what=f"`{programs[0]}` has an RPATH to the image's MPI, so that {host} of {question.site.name} cannot take its "
        "place: each rank would be a world of its own",
        evidence=lines(", ".join(programs[:3]), *question.says("mpi.host", "mpi.model")),
        remedy=f"at the end of %post: patchelf --remove-rpath {programs[0]}; or link with -Wl,--enable-new-dtags",
    )


def opened_by_path(question: Question) -> Iterator[Finding]:
    """What a program opens by its path is not exchanged by LD_LIBRARY_PATH, either."""
    path = question.image.mpi_by_path
    if not path or not exchanged(question):
        return
    library = question.image.mpi.library
    variable = f"MPI4PY_LIBMPI={library.soname if library else posixpath.basename(path)}"
    host = question.site.text("mpi.host", "the host's MPI")
    yield Finding(
        id="mpi.by-path",
        severity="error",
        what=f"mpi4py opens the image's MPI by its path, so that {host} of {question.site.name} cannot take its "
        "place: each rank would be a world of its own",
        evidence=lines(f"mpi4py's wheel opens {path}", *question.says("mpi.host", "mpi.model")),
        remedy=f"in %environment: export {variable}\nor set it when it is started: --env {variable}",
    )


def newer_calls(question: Question) -> Iterator[Finding]:
    """Programs that were built with a newer MPICH than the host's may ask for calls that it has not."""
    library = question.image.mpi.library
    if library is None or not exchanged(question):
        return
    wanted = question.site.text("mpi.version")
    if library.implementation == "mpich" and version_numbers(library.version)[:2] > version_numbers(wanted)[:2] > ():
        yield Finding(
            id="mpi.newer",
            severity="note",
            what=f"the image has {library.title}, and images for {question.site.name} are built with MPICH {wanted}: "
            "newer calls than the host's MPI has are missing there",
            evidence=lines(f"{library.title}: {library.path}", *question.says("mpi.version", "mpi.host_version")),
            remedy=f"build with MPICH {wanted}, unless the program needs newer calls",
        )


def libfabric(question: Question) -> Iterator[Finding]:
    """An MPI of the image's own that cannot reach the network's cards falls back to TCP."""
    found, image = plan(question), question.image
    provider = question.site.text("network.provider")
    if provider != "cxi" or not isinstance(found, Wireup) or found.model != "container" or _brought(question, "cxi"):
        return
    library = image.mpi.library
    if library is None or "ofi" not in library.transports or not image.libfabric or any(image.libfabric.values()):
        return
    yield Finding(
        id="network.libfabric",
        severity="warning",
        what=f"the image's libfabric does not know `{provider}`, so that MPI goes over TCP on {question.site.name}",
        evidence=lines(
            f"{', '.join(image.libfabric)}: neither a provider nor a plugin `cxi`",
            *question.says("network.name", "network.provider"),
        ),
        remedy="build libfabric 1.20 or later with --enable-cxi, or use the host's MPI (MPICH's ABI)",
    )


def nccl(question: Question) -> Iterator[Finding]:
    """NCCL reaches Slingshot by a plugin, which some engines bring in and some images have."""
    image, site, name = question.image, question.site, question.engine.name
    if site.text("network.provider") != "cxi" or not joins_gpus(question):
        return
    if image.gpu.nccl_plugin or site.texts(f"engines.{name}.nccl_flags") or _brought(question, "nccl"):
        return
    yield Finding(
        id="network.nccl",
        severity="note",
        what="NCCL has no plugin for this network: over several nodes it goes through sockets, far more slowly",
        evidence=lines(image.gpu.nccl, *question.says("network.name", "network.provider")),
        remedy="build aws-ofi-nccl in %post, against a libfabric that knows cxi",
    )


def exchanged(question: Question, use: MpiUse | None = None) -> bool:
    """Does the host's MPI take the place of the image's?"""
    found = plan(question, use)
    return isinstance(found, Wireup) and found.model in ("injected", "hybrid")


def joins_gpus(question: Question) -> bool:
    """Will NCCL be asked to join GPUs there?"""
    return bool(question.image.gpu.nccl) and question.site.text("gpu.vendor") == "nvidia"


def _brought(question: Question, word: str) -> bool:
    """Does the site's engine bring it in by itself?"""
    name = question.engine.name
    texts = (*question.site.texts(f"engines.{name}.note"), *question.site.texts(f"engines.{name}.injects"))
    return any(word in text for text in texts)
