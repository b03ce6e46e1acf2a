"""`sealift run|exec|shell|test`: Apptainer's flags, any engine.

Only what these commands need is imported: they stand in the path of every process that a job starts with them.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

from sealift.cli.flags import FlagError, Parsed, parse
from sealift.cli.runflags import RUN_FLAGS
from sealift.core.event import Event, Said
from sealift.core.launch import COMMUNICATIONS, LaunchPlan

_WANTED = {"exec": "IMAGE CMD …", "test": "IMAGE [ARG …]", "run": "IMAGE [ARG …]", "shell": "IMAGE [ARG …]"}
_SAID = {
    "run": "Run the image's runscript.",
    "exec": "Run a command in the image.",
    "shell": "Open a shell in the image.",
    "test": "Run the image's %test.",
}
_OURS = frozenset(("engine", "site", "safe", "print", "quiet", "verbose", "help", "authfile", "insecure", "cache")) | {
    "engine option",
    "hint",
    "nothing",
}


def run_command(
    verb: str,
    arguments: Sequence[str],
    *,
    command: str = "sealift",
    engine: str = "auto",
    quiet: bool = False,
    verbose: bool = False,
) -> int:
    """Parse and run; what stands behind IMAGE belongs to the program. `command` is what the user called."""
    from sealift.flows.run import run
    from sealift.system.caller import started_with

    parsed = parse(RUN_FLAGS, arguments, verb=verb, command=command)
    if parsed.value("help"):
        print(help_text(verb, command))
        return 0
    plan = launch_plan(verb, parsed, command=command)
    authfile = str(parsed.value("authfile") or "")
    if authfile and plan.image.startswith(("docker://", "oras://")):
        from sealift.cli.imageflags import check_authfile

        check_authfile(authfile)
    verbose, quiet = verbose or bool(parsed.value("verbose")), quiet or bool(parsed.value("quiet"))

    def take(event: Event) -> None:
        if isinstance(event, Said) and (event.level != "debug" or verbose) and not quiet:
            print(f"{event.level}: {event.text}" if event.level == "warning" else event.text, file=sys.stderr)

    return run(
        plan,
        engine=str(parsed.value("engine") or engine),
        environment=started_with(),
        insecure=bool(parsed.value("insecure")),
        authfile=authfile,
        site=str(parsed.value("site") or ""),
        safe=bool(parsed.value("safe")),
        show=print if parsed.value("print") else None,
        events=take,
    )


def launch_plan(verb: str, parsed: Parsed, *, command: str = "sealift") -> LaunchPlan:
    """The plan that a parsed command line means; FlagError where it lacks an image or a program."""
    from sealift.flows.run import parse_binds

    if not parsed.rest:
        raise FlagError(f"{verb} wants {_WANTED[verb]}", hints=(f"{command} {verb} --help",))
    image, *program = parsed.rest
    if verb == "exec":
        _check_program(image, program, parsed, command)
    fields: dict[str, Any] = {}
    for field in dict.fromkeys(use.flag.field for use in parsed.uses if use.flag.field not in _OURS):
        fields[field] = parsed.value(field)
    if "binds" in fields:
        fields["binds"] = tuple(bind for text in fields["binds"] for bind in parse_binds(text))
    if (talk := fields.get("communication", "none")) not in COMMUNICATIONS:
        raise FlagError(f"`--communication {talk}` is not known", hints=(f"one of {', '.join(COMMUNICATIONS)}",))
    return LaunchPlan(
        image=image,
        action=verb,  # type: ignore[arg-type]  # the caller's verb is one of ACTIONS
        command=tuple(program),
        engine_options=_further(parsed, "engine option"),
        engine_hints=_further(parsed, "hint"),
        **fields,
    )


def _further(parsed: Parsed, field: str) -> tuple[str, ...]:
    """Options of this field as words for Apptainer."""
    return tuple(
        f"--{use.flag.name}" if use.flag.kind == "switch" and use.value == "true" else f"--{use.flag.name}={use.value}"
        for use in parsed.uses
        if use.flag.field == field
    )


def _check_program(image: str, program: Sequence[str], parsed: Parsed, command: str) -> None:
    if not program:
        raise FlagError("exec takes a command", hints=(f"{command} exec {image} ls /",))
    known = {f"--{flag.name}" for flag in RUN_FLAGS}
    if program[0].partition("=")[0] in known:
        before = " ".join([command, "exec", *(f"--{use.flag.name}" for use in parsed.uses), program[0], image, "…"])
        raise FlagError(
            f"`{program[0]}` stands behind the image, where it would be the program; flags stand before it",
            hints=(before,),
        )


def help_text(verb: str, command: str = "sealift") -> str:
    """What `--help` prints."""
    lines = [f"usage: {command} {verb} [FLAG …] {_WANTED[verb]}", "", _SAID[verb]]
    lines += ["IMAGE is x.sif, x.sqfs, a folder, docker://…, oras://…, oci:DIR[:TAG] or oci-archive:FILE[:TAG].", ""]
    shown = [flag for flag in RUN_FLAGS if flag.help and (not flag.verbs or verb in flag.verbs)]
    for flag in shown:
        short = f"-{flag.short}, " if flag.short else "    "
        lines.append(f"  {f'{short}--{flag.name} {flag.metavar}'.rstrip():<34}  {flag.help}")
    return "\n".join(lines)
