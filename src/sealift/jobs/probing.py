"""Two ranks ahead of all: do they find each other? If not, the job stops with the reason.

Ranks that were started in another protocol than their MPI speaks calculate the whole problem once each, and end well.
"""

from __future__ import annotations

from collections.abc import Iterator

from sealift.jobs import kinds
from sealift.jobs.job import Job
from sealift.jobs.parts import heredoc
from sealift.jobs.words import at_run_time, command, quoted

TASKS = 2
MINUTES = 3


def probing(job: Job) -> tuple[str, ...]:
    """The lines of the probe; none where there is one rank only, or none can be made."""
    return tuple(_probing(job)) if job.probe is not None and job.tasks >= TASKS else ()


def _probing(job: Job) -> Iterator[str]:
    assert job.probe is not None
    yield "# Two ranks first: do they find each other? If not, each would calculate the whole and end without an error."
    yield from heredoc("probe", tuple(job.probe.program.decode().splitlines()))
    nodes = min(job.orders.nodes, TASKS)
    words = kinds.step_options(job, nodes=nodes, tasks_per_node=TASKS // nodes)
    call = command((*words, "--kill-on-bad-exit=0", f"--time={MINUTES}"))
    inside = command(job.probe.command_by_text(at_run_time("probe"), f"tasks={TASKS}"), indent=4)
    yield f'found=$(srun {call} \\\n    bash -c "$rank" rank {inside})'
    yield "code=$?"
    yield "case $code in"
    yield "    0) ;;"
    yield f"    3) stop {quoted(job.why_alone)} ;;"
    yield '    4) stop "two ranks add up wrongly: $found" ;;'
    yield '    5) stop "the MPI of the image cannot be loaded inside" ;;'
    yield '    *) stop "two ranks do not come up (exit code $code): what they said stands above" ;;'
    yield "esac"
