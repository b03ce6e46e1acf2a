"""The story of a job behind its script: it is sent, waited for, and asked about."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping

from sealift.core.event import Events, Said, ignore
from sealift.errors import HostError, ToolError, UsageError
from sealift.jobs.status import SACCT_FIELDS, JobState, read_sacct, read_scontrol, worst

_FORGOTTEN = "Invalid job id"
"""What `scontrol` says of a job that ended some minutes ago."""


def submit(text: str, environment: Mapping[str, str]) -> str:
    """Send a script; the job's number. HostError where there is no Slurm, ToolError with its words where it refuses."""
    out = _slurm(("sbatch", "--parsable"), environment, stdin=text.encode())
    return out.strip().partition(";")[0]


def status(job: str, environment: Mapping[str, str]) -> tuple[JobState, ...]:
    """What Slurm knows of a job (of all of one's own where it is empty), the tasks of an array one by one.

    HostError where it knows nothing, ToolError where it does not answer.
    """
    if not job:
        listed = _slurm(("squeue", "--noheader", "--me", "--states=all", "--format=%A"), environment).split()
        return tuple(state for each in dict.fromkeys(listed) for state in _known(each, environment))
    if not re.fullmatch(r"\d+(_\d+)?", job):
        raise UsageError(f"`{job}` is not a job's number", hints=("sealift job status 1234",))
    found = _known(job, environment)
    if not found:
        raise HostError(f"Slurm knows no job {job} any more", hints=("what is there: sealift job status",))
    return found


def _known(job: str, environment: Mapping[str, str]) -> tuple[JobState, ...]:
    try:
        return read_scontrol(_slurm(("scontrol", "--oneliner", "show", "job", job), environment))
    except ToolError as error:
        if _FORGOTTEN not in error.tail:
            raise
    fields = ",".join(f"{name}%200" if name in ("JobName", "NodeList", "WorkDir") else name for name in SACCT_FIELDS)
    try:
        words = ("sacct", "--parsable2", "--noheader", "--allocations", f"--jobs={job}", f"--format={fields}")
        return read_sacct(_slurm(words, environment))
    except HostError:
        return ()  # a cluster without accounting


def wait(
    job: str,
    environment: Mapping[str, str],
    *,
    events: Events = ignore,
    sleep: Callable[[float], None] = time.sleep,
    longest: float = 15.0,
) -> tuple[JobState, ...]:
    """Wait for the end of a job, or of all tasks of an array; asks Slurm seldom. Each change of state is an event.

    A Slurm that does not answer is asked again: jobs go on while it is started anew.
    """
    pause, before = 0.5, ""
    while True:
        states: tuple[JobState, ...] = ()
        try:
            states = status(job, environment)
            told = [f"{state.state} ({state.reason})" if state.reason else state.state for state in states]
            words = ", ".join(dict.fromkeys(told))
        except ToolError as error:
            words = f"Slurm does not answer: {error.tail.splitlines()[-1] if error.tail else error.message}"
        if words != before:
            events(Said(text=f"job {job}: {words}"))
            before = words
        if states and all(state.ended for state in states):
            return states
        sleep(pause)
        pause = min(pause * 1.5, longest)


def _slurm(argv: tuple[str, ...], environment: Mapping[str, str], *, stdin: bytes = b"") -> str:
    from sealift.system.process import find_program, run

    program = find_program(argv[0], path=environment.get("PATH"))
    if program is None:
        raise HostError(
            f"`{argv[0]}` is not installed: this is no machine with Slurm",
            hints=("print the script: leave out --submit",),
        )
    return run((program, *argv[1:]), env=environment, stdin=stdin).out.decode(errors="replace")


__all__ = ["status", "submit", "wait", "worst"]
