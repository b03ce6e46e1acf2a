"""`sealift job`: writes a job's batch script, sends it, waits for it, and tells how jobs are."""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import json
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sealift.errors import UsageError

if TYPE_CHECKING:
    from sealift.core.event import Events
    from sealift.flows.job import JobRequest

EPILOG = """\
The script goes to standard output and needs no Sealift where it runs. `$NAME` in -B and --env is left to the job.

examples:
  sealift job app.sif --site slurm --nodes 2 --kind mpi --tasks-per-node 64 -- ./app > app.sbatch
  sealift job docker://me/app:1 --site perlmutter --nodes 4 --kind pytorch --time 2:00:00 -- train.py --data /data
  sealift job app.sif --site slurm --array 0-9 --submit -- sh -c './run $SLURM_ARRAY_TASK_ID'
  sealift job app.sif --site slurm --submit --wait -- ./app && echo done
  sealift job status 1234
"""


def run_command(_verb: str, words: Sequence[str]) -> int:
    """Everything behind `--` belongs to the program, whatever it looks like."""
    from sealift.cli.arguments import Parser

    head, command = list(words), None
    if "--" in head:
        place = head.index("--")
        head, command = head[:place], tuple(head[place + 1 :])
    if head[:1] == ["status"]:
        parser = Parser(prog="sealift job status", description=STATUS)
        configure_status(parser)
        return _status(parser.parse_args(head[1:]))
    parser = Parser(prog="sealift job", description="Write a job's batch script, and send it", usage=_USAGE)
    configure(parser, "job")
    options = parser.parse_args(head)
    if command == ():
        raise UsageError("no program stands behind `--`", hints=("sealift job IMAGE … -- PROGRAM",))
    return _job(options, command or ())


_USAGE = "sealift job IMAGE [--site NAME] [FLAG …] [-- CMD …]\n       sealift job status [ID] [--json]"
STATUS = "Show a job, or all of one's own: state, exit code, reason, nodes, where its output lies"


def configure(parser: argparse.ArgumentParser, _name: str) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = EPILOG
    add = parser.add_argument
    add("image", metavar="IMAGE", help="a SIF or squashfs; docker://… or podman-hpc:NAME where the engine is")
    add("--site", default="", metavar="NAME", help="for which machine (sealift sites); this one where it is known")
    add("--kind", default="single", help="single, mpi, gpu-mpi, pytorch (torchrun), pytorch-tasks or jax")
    add("--engine", default="auto", help="auto, apptainer, singularity, embedded, podman-hpc or shifter")
    group = parser.add_argument_group("Slurm")
    add = group.add_argument
    add("--nodes", "-N", type=int, default=1, metavar="N")
    add("--tasks-per-node", "--ntasks-per-node", type=int, metavar="N", help="ranks; of torchrun the workers")
    add("--gpus-per-node", type=int, metavar="N", help="all of a node's where left out")
    add("--cpus-per-task", "-c", type=int, metavar="N", help="a node's, parted, where left out")
    add("--time", "-t", default="", metavar="TIME")
    add("--account", "-A", default="", metavar="NAME")
    add("--qos", "-q", default="", metavar="NAME")
    add("--partition", "-p", default="", metavar="NAME")
    add("--constraint", "-C", default="", metavar="LIST")
    add("--array", "-a", default="", metavar="LIST", help="$SLURM_ARRAY_TASK_ID tells the tasks apart")
    add("--name", "-J", default="", metavar="NAME", help="the image's where left out")
    add("--output", "-o", default="", metavar="FILE", help="of the job: %%x-%%j.out, of an array %%x-%%A_%%a.out")
    add("--signal", default="", metavar="NAME@SECONDS", help="told to the ranks so long ahead of the time limit")
    add("--requeue", action="store_true", help="once more when that signal came and the program did not end with 0")
    group = parser.add_argument_group("inside")
    add = group.add_argument
    add("--bind", "-B", action="append", default=[], metavar="SRC[:DST[:ro]]", help="show SRC inside as DST")
    add("--env", action="append", default=[], metavar="K=V", help="set a variable")
    add("--pwd", metavar="DIR", help="the working folder, other than the one from which the job is sent")
    add("--stage", default="auto", help="shared: the file as it lies; node: a copy on each node; auto")
    add("--twin", default="", metavar="FILE", help="the SIF of the build that docker://… is: looked into for its MPI")
    add("--mpi-model", choices=("bind", "hybrid", "container", "injected"), help="whose MPI, other than the site's way")
    add("--no-https", action="store_true", help="talk plain HTTP to the registry of docker://…")
    group = parser.add_argument_group("sending")
    add = group.add_argument
    add("--submit", action="store_true", help="send it; its number goes to standard output, not the script")
    add("--wait", action="store_true", help="with --submit: wait, and end with the job's exit code")


def _job(options: argparse.Namespace, command: tuple[str, ...]) -> int:
    from sealift.cli.progress import drawn
    from sealift.flows import slurm
    from sealift.flows.job import written
    from sealift.system.process import environment

    if options.wait and not options.submit:
        raise UsageError("`--wait` waits for a job that `--submit` sends", hints=("--submit --wait",))
    env = environment()
    with drawn() as events:
        text = written(_request(options, command, env, events))
        if not options.submit:
            print(text, end="")
            return 0
        number = slurm.submit(text, env)
        print(number, flush=True)
        if not options.wait:
            return 0
        try:
            return slurm.worst(slurm.wait(number, env, events=events))
        except KeyboardInterrupt:
            print(f"job {number} goes on; end it: scancel {number}", file=sys.stderr)
            raise


def _request(
    options: argparse.Namespace, command: tuple[str, ...], env: Mapping[str, str], events: Events
) -> JobRequest:
    from sealift.cli.arguments import read_variables
    from sealift.flows.job import JobRequest, Wish

    fields = {field.name: getattr(options, field.name) for field in dataclasses.fields(Wish)}
    return JobRequest(
        image=options.image,
        site=options.site,
        environment=env,
        command=command,
        engine=options.engine,
        wish=Wish(**fields),
        binds=tuple(options.bind),
        env=read_variables(options.env),
        pwd=options.pwd,
        stage=options.stage,
        twin=options.twin,
        mpi_model=options.mpi_model,
        insecure=options.no_https,
        today=dt.datetime.now(tz=dt.UTC).date().isoformat(),
        events=events,
    )


# What became of it


def configure_status(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", default="", metavar="ID", help="a job's number; all of one's own without it")
    parser.add_argument("--json", action="store_true", help="print as JSON")


def _status(options: argparse.Namespace) -> int:
    from sealift.flows.slurm import status
    from sealift.system.process import environment

    states = status(options.id, environment())
    if options.json:
        print(json.dumps([dataclasses.asdict(state) for state in states], indent=2))
        return 0
    if not states:
        print("no jobs", file=sys.stderr)
        return 0
    rows = [("JOB", "NAME", "STATE", "CODE", "REASON", "NODES", "TIME", "OUTPUT")]
    for state in states:
        code = "" if state.code is None else str(state.code)
        rows.append((state.id, state.name, state.state, code, state.reason, state.nodes, state.elapsed, state.output))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    return 0
