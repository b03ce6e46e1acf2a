"""The embedded engine in a job: one container a node, made by a shell script and joined by the ranks.

All ranks of a node share its user namespace: shared memory, CMA and xpmem work between them.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources

from sealift.core.launch import Bind
from sealift.jobs.image import each_node
from sealift.jobs.job import Job
from sealift.jobs.parts import heredoc, part
from sealift.jobs.ranks import surroundings
from sealift.jobs.words import command

SHOWN = ("/tmp", "/var/tmp")  # noqa: S108 -- the script binds these itself


def containers(job: Job) -> tuple[str, ...]:
    """The lines that start the nodes' containers and wait until all are there."""
    return tuple(_containers(job)) if job.engine == "embedded" else ()


def _containers(job: Job) -> Iterator[str]:
    yield "# A container on each node, before its ranks start."
    yield from heredoc("node", node(job))
    yield f"export SEALIFT_OFFSET={job.image.offset}"
    yield f"coproc CONTAINERS {{ exec {command((*each_node(), '--kill-on-bad-exit=1'))} \\"
    yield '    bash -c "$node" node; }'
    yield "holder=$CONTAINERS_PID hold=${CONTAINERS[1]}"
    yield "containers=()"
    yield "for ((number = 0; number < SLURM_NNODES; number++)); do"
    yield '    read -r word place first second <&"${CONTAINERS[0]}" || word=none'
    yield '    [[ $word == ready ]] || stop "a node has no container; what it said stands above"'
    yield "    containers[place]=$first:$second"
    yield "done"
    yield 'export SEALIFT_CONTAINERS="${containers[*]}"'


def ending(job: Job) -> tuple[str, ...]:
    """The lines that end the containers: their standard input does."""
    if job.engine != "embedded":
        return ()
    return ("exec {hold}>&-", 'wait "$holder"')


def node(job: Job) -> tuple[str, ...]:
    """The lines of a node's script."""
    binds = "\n".join(f"    {line}" for line in _binds(job))
    return (*_driver(job), *part("node").replace("#@BINDS@", binds).splitlines())


def _driver(job: Job) -> tuple[str, ...]:
    """What of a GPU's driver belongs inside, as data."""
    if not (job.plan.nv or job.plan.rocm):
        return ()
    name = "nvidia" if job.plan.nv else "amd"
    text = resources.files("sealift").joinpath(f"data/engines/{name}.txt").read_text("utf-8")
    kinds = ("library", "program", "file", "socket")
    return tuple(heredoc("driver", tuple(line for line in text.splitlines() if line.startswith(kinds))))


def _binds(job: Job) -> Iterator[str]:
    for bind in surroundings(job).binds:
        if bind.destination in SHOWN:
            continue
        # What the user asked for has to be there.
        yield _bind(bind, asked=bind in job.plan.binds or bind in job.wireup.binds)
    if job.plan.nv or job.plan.rocm:
        yield 'bind_driver "$driver"'


def _bind(bind: Bind, *, asked: bool) -> str:
    words = ["bind", bind.source]
    mode = "ro" if bind.read_only else "" if asked else "try"
    if bind.destination != bind.source or mode:
        words.append(bind.destination)
    if mode:
        words.append(mode)
    return command(words, indent=4)
