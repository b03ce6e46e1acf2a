"""The front door: finds the command, loads only its module, and turns every fault into a message and an exit code.

`sealift exec` stands in the path of ranks: what is imported here is what every start pays for.
"""

from __future__ import annotations

import errno
import importlib
import os
import sys

from sealift import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` itself would be a third of this module's cost
    import argparse
    from collections.abc import Callable, Sequence
    from typing import Protocol

    from sealift.errors import SealiftError

    class CommandModule(Protocol):
        """What a module of this folder offers to `main`, if it leaves the parsing to it."""

        def configure(self, parser: argparse.ArgumentParser, name: str) -> None: ...

        def execute(self, options: argparse.Namespace) -> int: ...


COMMANDS = {
    "build": ("build", "build an image from a definition file, an image or docker://…"),
    "pull": ("pull", "turn a registry's image into a SIF"),
    "push": ("push", "bring an image to a registry, or straight into an engine"),
    "run": ("run", "run the image's runscript"),
    "exec": ("run", "run a command in the image"),
    "shell": ("run", "open a shell in the image"),
    "test": ("run", "run the image's %test"),
    "new": ("new", "write a definition file to begin with"),
    "parse": ("parse", "show what a definition file says, and what is wrong with it"),
    "lint": ("lint", "say what will bite when a definition file is built, kept, moved or run"),
    "inspect": ("inspection", "show what an image says of itself"),
    "run-help": ("inspection", "show the help that an image has"),
    "size": ("size", "show where the bytes of an image went, and what builds left in it"),
    "sif": ("sif", "list, show or dump what is in a SIF"),
    "job": ("job", "write a job's batch script, send it, tell how it is"),
    "check": ("check", "say whether an image will run on a site, with reasons"),
    "sites": ("sites", "show what is known of the machines that images are meant for"),
    "mpi": ("mpi", "show what MPI an image has, and check that its ranks reach each other"),
    "kernel": ("kernel", "make Jupyter kernels that run in images"),
    "doctor": ("doctor", "show what this host can do, and what mends the rest"),
    "learn": ("learn", "learn by doing: exercises that check themselves"),
    "cache": ("cache", "show, prune or verify the cache"),
    "completion": ("completion", "write what lets bash, zsh or fish complete commands"),
    "shim": ("shim", "put `apptainer` and `singularity` commands where there are none"),
}
"""A verb, the module that declares and runs it, and its line in the overview."""

SELF_PARSED = ("run", "job")
"""Modules that read their words themselves and offer `run_command(verb, words)`."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return the exit code; docs/reference/exit-codes.md lists them."""
    open_missing_streams()
    if sys.platform == "win32":  # a pipe there may take fewer characters than we have
        for stream in (sys.stdout, sys.stderr):
            if reconfigure := getattr(stream, "reconfigure", None):
                reconfigure(errors="replace")
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0].startswith("-"):
        return _without_command(words)
    if words[0] in ("help", "version"):  # as Apptainer has them
        words = [*words[1:2], "--help"] if words[0] == "help" else ["--version"]
        if words[0].startswith("-"):
            return _without_command(words)
    if words[0] not in COMMANDS:
        return guarded(lambda: _refuse_unknown(words[0]), verb=words[0])
    if sys.platform != "linux":
        return guarded(lambda: _call_elsewhere(words), verb=words[0])
    return guarded(lambda: call(words), verb=words[0])


def call(words: Sequence[str]) -> int:
    """Run one command, whose name comes first; its faults come out as they are."""
    verb, *rest = words
    module_name, summary = COMMANDS[verb]
    module = importlib.import_module(f"sealift.cli.{module_name}")
    if module_name in SELF_PARSED:
        code: int = module.run_command(verb, rest)
        return code
    from sealift.cli.arguments import Parser

    command: CommandModule = module
    parser = Parser(prog=f"sealift {verb}", description=summary[0].upper() + summary[1:])
    command.configure(parser, verb)
    # A command whose words are a list says so: argparse then lets flags stand between them.
    options = parser.parse_intermixed_args(rest) if getattr(command, "INTERMIXED", False) else parser.parse_args(rest)
    options.verb = verb
    return command.execute(options)


def guarded(work: Callable[[], int], *, verb: str, exit_code: Callable[[SealiftError], int] | None = None) -> int:
    """Do `work`; what goes wrong is shown, and becomes the fault's own exit code or the one of `exit_code`."""
    # Before the work: from inside a container these files cannot be read any more.
    from sealift.cli.faults import show_fault
    from sealift.errors import SealiftError

    try:
        return work()
    except KeyboardInterrupt as interrupt:
        return _interrupted(interrupt)
    except BrokenPipeError:
        # The reader of our output went away (`| head`): nothing is wrong, and nothing more can be said.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except (SealiftError, OSError) as error:
        fault = error if isinstance(error, SealiftError) else _fault(error, verb)
        show_fault(fault)
        return exit_code(fault) if exit_code else fault.exit_code


def open_missing_streams() -> None:
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
    import signal

    def end(number: int, _frame: object) -> None:
        raise Ended(number)

    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:
            signal.signal(number, end)


def _interrupted(interrupt: KeyboardInterrupt) -> int:
    if not isinstance(interrupt, Ended):
        print("interrupted", file=sys.stderr)
        return 130
    import signal

    print(f"ended by {signal.Signals(interrupt.number).name}", file=sys.stderr)
    sys.stderr.flush()
    signal.signal(interrupt.number, signal.SIG_DFL)
    os.kill(os.getpid(), interrupt.number)
    return 128 + interrupt.number


def _fault(error: OSError, verb: str) -> SealiftError:
    """A failed call of the system as a fault."""
    from sealift.errors import HostError

    if error.errno == errno.ENOENT and not error.filename and not _has_working_folder():
        return HostError("the working folder was deleted", hints=("go somewhere else: cd",))
    try:
        from sealift.system.files import explain_oserror
    except ImportError:  # inside a container
        return HostError(f"running `sealift {verb}` failed: {error}")
    return explain_oserror(error, f"running `sealift {verb}`")


def _has_working_folder() -> bool:
    try:
        os.getcwd()
    except OSError:
        return False
    return True


def _without_command(words: Sequence[str]) -> int:
    if words and words[0] == "--version":
        print(f"sealift {__version__}")
        return 0
    if words and words[0] not in ("-h", "--help"):
        print(f"error: there is no flag `{words[0]}` before a command\nhint: sealift --help", file=sys.stderr)
        return 2
    from sealift.cli import welcome

    if words:
        print(welcome.help_text())
        return 0
    # For a person, who reads both streams; a script that forgot the command must not go on.
    print(welcome.welcome(), file=sys.stderr)
    return 2


def _refuse_unknown(name: str) -> int:
    from sealift.cli.mistyped import unknown_command

    raise unknown_command(name)


def _call_elsewhere(words: Sequence[str]) -> int:
    """Not on Linux: what works there does, `--help` too, and the rest says so before it fails in its own words."""
    from sealift.errors import HostError
    from sealift.system.platforms import why_not, works_on

    if not works_on(sys.platform, words[0]) and not {"-h", "--help"}.intersection(words):
        why, line = why_not(sys.platform)
        raise HostError(f"`sealift {words[0]}`: {why}", hints=(line,))
    return call(words)
