"""What Slurm says of jobs, as values: the texts of `scontrol`, and of `sacct` for those that it has forgotten."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

ENDED = (
    "COMPLETED",
    "FAILED",
    "CANCELLED",
    "TIMEOUT",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "DEADLINE",
    "BOOT_FAIL",
    "PREEMPTED",
)
SACCT_FIELDS = ("JobID", "JobName", "State", "ExitCode", "Reason", "NodeList", "Elapsed", "WorkDir")
_KEY = re.compile(r"(?:^|\s)([A-Z][A-Za-z0-9_/:]*)=")


@dataclass(frozen=True, slots=True, kw_only=True)
class JobState:
    """One job, or one task of an array. `code` is the program's, 128 and more for a signal; None until it ended."""

    id: str
    name: str
    state: str
    code: int | None
    reason: str = ""
    nodes: str = ""
    elapsed: str = ""
    output: str = ""

    @property
    def ended(self) -> bool:
        return self.state in ENDED


def read_scontrol(text: str) -> tuple[JobState, ...]:
    """The jobs of `scontrol --oneliner show job`."""
    return tuple(_of_record(_record(line)) for line in text.splitlines() if line.startswith("JobId="))


def _record(line: str) -> dict[str, str]:
    """`Key=value Key=value`, where values may have blanks."""
    marks = list(_KEY.finditer(line))
    ends = [mark.start() for mark in marks[1:]] + [len(line)]
    return {mark[1]: line[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True)}


def _of_record(record: dict[str, str]) -> JobState:
    array, task = record.get("ArrayJobId", ""), record.get("ArrayTaskId", "")
    state = record.get("JobState", "UNKNOWN")
    return JobState(
        id=f"{array}_{task}" if array and task else record["JobId"],
        name=record.get("JobName", ""),
        state=state,
        code=_code(state, record.get("ExitCode", "")),
        reason=_said(record.get("Reason", "")),
        nodes=_said(record.get("NodeList", "")),
        elapsed=record.get("RunTime", ""),
        output=record.get("StdOut", ""),
    )


def read_sacct(text: str) -> tuple[JobState, ...]:
    """The jobs of `sacct --parsable2 --noheader --allocations` with SACCT_FIELDS."""
    found = []
    for line in text.splitlines():
        fields = dict(zip(SACCT_FIELDS, line.split("|"), strict=False))
        if len(fields) < len(SACCT_FIELDS):
            continue
        state = fields["State"].partition(" ")[0]  # CANCELLED by 1000
        found.append(
            JobState(
                id=fields["JobID"],
                name=fields["JobName"],
                state=state,
                code=_code(state, fields["ExitCode"]),
                reason=_said(fields["Reason"]),
                nodes=_said(fields["NodeList"]),
                elapsed=fields["Elapsed"],
            )
        )
    return tuple(found)


def _code(state: str, text: str) -> int | None:
    """`CODE:SIGNAL`; what ended otherwise than by itself is never 0."""
    if state not in ENDED:
        return None
    found = re.fullmatch(r"(\d+):(\d+)", text)
    code, signal = (int(found[1]), int(found[2])) if found else (0, 0)
    if signal:
        return 128 + signal
    return code or (0 if state == "COMPLETED" else 1)


def _said(text: str) -> str:
    return "" if text in ("(null)", "None", "None assigned", "None,assigned") else text


def worst(jobs: Iterable[JobState]) -> int:
    """The exit code of all: that of the first that did not end with 0."""
    return next((job.code for job in jobs if job.code), 0)
