"""`sealift run|exec|shell|test`: Apptainer's flags, any engine.

Only what these commands need is imported: they stand in the path of every process that a job starts with them.
"""

from __future__ import annotations

import argparse
import sys

from sealift.core.event import Event, Said
from sealift.core.launch import LaunchPlan
from sealift.errors import UsageError

_VERBS = {"run": "run", "exec": "exec", "shell": "shell", "test": "test"}


def configure(parser: argparse.ArgumentParser, name: str) -> None:
    add = parser.add_argument
    add("--engine", default="auto", choices=("auto", "apptainer", "singularity", "embedded"), help="what runs it")
    add("-B", "--bind", action="append", default=[], metavar="SRC[:DST[:OPTS]]", help="show SRC inside as DST (ro, rw)")
    add("--env", action="append", default=[], metavar="K=V", help="set a variable inside")
    add("--env-file", action="append", default=[], metavar="FILE", help="set the variables of a file inside")
    add("-e", "--cleanenv", action="store_true", help="keep the host's variables out")
    add("-c", "--contain", action="store_true", help="an own /dev, /tmp and home")
    add("-C", "--containall", action="store_true", help="contain, and own PID and IPC namespaces and environment")
    add("--no-home", action="store_true", help="do not show the home folder inside")
    add("-H", "--home", metavar="SRC[:DST]", help="another home folder")
    add("--pwd", "--cwd", metavar="DIR", help="the working folder inside")
    add("--writable-tmpfs", action="store_true", help="let the image be written to, and forget it")
    add("--nv", action="store_true", help="show NVIDIA GPUs inside")
    add("--rocm", action="store_true", help="show AMD GPUs inside")
    add("--app", metavar="NAME", help="an app of the image (SCIF)")
    add("-v", "--verbose", action="store_true", help="show the exact command line handed over")
    add("-q", "--quiet", action="store_true", help="say nothing but errors")
    if name == "shell":
        add("-s", "--shell", metavar="PATH", help="the shell to open")
    add("image", metavar="IMAGE", help="x.sif, x.sqfs or a folder")
    wanted = {"exec": "CMD …", "test": "[ARG …]", "run": "[ARG …]", "shell": "[ARG …]"}[name]
    add("command", metavar=wanted, nargs=argparse.REMAINDER, help="what to run, with its arguments")


def execute(options: argparse.Namespace) -> int:
    from sealift.flows.run import parse_binds, run
    from sealift.system.caller import started_with

    if options.verb == "exec" and not options.command:
        raise UsageError("exec takes a command", hints=(f"sealift exec {options.image} ls /",))
    plan = LaunchPlan(
        image=options.image,
        action=_VERBS[options.verb],  # type: ignore[arg-type]  # the four keys above are the literal's values
        command=tuple(options.command),
        binds=tuple(bind for text in options.bind for bind in parse_binds(text)),
        env=_variables(options),
        env_files=tuple(options.env_file),
        pwd=options.pwd,
        clean_env=options.cleanenv,
        contain=options.contain,
        contain_all=options.containall,
        no_home=options.no_home,
        home=options.home,
        writable_tmpfs=options.writable_tmpfs,
        nv=options.nv,
        rocm=options.rocm,
        app=options.app,
        shell=getattr(options, "shell", None),
    )

    def take(event: Event) -> None:
        if isinstance(event, Said) and (event.level != "debug" or options.verbose) and not options.quiet:
            print(f"{event.level}: {event.text}" if event.level == "warning" else event.text, file=sys.stderr)

    return run(plan, engine=options.engine, environment=started_with(), events=take)


def _variables(options: argparse.Namespace) -> dict[str, str]:
    variables: dict[str, str] = {}
    for value in options.env:
        for pair in value.split(","):
            key, equals, text = pair.partition("=")
            if not equals:
                raise UsageError(f"`{pair}` is not K=V", hints=("--env OMP_NUM_THREADS=4",))
            variables[key] = text
    return variables
