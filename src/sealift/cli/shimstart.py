"""What the commands that `sealift shim install` writes call: Apptainer's command line, done by Sealift.

Ranks start through this: `run`, `exec` and `shell` go straight to the engine, everything else is looked up when it is
asked for. A real Apptainer or Singularity on PATH is always handed the whole command line instead.
"""

from __future__ import annotations

import os
import sys

from sealift.system.standin import find_real

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from sealift.cli.flags import Use
    from sealift.errors import SealiftError

APPTAINER = "1.4.5"
"""The Apptainer whose command line this is; scripts ask for the version before they use a flag."""
NAMES = ("apptainer", "singularity")
WRONG_USE = 1
CANNOT = 255
"""Apptainer's exit codes: what the command line says wrong, and all else."""


def start(name: str, own: str) -> int:
    """Do what `name` was called for; `own` is the path under which it was found."""
    words = sys.argv[1:]
    if name == "run-singularity":
        # The first line of every SIF calls this, so that an image can be executed: ./image.sif
        name, words = "singularity", ["--quiet", "run", *words]
    other = NAMES[1 - NAMES.index(name)]
    folder = os.path.dirname(own)
    for each in (name, other):
        real = find_real((each,), _path(), own=os.path.join(folder, each))
        if real is not None:
            os.execv(real, [real, *words])  # noqa: S606 -- the caller's own words, in place of us
    if words in (["--version"], ["version"]):  # asked before each step of a pipeline; nothing else is loaded for it
        return _say_version(words[0])
    from sealift.cli.app import guarded, open_missing_streams

    open_missing_streams()
    return guarded(lambda: _do(name, words), verb=name, exit_code=_exit_code)


def _path() -> str:
    from sealift.system.caller import variable

    return variable("PATH") or os.defpath


def _exit_code(error: SealiftError) -> int:
    from sealift.cli.flags import FlagError

    return WRONG_USE if isinstance(error, FlagError) else CANNOT


def _do(name: str, words: Sequence[str]) -> int:
    quiet, verbose = False, False
    if words and words[0].startswith("-"):
        from sealift.cli.flags import parse
        from sealift.cli.shimverbs import GLOBAL_FLAGS

        parsed = parse(GLOBAL_FLAGS, words, verb=name, command=name)
        _refuse(name, parsed.uses)
        if parsed.value("version"):
            return _say_version("--version")
        if parsed.value("help"):
            return _help(name)
        if parsed.value("nocolor"):
            from sealift.system.caller import hand_down

            hand_down("NO_COLOR", "1")
        quiet, verbose = bool(parsed.value("quiet")), bool(parsed.value("verbose"))
        words = parsed.rest
    if not words:
        _help(name)
        return WRONG_USE
    verb, *rest = words
    if verb in ("run", "exec", "shell", "test"):
        from sealift.cli.run import run_command

        return run_command(verb, rest, command=name, engine="embedded", quiet=quiet, verbose=verbose)
    if verb == "version":
        return _say_version(verb)
    if verb == "help":
        return _help(name, rest)
    from sealift.cli.app import call
    from sealift.cli.flags import FlagError
    from sealift.cli.shimwords import sealift_words
    from sealift.errors import SealiftError

    try:
        return call(sealift_words(name, verb, rest, quiet=quiet, verbose=verbose))
    except SystemExit as end:  # argparse says what is wrong, and leaves
        return WRONG_USE if end.code else 0
    except SealiftError as error:
        if verb != "sif":
            raise
        # Apptainer's sif commands know one way to fail.
        raise FlagError(error.message, hints=error.hints) from error


def _refuse(name: str, uses: Sequence[Use]) -> None:
    from sealift.cli.flags import refused

    for use in uses:
        if use.flag.field == "refuse":
            raise refused(use, name)


def _say_version(asked: str) -> int:
    from sealift import __version__

    before = f"{NAMES[0]} version " if asked == "--version" else ""
    print(f"{before}{APPTAINER}+sealift.{__version__}")
    return 0


def _help(name: str, words: Sequence[str] = ()) -> int:
    if not words:
        from sealift.cli.shimwords import overview

        print(overview(name))
        return 0
    if words[0] == "help":
        return _help(name)
    return _do(name, [*words, "--help"])
