"""Which program an action means, found inside the container, and becoming it.

Apptainer 1.4's built-in action script, not the image's `/.singularity.d/actions`, decides; so does this.
"""

from __future__ import annotations

import errno
import os
import re
import signal
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NoReturn

from sealift.core.architecture import find_architecture
from sealift.core.launch import Action
from sealift.engines.embedded.exports import read_words
from sealift.engines.embedded.image import elf_architecture
from sealift.errors import SealiftError

RUNSCRIPT = "/.singularity.d/runscript"
TEST = "/.singularity.d/test"
APPS = "/scif/apps"
CANNOT_RUN = 255
"""The exit code of Apptainer where there is no program to run."""

_OCI_LINE = re.compile(r"^OCI_(ENTRYPOINT|CMD)=(.*)$", re.MULTILINE)


class CannotRunError(SealiftError):
    """The container is there, the program is not."""

    exit_code = CANNOT_RUN


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What to execute; `env` are variables that the action adds. No `argv`: there is nothing to do, which is fine."""

    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...] = ()
    note: str = ""


def choose_program(action: Action, command: Sequence[str], *, app: str | None, shell: str | None) -> Program:
    """Ask the container's files what `action` is; CannotRunError where it is nothing."""
    match action:
        case "exec":
            return Program(argv=tuple(command))
        case "shell":
            return _shell(command, shell)
        case "run" if app:
            return _of_app(app, "runscript", command, "there is no runscript for the app")
        case "run":
            return _run(command)
        case "test" if app:
            return _of_app(app, "test", command, "there are no tests for the app")
        case "test":
            if _can(TEST):
                return Program(argv=(TEST, *command))
            return Program(argv=(), note="the image has no test script")


def _shell(command: Sequence[str], shell: str | None) -> Program:
    if shell and _can(shell):
        return Program(argv=(shell, *command))
    if _can("/bin/bash"):
        return Program(argv=("/bin/bash", "--norc", *command), env=(("SHELL", "/bin/bash"),))
    if _can("/bin/sh"):
        return Program(argv=("/bin/sh", *command), env=(("SHELL", "/bin/sh"),))
    raise _failed("the image has no shell: there is no `/bin/sh` in it", "sealift exec IMAGE PROGRAM")


def _run(command: Sequence[str]) -> Program:
    if _can(RUNSCRIPT):
        if not _can("/bin/sh") and (argv := _oci_command(command)):
            return Program(argv=argv)
        return Program(argv=(RUNSCRIPT, *command))
    if _can("/apptainer"):
        return Program(argv=("/apptainer", *command))
    if _can("/bin/sh"):
        return Program(argv=("/bin/sh", *command), note="the image has no runscript: running /bin/sh")
    raise _failed("the image has neither a runscript nor `/bin/sh`", "sealift exec IMAGE PROGRAM")


def _of_app(app: str, script: str, command: Sequence[str], otherwise: str) -> Program:
    for path in (f"{APPS}/{app}/scif/{script}", f"{APPS}/singularity/scif/test"):
        if _can(path):
            return Program(argv=(path, *command))
    raise SealiftError(f"{otherwise} `{app}`", hints=("sealift exec IMAGE ls /scif/apps",))


def _oci_command(command: Sequence[str]) -> tuple[str, ...]:
    """What the runscript of an image from a registry would execute, where no shell is there to read it."""
    with open(RUNSCRIPT, encoding="utf-8", errors="surrogateescape") as file:
        text = file.read()
    # The value is quoted for the shell once, and once more for its `eval`.
    said = {name: read_words("".join(read_words(value))) for name, value in _OCI_LINE.findall(text)}
    return (*said.get("ENTRYPOINT", ()), *(command or said.get("CMD", ())))


def find_program(name: str, path: str) -> str:
    """The path of a program as Apptainer finds it; CannotRunError says what a shell would."""
    if "/" in name:
        where = os.path.abspath(name)
        if not os.path.exists(where):
            raise _failed(
                f"`{name}` does not exist in the container", f"sealift exec IMAGE ls {os.path.dirname(where)}"
            )
        if os.path.isdir(where) or not os.access(where, os.X_OK):
            raise _failed(f"`{name}` cannot be executed: permission denied", f"sealift exec IMAGE ls -l {where}")
        return name
    for folder in path.split(":"):
        where = os.path.join(folder or ".", name)
        if os.path.isfile(where) and os.access(where, os.X_OK):
            return where
    raise _failed(f"`{name}`: executable file not found in $PATH", f"the container's PATH is {path}")


def become(program: Program, env: dict[str, str]) -> NoReturn:
    """Execute the program in place of this process; CannotRunError where the kernel refuses."""
    argv = list(program.argv)
    argv[0] = find_program(argv[0], env.get("PATH", ""))
    env.update(program.env)
    # Python ignores these two, and what is ignored stays so in the program.
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execve(argv[0], argv, env)  # noqa: S606 -- an argument list, in place of us
    except OSError as error:
        if error.errno != errno.ENOEXEC or argv[0] == "/bin/sh":
            raise _refused(argv[0], error) from error
    try:
        os.execve("/bin/sh", ["/bin/sh", *argv], env)  # noqa: S606 -- an argument list, in place of us
    except OSError as error:
        raise _refused(argv[0], error) from error


def exit_code(status: int) -> int:
    """What a shell would call the end of a program with this wait status."""
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _refused(path: str, error: OSError) -> CannotRunError:
    here = find_architecture(os.uname().machine)
    for each in (path, "/bin/sh"):
        try:
            with open(each, "rb") as file:
                wanted = elf_architecture(file.read(20))
        except OSError:
            continue
        if wanted and here and error.errno == errno.ENOEXEC and wanted != here.oci:
            return _failed(f"the image is for {wanted}, and cannot run on {here.oci}", "take an image for this machine")
    if error.errno == errno.ENOENT:
        return _failed(
            f"`{path}` cannot be executed: its interpreter, or a library that it needs, is missing in the image",
            f"see what it needs: head -1 {path}, or ldd {path}",
        )
    return _failed(f"`{path}` cannot be executed: {(error.strerror or str(error)).lower()}")


def _can(path: str) -> bool:
    return os.path.isfile(path) and os.access(path, os.X_OK)


def _failed(message: str, *hints: str) -> CannotRunError:
    return CannotRunError(message, hints=hints)
