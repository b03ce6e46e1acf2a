"""Judges a run of ranks: did they come up as one world, with which library, are the sums right, what carried them?"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sealift.core.finding import Finding
from sealift.core.mpi import ImageMpi, Wireup
from sealift.engines.mpiprobe import singletons
from sealift.engines.wireup import HOST_FOLDER
from sealift.evidence.ranks import Said

_COMPLAINTS = (
    (
        r"/proc/\d+/fd/\d+.*Permission denied|mm ep failed to connect|process_vm_(read|write)v|Shared memory error",
        "ranks of one node cannot reach each other's memory: each has a user namespace of its own",
        "UCX_POSIX_USE_PROC_LINK=n and UCX_TLS=^cma, or one container a node: sealift job",
    ),
    (
        r"OMPI was not built with SLURM's PMI support|No PMIx server was reachable|PMIx server was unreachable",
        "the image's Open MPI waited for PMIx, and the launcher speaks something else",
        "srun --mpi=pmix",
    ),
    (
        r"(?i)invalid mpi type|cannot find mpi plugin|Couldn't find the specified plugin name for mpi",
        "this Slurm has no such PMI type",
        "see what there is: srun --mpi=list",
    ),
    (
        r"Failing at address: \(nil\)",
        "a rank of Open MPI crashed at its start, as some do where Slurm's PMIx has fences of two kinds",
        "export SLURM_PMIX_FENCE=tree, and try again",
    ),
    (
        r"GTL library is not linked",
        "MPICH_GPU_SUPPORT_ENABLED is set, and the library for GPUs is not loaded",
        "LD_PRELOAD of libmpi_gtl_cuda.so or libmpi_gtl_hsa.so, or MPICH_GPU_SUPPORT_ENABLED=0",
    ),
    (
        r"cuIpcOpenMemHandle",
        "Slurm hides the GPUs of each rank from the others",
        "--gpus-per-node with --gpu-bind=none, no --gpus-per-task",
    ),
    (
        r"version `GLIBC_[\d.]+' not found",
        "a library of the host needs a newer glibc than the image's",
        "begin with a newer base, such as ubuntu:24.04",
    ),
    (
        r"libmpi\S*: cannot open shared object file",
        "the image's MPI is not found by its name",
        "run ldconfig at the end of %post, or set LD_LIBRARY_PATH in %environment",
    ),
    (
        r"(?i)error: .*(more processors requested|requested node configuration is not available|unable to create step)",
        "the allocation has no room for these ranks",
        "fewer: --nodes 1 --tasks-per-node 2",
    ),
    (
        r"Unable to create job step|pmixp_\w+.*failed",
        "Slurm could not set up its PMIx for the step",
        "another type: --mpi pmi2; the node's slurmd log says why",
    ),
)
"""What libraries and launchers say when it fails, what it means, and what helps."""


def judge(
    image: ImageMpi,
    wireup: Wireup,
    said: Said,
    *,
    tasks: int,
    code: int,
    talk: Sequence[str],
    alone: bool,
) -> tuple[Finding, ...]:
    """Findings in reading order; one of severity `error` is a no."""
    findings = [_world(image, wireup, said, tasks=tasks, code=code, talk=talk, alone=alone)]
    if said.ranks:
        findings.append(_library(image, wireup, said))
    findings += [_sum(name, *said.sums[name]) for name in ("allreduce", "ring") if name in said.sums]
    if findings[0].severity == "ok":
        missing = [name for name in ("allreduce", "ring") if name not in said.sums]
        if missing or code != 0:
            findings.append(_broken(missing, code, talk))
        findings.append(_transport(said))
    return tuple(findings)


def _world(
    image: ImageMpi, wireup: Wireup, said: Said, *, tasks: int, code: int, talk: Sequence[str], alone: bool
) -> Finding:
    sizes = {rank.size for rank in said.ranks}
    if sizes == {tasks} and {rank.rank for rank in said.ranks} == set(range(tasks)):
        hosts = f"{len(said.hosts)} node{'s' if len(said.hosts) > 1 else ''}: {', '.join(said.hosts)}"
        return Finding(id="mpi.world", severity="ok", what=f"{tasks} ranks are one world", evidence=hosts)
    what, remedy = _complaint(talk)
    if sizes == {1}:
        pmi = "" if alone else wireup.pmi
        return Finding(
            id="mpi.world",
            severity="error",
            what=singletons(image, pmi=pmi, tasks=tasks),
            evidence=what,
            remedy=remedy or _other_type(image, pmi),
        )
    if sizes and sizes != {tasks}:
        shown = ", ".join(str(size) for size in sorted(sizes))
        return Finding(
            id="mpi.world",
            severity="error",
            what=f"{tasks} tasks came up as worlds of other sizes: {shown}",
            evidence=what,
            remedy=remedy,
        )
    heard = f"{len(said.ranks)} of {tasks} ranks" if said.ranks else "no rank"
    return Finding(
        id="mpi.world",
        severity="error",
        what=what or f"the ranks did not come up: {heard} got as far as telling who it is",
        evidence=f"exit code {code}" + (f"; {_last(talk)}" if talk else ""),
        remedy=remedy,
    )


def _other_type(image: ImageMpi, pmi: str) -> str:
    spoken = image.library.pmi if image.library else ()
    wanted = "pmix" if spoken == ("pmix",) else "pmi2"
    return f"srun --mpi={wanted}" if spoken and wanted != pmi else "see what there is: srun --mpi=list"


def _library(image: ImageMpi, wireup: Wireup, said: Said) -> Finding:
    """Which file was really loaded, in every rank."""
    files = tuple(dict.fromkeys(rank.library for rank in said.ranks))
    versions = tuple(dict.fromkeys(rank.version for rank in said.ranks))
    evidence = ", ".join(files)
    own = image.library.path if image.library else ""
    if len(files) > 1:
        return Finding(
            id="mpi.library", severity="error", what="the ranks run with different MPI libraries", evidence=evidence
        )
    if wireup.model == "bind" and not files[0].startswith(HOST_FOLDER + "/"):
        return Finding(
            id="mpi.library",
            severity="error",
            what="the image's own MPI was loaded, not the host's that was bound over it",
            evidence=evidence,
            remedy="a program with an rpath looks there first: build it without one",
        )
    if wireup.model in ("hybrid", "injected") and files[0] == own:
        return Finding(
            id="mpi.library",
            severity="error",
            what="the image's own MPI was loaded, not the site's",
            evidence=evidence,
            remedy="the module is not loaded, or a program's rpath looks into the image first",
        )
    whose = "the host's" if files[0] != own else "the image's"
    return Finding(id="mpi.library", severity="ok", what=f"{whose} {', '.join(versions)}", evidence=evidence)


def _sum(name: str, expected: int, found: int) -> Finding:
    good = expected == found
    return Finding(
        id=f"mpi.{name}",
        severity="ok" if good else "error",
        what=f"{name}: {'right' if good else 'wrong'}",
        evidence=str(found) if good else f"expected {expected}, found {found}",
    )


def _broken(missing: Sequence[str], code: int, talk: Sequence[str]) -> Finding:
    what, remedy = _complaint(talk)
    where = f"the ranks came up, and broke in {missing[0]}" if missing else "the ranks ended badly"
    return Finding(
        id="mpi.run",
        severity="error",
        what=what or where,
        evidence=f"exit code {code}" + (f"; {_last(talk)}" if talk else ""),
        remedy=remedy,
    )


def _transport(said: Said) -> Finding:
    if not said.by:
        return Finding(id="mpi.transport", severity="note", what="what carried the messages is not known")
    return Finding(id="mpi.transport", severity="ok", what=f"messages went by {', '.join(said.by)}")


def _complaint(talk: Sequence[str]) -> tuple[str, str]:
    text = "\n".join(talk)
    return next(((what, remedy) for pattern, what, remedy in _COMPLAINTS if re.search(pattern, text)), ("", ""))


def _last(talk: Sequence[str]) -> str:
    """The line that says most: the last error, else the last line."""
    errors = [line for line in talk if re.search(r"(?i)\berror\b|fail|abort", line)]
    return (errors or list(talk))[-1].strip()[:200]
