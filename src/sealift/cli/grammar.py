"""What can stand on Sealift's command line, as values: every command, its flags, its words, and what they may be.

Read off the very parsers that read a command line, so that shells' completions and pages cannot tell of other flags.
"""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal

from sealift.cli.app import COMMANDS
from sealift.cli.arguments import Parser

Kind = Literal["image", "recipe", "profile", "file", "bind", "folder", "site", "template", "exercise", "kernel", "rule"]
"""What a person would pick from; a shell that completes finds the files by their endings."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Values:
    """What may stand in one place: things of these kinds, or these very words. Neither: free text."""

    kinds: tuple[Kind, ...] = ()
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    names: tuple[str, ...]
    help: str
    metavar: str = ""
    """Empty for a switch, which takes no value."""
    values: Values = Values()
    may_lack_value: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A word that is no flag; the last one may be `repeated`."""

    metavar: str
    help: str
    values: Values
    repeated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command as it is typed behind `sealift`: (`kernel`, `install`)."""

    words: tuple[str, ...]
    summary: str
    options: tuple[Option, ...]
    places: tuple[Place, ...] = ()
    below: tuple[str, ...] = ()
    """Words that lead to a command below this one: `install`, `list`, `remove`."""
    starts_a_program: bool = False
    """What stands behind the first place belongs to a program, flags and all."""


_SIF_ENGINES = ("apptainer", "singularity", "embedded")
_ENGINES = (*_SIF_ENGINES, "docker", "podman", "podman-hpc", "shifter", "charliecloud", "enroot", "pyxis", "edf")
_BY_METAVAR: dict[str, tuple[Kind, ...]] = {
    "IMAGE": ("image",),
    "SPEC": ("image", "recipe"),
    "[IMAGE] SPEC": ("image",),
    "[ID] FILE": ("image",),
    "FILE": ("file",),
    "DIR": ("folder",),
    "DIR[:ro]": ("folder",),
    "SRC[:DST]": ("bind",),
    "SRC[:DST[:ro]]": ("bind",),
    "SRC[:DST[:ro|rw]]": ("bind",),
    "PATH": ("file",),
}
_BY_NAME: dict[str, Values] = {
    "site": Values(kinds=("site",)),
    "arch": Values(words=("amd64", "arm64", "ppc64le", "s390x", "riscv64")),
    "engine": Values(words=("auto", *_ENGINES)),
    "communication": Values(words=("mpi", "gpu-mpi", "nccl", "openmpi")),
    "no-mount": Values(words=("proc", "sys", "dev", "devpts", "home", "tmp", "cwd")),
    "mpi-model": Values(words=("bind", "hybrid", "container", "injected")),
}
_OF_COMMAND: dict[tuple[str, str], Values] = {
    ("lint", "files"): Values(kinds=("recipe",)),
    ("lint", "select"): Values(kinds=("rule",)),
    ("lint", "ignore"): Values(kinds=("rule",)),
    ("lint", "explain"): Values(kinds=("rule",)),
    ("parse", "file"): Values(kinds=("recipe",)),
    ("new", "name"): Values(kinds=("template",)),
    ("sites", "words"): Values(kinds=("site", "profile"), words=("add", "remove")),
    ("learn", "words"): Values(
        kinds=("exercise",), words=("list", "start", "check", "hint", "solution", "reset", "watch")
    ),
    ("learn", "course"): Values(kinds=("folder",)),
    ("learn", "engine"): Values(words=("auto", *_SIF_ENGINES)),
    ("job", "kind"): Values(words=("single", "mpi", "gpu-mpi", "pytorch", "pytorch-tasks", "jax")),
    ("job", "stage"): Values(words=("auto", "node", "shared")),
    ("job", "twin"): Values(kinds=("image",)),
    ("job", "engine"): Values(words=("auto", *_SIF_ENGINES, "podman-hpc", "shifter")),
    ("check", "engine"): Values(words=_ENGINES),
    ("kernel install", "engine"): Values(words=(*_SIF_ENGINES, "docker", "podman", "podman-hpc", "shifter")),
    ("kernel remove", "name"): Values(kinds=("kernel",)),
    ("push", "for"): Values(words=_ENGINES),
}
"""By a command, and a flag's long name or a place's field: what its placeholder alone does not say."""


def all_commands() -> tuple[Command, ...]:
    """Every command in the order of the overview; of `kernel` and its like each one below, too."""
    return tuple(command for verb in COMMANDS for command in commands_of(verb))


def commands_of(verb: str) -> tuple[Command, ...]:
    """The command `verb` and those below it."""
    module_name, summary = COMMANDS[verb]
    if module_name == "run":
        return (_of_table(verb, summary),)
    module = importlib.import_module(f"sealift.cli.{module_name}")
    module.configure(parser := Parser(prog=f"sealift {verb}"), verb)
    if verb != "job":
        return tuple(_of_parser(parser, (verb,), summary))
    # It parts its words by hand: the command below it is a word where else an image stands.
    module.configure_status(status := Parser(prog="sealift job status"))
    (job,), (below,) = _of_parser(parser, (verb,), summary), _of_parser(status, (verb, "status"), module.STATUS)
    return (replace(job, below=("status",)), below)


def _of_table(verb: str, summary: str) -> Command:
    """`run` and its like, whose flags are a table of their own."""
    from sealift.cli.runflags import RUN_FLAGS

    options = tuple(
        Option(
            names=(*([f"-{flag.short}"] if flag.short else []), f"--{flag.name}"),
            help=flag.help,
            metavar="" if flag.kind == "switch" else flag.metavar or flag.kind.upper(),
            values=Values() if flag.kind == "switch" else _values(verb, flag.name, flag.metavar),
        )
        for flag in RUN_FLAGS
        if flag.help and (not flag.verbs or verb in flag.verbs)
    )
    image = Place(metavar="IMAGE", help="the image", values=Values(kinds=("image",)))
    return Command(words=(verb,), summary=summary, options=options, places=(image,), starts_a_program=True)


def _of_parser(parser: Parser, words: tuple[str, ...], summary: str) -> Iterable[Command]:
    name = " ".join(words)
    options, places, below = [], [], ()
    deeper: list[Command] = []
    for action in parser.actions():
        if isinstance(action.choices, dict):
            below = tuple(action.choices)
            for word, under in action.choices.items():
                deeper += _of_parser(under, (*words, word), under.description or "")
        elif action.option_strings:
            # A flag that is refused is known for its message's sake; nobody wants to be led to it.
            if not (action.help or "").startswith("refused") and action.help != argparse.SUPPRESS:
                options.append(_option(name, action))
        else:
            places.append(_place(name, action))
    yield Command(words=words, summary=summary, options=tuple(options), places=tuple(places), below=below)
    yield from deeper


def _option(command: str, action: argparse.Action) -> Option:
    takes = action.nargs != 0
    long = max(action.option_strings, key=len).lstrip("-")
    return Option(
        names=tuple(action.option_strings),
        help=(action.help or "").replace("%%", "%"),
        metavar=(_metavar(action) if takes else ""),
        values=_values(command, long, _metavar(action), action.choices) if takes else Values(),
        may_lack_value=action.nargs == "?",
    )


def _place(command: str, action: argparse.Action) -> Place:
    return Place(
        metavar=_metavar(action),
        help=(action.help or "").replace("%%", "%"),
        values=_values(command, action.dest, _metavar(action), action.choices),
        repeated=action.nargs in ("*", "+"),
    )


def _metavar(action: argparse.Action) -> str:
    return str(action.metavar or action.dest.upper())


def _values(command: str, name: str, metavar: str, choices: Iterable[str] | None = None) -> Values:
    if choices is not None:
        return Values(words=tuple(map(str, choices)))
    return _OF_COMMAND.get((command, name)) or _BY_NAME.get(name) or Values(kinds=_BY_METAVAR.get(metavar, ()))
