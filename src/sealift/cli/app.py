"""The front door: finds the command, loads only its module, and turns every fault into a message and an exit code."""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn, Protocol, cast

from sealift import __version__


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """A verb, the module that declares and runs it, and its line in the overview."""

    name: str
    module: str
    summary: str


COMMANDS = (
    Command(name="build", module="build", summary="build an image from a definition file, an image or docker://…"),
    Command(name="pull", module="pull", summary="turn a registry's image into a SIF"),
    Command(name="run", module="run", summary="run the image's runscript"),
    Command(name="exec", module="run", summary="run a command in the image"),
    Command(name="shell", module="run", summary="open a shell in the image"),
    Command(name="test", module="run", summary="run the image's %test"),
    Command(name="inspect", module="inspection", summary="show what an image says of itself"),
    Command(name="sites", module="sites", summary="show what is known of the machines that images are meant for"),
    Command(name="doctor", module="doctor", summary="show what this host can do, and what mends the rest"),
    Command(name="cache", module="cache", summary="show, prune or verify the cache"),
)

EPILOG = """\
examples:
  sealift build hello.sif hello.def
  sealift pull ubuntu.sif docker://ubuntu:24.04
  sealift exec ubuntu.sif cat /etc/os-release
  sealift doctor
"""


class CommandModule(Protocol):
    """What every module of this folder offers to `main`."""

    def configure(self, parser: argparse.ArgumentParser, name: str) -> None: ...

    def execute(self, options: argparse.Namespace) -> int: ...


class Parser(argparse.ArgumentParser):
    """argparse with the error form of the rest of the program."""

    def error(self, message: str) -> NoReturn:
        print(f"error: {message}\nhint: {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)


def _overview() -> Parser:
    width = max(len(c.name) for c in COMMANDS)
    listing = "\n".join(f"  {c.name:<{width}}  {c.summary}" for c in COMMANDS)
    parser = Parser(
        prog="sealift",
        usage="sealift [--version] [--help] COMMAND …",
        description=f"Reproducible container images for supercomputers.\n\ncommands:\n{listing}",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"sealift {__version__}")
    return parser


def _unknown(name: str) -> int:
    import difflib

    close = difflib.get_close_matches(name, [c.name for c in COMMANDS], n=1)
    hint = f"did you mean `sealift {close[0]}`?" if close else "sealift --help"
    print(f"error: there is no command `{name}`\nhint: {hint}", file=sys.stderr)
    return 2


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code; docs/reference/exit-codes.md lists them."""
    _open_missing_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0].startswith("-"):
        if not arguments:
            _overview().print_help(sys.stderr)
            return 2
        _overview().parse_args(arguments)
        return 2
    command = next((c for c in COMMANDS if c.name == arguments[0]), None)
    if command is None:
        return _unknown(arguments[0])
    module = cast("CommandModule", importlib.import_module(f"sealift.cli.{command.module}"))
    parser = Parser(prog=f"sealift {command.name}", description=command.summary[0].upper() + command.summary[1:])
    module.configure(parser, command.name)
    # A command whose words are a list says so: argparse then lets flags stand between them.
    parse = parser.parse_intermixed_args if getattr(module, "INTERMIXED", False) else parser.parse_args
    options = parse(arguments[1:])
    options.verb = command.name
    return _guarded(module, options)


def _open_missing_streams() -> None:
    """Batch systems start programs with standard streams closed: the next file opened would take their place."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            opened = os.open(os.devnull, os.O_RDWR)
            if opened != number:
                os.dup2(opened, number)
                os.close(opened)
            os.set_inheritable(number, True)
            setattr(sys, name, open(number, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 -- lives as long as we


class Ended(KeyboardInterrupt):
    """A batch system or a terminal asked for the end: as Ctrl-C, and then this process ends by the same signal."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def end_gently() -> None:
    """Let SIGTERM and SIGHUP clean up as Ctrl-C does, where they are not ignored."""

    def end(number: int, _frame: object) -> None:
        raise Ended(number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, end)


def _guarded(module: CommandModule, options: argparse.Namespace) -> int:
    from sealift.cli.faults import show_fault
    from sealift.errors import HostError, SealiftError

    try:
        return module.execute(options)
    except SealiftError as error:
        show_fault(error)
        return error.exit_code
    except Ended as ended:
        print(f"ended by {signal.Signals(ended.number).name}", file=sys.stderr)
        sys.stderr.flush()
        signal.signal(ended.number, signal.SIG_DFL)
        os.kill(os.getpid(), ended.number)
        return 128 + ended.number
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing is wrong, and nothing more can be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except OSError as error:
        if error.errno == errno.ENOENT and not error.filename and not _has_working_folder():
            show_fault(HostError("the working folder was deleted", hints=("go somewhere else: cd",)))
            return HostError.exit_code
        from sealift.system.files import explain_oserror

        fault = explain_oserror(error, f"running `sealift {options.verb}`")
        show_fault(fault)
        return fault.exit_code


def _has_working_folder() -> bool:
    try:
        os.getcwd()
    except OSError:
        return False
    return True
