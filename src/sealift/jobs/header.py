"""The `#SBATCH` lines of a job, each with the reason where it is not one's own wish."""

from __future__ import annotations

import re
from collections.abc import Iterator

from sealift.engines.clean import shifter
from sealift.errors import UsageError
from sealift.jobs.image import stored
from sealift.jobs.job import Job
from sealift.jobs.words import variables_in


def header(job: Job) -> tuple[str, ...]:
    """The lines between the script's first line and its first command."""
    return tuple(_lines(job))


def _lines(job: Job) -> Iterator[str]:
    orders, site = job.orders, job.site
    yield _sbatch("job-name", orders.name)
    yield from _account(job)
    yield from _qos(job)
    if orders.partition:
        yield _sbatch("partition", orders.partition)
    if orders.constraint:
        yield _sbatch("constraint", orders.constraint)
    yield _sbatch("nodes", str(orders.nodes))
    yield _sbatch("ntasks-per-node", str(orders.tasks_per_node))
    if orders.cpus_per_task:
        why = f"{site.number('node.threads'):g} hardware threads of a node" if site.number("node.threads") else ""
        if why:
            yield f"# {why}, parted among its tasks"
        yield _sbatch("cpus-per-task", str(orders.cpus_per_task))
    if orders.gpus_per_node:
        if job.site.text("slurm.gpu_bind") == "none":
            yield "# All GPUs of a node for all its tasks. --gpus-per-task, or a --gpu-bind other than none, would part"
            yield "# them by cgroup, and GPU-aware MPI could not open its neighbours' memory (cuIpcOpenMemHandle)."
        yield _sbatch("gpus-per-node", str(orders.gpus_per_node))
        if bind := job.site.text("slurm.gpu_bind"):
            yield _sbatch("gpu-bind", bind)
    yield from _time(job)
    if orders.array:
        yield _sbatch("array", orders.array)
    yield _sbatch("output", orders.output)
    yield from _signal(job)
    for option in site.texts("slurm.options"):
        yield f"#SBATCH {option}"
    if job.engine == "shifter":
        yield "# Image, volumes and modules stand here and not behind `shifter`: so each node mounts them once, before"
        yield "# the job begins, and the image stays what it was when the job was submitted."
        yield from _shifter(job)


def _shifter(job: Job) -> tuple[str, ...]:
    if waiting := variables_in(bind.source + bind.destination for bind in job.plan.binds):
        raise UsageError(
            f"Shifter mounts what a job's header names, where `${waiting[0]}` is no variable", hints=("write the path",)
        )
    return shifter.header(job.plan, stored(job.image, engine="shifter"), site=job.site, is_folder=job.folders)


def _sbatch(option: str, value: str) -> str:
    # sbatch reads these lines as a shell would part them.
    plain = re.fullmatch(r"[A-Za-z0-9_./:%@,+=-]*", value)
    return f"#SBATCH --{option}={value}" if plain else f'#SBATCH --{option}="{value}"'


def _account(job: Job) -> Iterator[str]:
    if rule := job.site.text("slurm.account"):
        yield f"# {rule}: Slurm decides"
    if job.orders.account:
        yield _sbatch("account", job.orders.account)
    else:
        yield "# no --account: your default one pays"


def _qos(job: Job) -> Iterator[str]:
    default = job.site.text("slurm.qos_default")
    if job.orders.qos:
        if default and default != job.orders.qos:
            yield f"# without it a job gets the QOS `{default}`"
        yield _sbatch("qos", job.orders.qos)


def _time(job: Job) -> Iterator[str]:
    if limits := job.site.texts("slurm.limits"):
        fact = job.site.fact("slurm.limits")
        note = f" ({fact.note})" if fact is not None and fact.note else ""
        yield f"# limits: {'; '.join(limits)}{note}"
    if job.orders.time:
        yield _sbatch("time", job.orders.time)
    else:
        yield "# no --time: the limit is the QOS' or the partition's own"


def _signal(job: Job) -> Iterator[str]:
    if job.orders.signal:
        name, _, seconds = job.orders.signal.partition("@")
        yield f"# {seconds} s ahead of the limit this script gets {name}, and hands it to the ranks."
        yield _sbatch("signal", f"B:{job.orders.signal}")
    if job.orders.requeue:
        yield "#SBATCH --requeue"
        yield "#SBATCH --open-mode=append"
