"""Asking Slurm of jobs: what is asked when one answer fails, and waiting; programs in Slurm's place answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealift.core.event import Event, Said
from sealift.errors import HostError, ToolError
from sealift.flows.slurm import status, wait
from sealift.jobs.status import JobState

SILENT = "echo 'slurm_load_jobs error: Unable to contact slurm controller (connect failure)' >&2; exit 1"
UNKNOWN = "echo 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1"


@pytest.fixture
def slurms(tmp_path: Path):
    def make(**programs: str) -> dict[str, str]:
        for name, body in programs.items():
            (tmp_path / name).write_text(f"#!/bin/sh\n{body}\n")
            (tmp_path / name).chmod(0o755)
        return {"PATH": f"{tmp_path}:/usr/bin:/bin"}

    return make


def test_a_job_that_slurm_forgot_is_in_the_accounts(slurms, tmp_path: Path) -> None:
    listed = f'echo "$@" >{tmp_path}/asked; echo "7|app|FAILED|3:0|None|nid001|00:00:02|/home/u"'
    env = slurms(scontrol=UNKNOWN, sacct=listed)
    assert status("7", env) == (
        JobState(id="7", name="app", state="FAILED", code=3, nodes="nid001", elapsed="00:00:02"),
    )
    assert (tmp_path / "asked").read_text() == (
        "--parsable2 --noheader --allocations --jobs=7 "
        "--format=JobID,JobName%200,State,ExitCode,Reason,NodeList%200,Elapsed,WorkDir%200\n"
    )


def test_all_of_ones_own_are_those_that_ended_a_while_ago_too(slurms, tmp_path: Path) -> None:
    env = slurms(
        squeue=f'echo "$@" >{tmp_path}/asked; echo 7; echo 8',
        scontrol='case $4 in 7) s="COMPLETED" ;; *) s="RUNNING" ;; esac; echo "JobId=$4 JobState=$s ExitCode=0:0"',
    )
    assert status("", env) == (
        JobState(id="7", name="", state="COMPLETED", code=0),
        JobState(id="8", name="", state="RUNNING", code=None),
    )
    assert (tmp_path / "asked").read_text() == "--noheader --me --states=all --format=%A\n"


def test_nobody_has_jobs(slurms, sealift, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", slurms(squeue="true")["PATH"])
    done = sealift("job", "status")
    assert (done.code, done.out, done.err) == (0, "", "no jobs\n")


@pytest.mark.parametrize("sacct", [UNKNOWN, "true"])
def test_a_job_that_nobody_knows(slurms, sacct: str) -> None:
    with pytest.raises(HostError) as raised:
        status("7", slurms(scontrol=UNKNOWN, sacct=sacct))
    assert raised.value.message == "Slurm knows no job 7 any more"


def test_a_slurm_that_does_not_answer_knows_the_job_all_the_same(slurms) -> None:
    env = slurms(scontrol=SILENT, sacct="true")
    with pytest.raises(ToolError) as raised:
        status("7", env)
    assert raised.value.tail == "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"


def test_waiting_outlives_a_slurm_that_is_started_anew(slurms, tmp_path: Path) -> None:
    said = f"""
n=$(cat {tmp_path}/n 2>/dev/null || echo 0); echo $((n + 1)) >{tmp_path}/n
case $n in
    0) echo "JobId=7 JobState=RUNNING ExitCode=0:0" ;;
    1 | 2) {SILENT} ;;
    *) echo "JobId=7 JobState=FAILED ExitCode=3:0" ;;
esac
"""
    events: list[Event] = []
    ended = wait("7", slurms(scontrol=said), events=events.append, sleep=lambda _: None)
    assert [(state.state, state.code) for state in ended] == [("FAILED", 3)]
    assert events == [
        Said(text="job 7: RUNNING"),
        Said(
            text="job 7: Slurm does not answer: "
            "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
        ),
        Said(text="job 7: FAILED"),
    ]


def test_waiting_asks_less_and_less_often_and_tells_each_change_once(slurms, tmp_path: Path) -> None:
    """Three questions find it pending, two running; then it has ended."""
    said = f"""
n=$(cat {tmp_path}/n 2>/dev/null || echo 0); echo $((n + 1)) >{tmp_path}/n
case $n in
    0 | 1 | 2) s="PENDING Reason=Priority" ;;
    3 | 4) s="RUNNING Reason=None" ;;
    *) s="COMPLETED Reason=None" ;;
esac
echo "JobId=7 JobName=app JobState=$s ExitCode=0:0"
"""
    pauses: list[float] = []
    events: list[Event] = []
    ended = wait("7", slurms(scontrol=said), events=events.append, sleep=pauses.append, longest=2.0)
    assert [(state.state, state.code) for state in ended] == [("COMPLETED", 0)]
    assert pauses == [0.5, 0.75, 1.125, 1.6875, 2.0]
    assert events == [
        Said(text="job 7: PENDING (Priority)"),
        Said(text="job 7: RUNNING"),
        Said(text="job 7: COMPLETED"),
    ]
