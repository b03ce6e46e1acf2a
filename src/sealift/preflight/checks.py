"""All checks, and the verdict that follows from them: a check is a function of a question, and a line here."""

from __future__ import annotations

from dataclasses import dataclass

from sealift.core.finding import Finding
from sealift.core.mpi import Wireup
from sealift.preflight import gpu, libc, mpi, permissions, platform, python, storage
from sealift.preflight.fits import fits
from sealift.preflight.question import Check, Question

CHECKS: tuple[Check, ...] = (
    platform.architecture,
    platform.programs,
    gpu.vendor,
    gpu.unused,
    gpu.driver,
    gpu.capability,
    gpu.hidden_driver,
    gpu.majors,
    gpu.rocm,
    gpu.variables,
    gpu.requirement,
    mpi.wireup,
    mpi.fixed,
    mpi.opened_by_path,
    mpi.newer_calls,
    mpi.libfabric,
    mpi.nccl,
    libc.old,
    libc.musl,
    libc.ldconfig,
    libc.shell,
    libc.locale,
    permissions.closed_files,
    permissions.shut_folders,
    permissions.roots_programs,
    permissions.setuid,
    permissions.writes,
    python.user_site,
    python.jax_versions,
    python.jax_library_path,
    storage.quota,
    storage.many_files,
    platform.engine,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """`fits` are reasons why it runs, where it does; `before` is what to type first, the best way first; `how` tells
    how it is started there; `unknown` what could not be judged, for the profile does not say it.
    """

    image: str
    site: str
    engine: str
    findings: tuple[Finding, ...] = ()
    fits: tuple[str, ...] = ()
    before: tuple[str, ...] = ()
    how: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()

    @property
    def reasons(self) -> tuple[Finding, ...]:
        return tuple(each for each in self.findings if each.severity == "error")

    @property
    def runs(self) -> bool:
        return not self.reasons

    @property
    def sentence(self) -> str:
        there = f"on {self.site} with {self.engine}"
        if not self.runs:
            count = len(self.reasons)
            return f"{self.image} does not run {there}: {count} reason{'s' if count > 1 else ''}"
        if self.before:
            return f"{self.image} runs {there}, after: {self.before[0].partition('   ')[0]}"
        return f"{self.image} runs {there}"


_GRAVITY = ("error", "warning", "note", "ok")


def judge(question: Question) -> Verdict:
    """Every check, the gravest findings first, in the order of `CHECKS` among equals."""
    found = [finding for check in CHECKS for finding in check(question)]
    found.sort(key=lambda finding: _GRAVITY.index(finding.severity))
    return Verdict(
        image=question.image.source,
        site=question.site.name,
        engine=question.engine.name,
        findings=tuple(found),
        fits=tuple(fits(question)),
        before=platform.ways_in(question) or platform.fetched(question),
        how=_how(question),
        unknown=_unknown(question),
    )


def _how(question: Question) -> tuple[str, ...]:
    """Flags and launcher for what this image has, and what becomes of the place where it lies."""
    site, image, name = question.site, question.image, question.engine.name
    told = []
    flags = site.texts(f"engines.{name}.gpu_flags")
    brings = bool(image.gpu.of("cuda") or image.gpu.of("rocm"))
    if brings and flags and site.text("gpu.vendor") != "none":
        told.append(f"GPUs: {name} {' '.join(flags)}")
    found = mpi.plan(question)
    if isinstance(found, Wireup):
        start = f"srun --mpi={found.pmi}" if found.pmi else "the site's launcher"
        key = {"mpi": "mpi_flags", "gpu-mpi": "gpu_mpi_flags", "openmpi": "openmpi_flags"}.get(found.communication, "")
        with_flags = site.texts(f"engines.{name}.{key}") if key else ()
        told.append(f"MPI: {start}" + (f", {name} {' '.join(with_flags)}" if with_flags else ""))
    nccl = site.texts(f"engines.{name}.nccl_flags")
    if nccl and mpi.joins_gpus(question):
        told.append(f"NCCL over several nodes: {name} {' '.join(nccl)}")
        paths = [site.text(f"engines.{name}.{key}") for key in ("library_path", "nccl_library_path")]
        if isinstance(found, Wireup) and found.communication in ("mpi", "gpu-mpi") and all(paths):
            merged = f"--env LD_LIBRARY_PATH={':'.join(paths)}"
            told.append(f"both in one job: each of them sets LD_LIBRARY_PATH, and one is lost, so add {merged}")
    for each in site.names_below("filesystems"):
        days = site.number(f"filesystems.{each}.purge_days")
        if days and site.flag(f"filesystems.{each}.images", default=False):
            variable = site.text(f"filesystems.{each}.variable")
            place = f"${variable}" if variable else site.text(f"filesystems.{each}.path", each)
            told.append(f"{place}: what nobody reads for {days:g} days is removed, so keep a copy or the reference")
    return tuple(told)


def _unknown(question: Question) -> tuple[str, ...]:
    """What this image asks of the site that the profile does not tell."""
    site, image = question.site, question.image
    wanted = {"node.architecture": bool(image.architecture)}
    cuda = bool(image.gpu.of("cuda"))
    wanted["gpu.vendor"] = cuda or bool(image.gpu.of("rocm"))
    nvidia = site.text("gpu.vendor") == "nvidia"
    wanted["gpu.driver"] = cuda and nvidia
    wanted["gpu.capability"] = nvidia and bool(cuda or image.gpu.code)
    wanted["libc.minimum"] = mpi.exchanged(question)
    return tuple(key for key, asks in wanted.items() if asks and site.fact(key) is None)
