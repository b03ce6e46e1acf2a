"""What Slurm says of jobs: texts of real ones, and what is made of them."""

from __future__ import annotations

import pytest

from sealift.jobs.status import JobState, read_sacct, read_scontrol, worst

# Slurm 22.05, shortened where nothing is read
FAILED = (
    "JobId=7 JobName=a name UserId=u(1003) GroupId=u(1003) MCS_label=N/A JobState=FAILED Reason=NonZeroExitCode "
    "Dependency=(null) Requeue=1 Restarts=0 BatchFlag=1 Reboot=0 ExitCode=7:0 RunTime=00:00:02 TimeLimit=00:30:00 "
    "NodeList=nid[001-003] BatchHost=nid001 NumNodes=3 Command=/home/u/a file=1.sh WorkDir=/home/u "
    "StdErr=/home/u/app-7.out StdIn=/dev/null StdOut=/home/u/app-7.out Power="
)
PENDING = (
    "JobId=11 ArrayJobId=9 ArrayTaskId=3-5%2 JobName=app JobState=PENDING Reason=Resources ExitCode=0:0 "
    "RunTime=00:00:00 NodeList=(null) StdOut=/home/u/app-9_4294967294.out"
)
TASK = (
    "JobId=10 ArrayJobId=9 ArrayTaskId=2 JobName=app JobState=CANCELLED Reason=None ExitCode=0:15 "
    "RunTime=00:00:01 NodeList=nid001"
)


def test_scontrols_jobs_are_read() -> None:
    assert read_scontrol(f"{FAILED}\n{PENDING}\n{TASK}\n") == (
        JobState(
            id="7",
            name="a name",
            state="FAILED",
            code=7,
            reason="NonZeroExitCode",
            nodes="nid[001-003]",
            elapsed="00:00:02",
            output="/home/u/app-7.out",
        ),
        JobState(
            id="9_3-5%2",
            name="app",
            state="PENDING",
            code=None,
            reason="Resources",
            elapsed="00:00:00",
            output="/home/u/app-9_4294967294.out",
        ),
        JobState(id="9_2", name="app", state="CANCELLED", code=143, nodes="nid001", elapsed="00:00:01"),
    )


def test_saccts_jobs_are_read() -> None:
    text = (
        "7|a name|CANCELLED by 1003|0:0|None|nid001|00:00:02|/home/u\n"
        "8|app|COMPLETED|0:0||nid[001-002]|00:01:00|/home/u\n\nodd\n"
    )
    assert read_sacct(text) == (
        JobState(id="7", name="a name", state="CANCELLED", code=1, nodes="nid001", elapsed="00:00:02"),
        JobState(id="8", name="app", state="COMPLETED", code=0, nodes="nid[001-002]", elapsed="00:01:00"),
    )


@pytest.mark.parametrize(
    ("state", "exit_code", "code"),
    [
        ("COMPLETED", "0:0", 0),
        ("FAILED", "3:0", 3),
        ("FAILED", "0:11", 139),
        ("TIMEOUT", "0:0", 1),
        ("NODE_FAIL", "", 1),
        ("RUNNING", "0:0", None),
        ("COMPLETING", "0:0", None),
    ],
)
def test_only_what_ended_well_is_zero(state: str, exit_code: str, code: int | None) -> None:
    (found,) = read_scontrol(f"JobId=1 JobName=x JobState={state} ExitCode={exit_code}")
    assert (found.code, found.ended) == (code, code is not None)


def test_the_code_of_many_is_that_of_the_first_that_failed() -> None:
    jobs = [JobState(id=str(code), name="", state="FAILED", code=code) for code in (0, 4, 2)]
    assert worst(jobs) == 4
    assert worst(jobs[:1]) == 0
    assert worst([]) == 0
