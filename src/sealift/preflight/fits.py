"""Why an image runs there: what was judged of its CUDA, its code for GPUs and its MPI, and found good."""

from __future__ import annotations

from collections.abc import Iterator

from sealift.core.mpi import Wireup, version_numbers
from sealift.preflight import cuda, gpu, mpi
from sealift.preflight.question import Question

_OWNERS = {"jax_plugins": "jax"}


def fits(question: Question) -> Iterator[str]:
    """A sentence for each; what was not judged, or has a finding of its own, has none."""
    yield from _cuda(question)
    yield from _code(question)
    yield from _mpi(question)
    yield from _libc(question)


def _cuda(question: Question) -> Iterator[str]:
    site, parts = question.site, gpu.parts_in_use(question)
    driver = site.text("gpu.driver")
    if site.text("gpu.vendor") != "nvidia" or not driver or not parts:
        return
    if any(cuda.runs(part.version, driver, site.text("gpu.cuda")) != "full" for part in parts):
        return
    newest = max(parts, key=lambda part: version_numbers(part.version))
    yield f"CUDA {newest.version}, which driver {_shown(question, 'gpu.driver')} runs in full: {newest.what}"


def _code(question: Question) -> Iterator[str]:
    capability = question.site.text("gpu.capability")
    if question.site.text("gpu.vendor") != "nvidia" or not version_numbers(capability)[1:]:
        return
    known = gpu.known_code(question)
    if known and all(cuda.covers(code, capability) == "code" for _, code, _ in known):
        owners = ", ".join(_OWNERS.get(owner, owner) for owner, _, _ in known[:3])
        yield f"machine code for GPUs of capability {_shown(question, 'gpu.capability')}: {owners}"


def _mpi(question: Question) -> Iterator[str]:
    found, image = mpi.plan(question), question.image
    fixed = image.mpi_by_path or any(use.fixed for use in image.mpi_uses)
    if not isinstance(found, Wireup) or image.mpi.library is None or fixed:
        return
    name = image.mpi.library.title
    if mpi.exchanged(question):
        host = _shown(question, "mpi.host") or "the host's MPI"
        yield f"{name}, in whose place {host} comes: {image.mpi.library.path}"
    elif found.pmi:
        yield f"{name}, which understands srun --mpi={found.pmi}: {image.mpi.library.path}"


def _libc(question: Question) -> Iterator[str]:
    """Told where something is brought in that needs a C library of some age."""
    fact, glibc = question.site.fact("libc.minimum"), question.image.mpi.glibc
    if fact is None or not glibc or version_numbers(glibc) < version_numbers(fact.shown):
        return
    if mpi.exchanged(question) or mpi.joins_gpus(question):
        yield f"glibc {glibc}, where what {question.engine.name} brings in needs {_shown(question, 'libc.minimum')}"


def _shown(question: Question, key: str) -> str:
    """`580.105.08 [N13]`: what the profile says, and who said so."""
    fact = question.site.fact(key)
    if fact is None:
        return ""
    keys = [source.key for source in fact.sources if source.kind not in ("yours", "measured")]
    return f"{fact.shown} [{', '.join(keys)}]" if keys else fact.shown
