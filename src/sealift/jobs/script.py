"""A job's script, put together: what Slurm is asked for, the image, the ranks, the end."""

from __future__ import annotations

from collections.abc import Iterator

from sealift import __version__
from sealift.jobs import kinds
from sealift.jobs.header import header
from sealift.jobs.image import cleaning, shown, staging
from sealift.jobs.job import Job
from sealift.jobs.nodes import containers, ending
from sealift.jobs.parts import heredoc, part
from sealift.jobs.probing import probing
from sealift.jobs.ranks import complete, rank
from sealift.jobs.words import command, one_line, variables_in

_SAID = {
    "single": "one program, which knows nothing of the others",
    "mpi": "ranks that talk by MPI",
    "gpu-mpi": "ranks that talk by MPI, with buffers on GPUs",
    "pytorch": "torchrun, once a node, which starts the workers of its node",
    "pytorch-tasks": "one task a GPU, with PyTorch's rendezvous set",
    "jax": "one task a GPU, with JAX's coordinator set",
}


def script(job: Job) -> str:
    """The batch script of `job`; the same job gives the same text."""
    return "\n".join(_lines(job)) + "\n"


def _lines(job: Job) -> Iterator[str]:
    yield "#!/bin/bash"
    yield from _preface(job)
    yield from header(job)
    yield ""
    yield from _beginning(job)
    yield ""
    yield from staging(job)
    for lines in (kinds.rendezvous(job), containers(job)):
        if lines:
            yield ""
            yield from lines
    yield ""
    yield "# What each rank does."
    yield from heredoc("rank", rank(job))
    yield ""
    if lines := probing(job):
        yield from lines
        yield ""
    yield from _step(job)


def _preface(job: Job) -> Iterator[str]:
    site = job.site
    seen = sum(bool(fact.verified) for fact in site.facts.values())
    yield f"# Written by Sealift {__version__} for {site.text('site.title', site.name)}."
    yield f"# Its facts were collected on {site.collected}, {seen or 'none'} of them seen on the machine itself:"
    yield f"# sealift sites {site.name}"
    yield "# The job itself needs no Sealift. Change what you like."
    yield "#"
    yield f"# image   {one_line(shown(job))}"
    yield f"# engine  {job.engine}"
    yield f"# kind    {job.kind}: {_SAID[job.kind]}"
    for note in (*job.notes, *job.wireup.notes):
        yield f"# note    {one_line(note)}"


def _beginning(job: Job) -> Iterator[str]:
    yield "stop() {"
    yield "    printf 'sealift: %s\\n' \"$*\" >&2"
    yield "    exit 1"
    yield "}"
    yield from _warning(job)
    modules = (*job.site.texts(f"engines.{job.engine}.modules"), *job.wireup.modules)
    if modules:
        yield "type module >/dev/null 2>&1 || . /etc/profile"
    for module in modules:
        words = module if module.startswith("use ") else f"load {module}"
        yield f'module {words} || stop "module {words} failed"'
    yield "set -u -o pipefail"
    plan = complete(job)
    wanted = {*job.variables, *variables_in((*plan.env.values(), *(bind.source for bind in plan.binds)))}
    for name in sorted(name for name in wanted - set(kinds.SET_BY_SLURM) if not name.startswith("SLURM_")):
        yield f"[[ -n ${{{name}-}} ]] || stop '${name} is not set where this job runs'"


def _step(job: Job) -> Iterator[str]:
    text = part("step")
    options = kinds.step_options(job, nodes=job.orders.nodes, tasks_per_node=job.orders.tasks_per_node)
    words = ("srun", *options, "--kill-on-bad-exit=1")
    call = command(words) + ' \\\n    bash -c "$rank" rank ' + command(kinds.program(job), indent=4)
    name = _warned_by(job)
    if not name:
        yield "step=''"
    if name != "TERM":
        yield "trap '[[ -z $step ]] || kill -TERM \"$step\" 2>/dev/null' TERM"
    # A signal that came before the step's number was known was handed to nobody yet.
    late = f'\n[[ -z $warned ]] || kill -{name} "$step" 2>/dev/null' if name else ""
    yield from text.replace("#@STEP@", call).replace("\nstep=$!", f"\nstep=$!{late}").splitlines()
    yield from ending(job)
    yield from cleaning(job)
    if job.orders.requeue:
        yield ""
        yield "# Interrupted, and not done: once more, from what the program wrote down when it was told."
        yield "if [[ -n $warned ]] && ((code != 0)); then"
        yield '    scontrol requeue "$SLURM_JOB_ID"'
        yield "fi"
    yield 'exit "$code"'


def _warning(job: Job) -> Iterator[str]:
    """What hears the signal ahead of the time limit, from the first line on: the image may be pulled for long."""
    if name := _warned_by(job):
        yield "# Ahead of the time limit: the ranks may write down how far they came, as soon as there are any."
        yield "step='' warned=''"
        yield f"trap 'warned=yes; [[ -z $step ]] || kill -{name} \"$step\" 2>/dev/null' {name}"


def _warned_by(job: Job) -> str:
    return job.orders.signal.partition("@")[0]
