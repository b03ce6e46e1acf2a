"""External programs: the one door through which they are run.

An argument list, never a shell string; an explicit environment; the failure shown as a line that can be pasted.
Sandboxed commands go through `sandbox/`. Every start of a container asks this module for programs; what runs them is
imported when one is run.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from sealift.errors import HostError, ToolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import BinaryIO

TAIL = 4000
"""Characters of a failed program's standard error that an error carries."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Completed:
    code: int
    out: bytes
    err: bytes


def environment() -> dict[str, str]:
    """A copy of this process's environment: the rim calls this once and hands it inwards.

    Without the variable that the interpreter sets for itself where the caller's locale is `C` (PEP 538).
    """
    found = dict(os.environ)
    if found.get("LC_CTYPE") == "C.UTF-8" and _is_coerced():
        del found["LC_CTYPE"]
    return found


def _is_coerced() -> bool:
    # The kernel shows the environment as the program got it, whatever it set since.
    try:
        with open("/proc/self/environ", "rb") as file:
            return b"\0LC_CTYPE=" not in b"\0" + file.read()
    except OSError:
        return False


def machine() -> str:
    """This machine's architecture as `uname -m` says it; empty where there is no such call."""
    return os.uname().machine if hasattr(os, "uname") else ""


def cpu_count() -> int:
    """The processors that this process may use: a cgroup or a batch system may allow fewer than there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def find_program(name: str, *, path: str | None = None) -> str | None:
    """The absolute path of a program, also looking where administrators' programs lie; None when it is not there."""
    search = (os.environ.get("PATH") if path is None else path) or os.defpath
    for folder in filter(None, (*search.split(os.pathsep), "/usr/sbin", "/sbin")):
        program = os.path.join(folder, name)
        if os.access(program, os.X_OK) and not os.path.isdir(program):
            return os.path.abspath(program)
    return None


def run(
    argv: Sequence[str],
    *,
    env: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    cwd: str | None = None,
    timeout: float | None = None,
    accept: Sequence[int] = (0,),
) -> Completed:
    """Run a program to its end with its output captured; ToolError unless its exit code is in `accept`."""
    import shlex
    import subprocess

    try:
        done = subprocess.run(
            list(argv), env=env, input=stdin, cwd=cwd, timeout=timeout, capture_output=True, check=False
        )
    except FileNotFoundError as error:
        raise HostError(f"`{argv[0]}` is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise ToolError(f"`{shlex.join(argv)}` did not end within {timeout:g} s", argv=tuple(argv), code=-1) from error
    if done.returncode not in accept:
        raise _failed(argv, done.returncode, done.stderr)
    return Completed(code=done.returncode, out=done.stdout, err=done.stderr)


def feed(
    argv: Sequence[str], write: Callable[[BinaryIO], object], *, env: Mapping[str, str] | None = None
) -> Completed:
    """Run a program on what `write` writes to its standard input; ToolError when it fails.

    What `write` raises ends the program, which sees its input end too early, and is passed on.
    """
    import contextlib
    import subprocess
    import tempfile
    from typing import cast

    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            process = subprocess.Popen(list(argv), env=env, stdin=subprocess.PIPE, stdout=out, stderr=err)
        except FileNotFoundError as error:
            raise HostError(f"`{argv[0]}` is not installed") from error
        try:
            # A program that gives up early says why when it ends.
            with contextlib.suppress(BrokenPipeError):
                assert process.stdin is not None
                with process.stdin as file:
                    write(cast("BinaryIO", file))
        except BaseException:
            process.terminate()
            raise
        finally:
            code = process.wait()
        out.seek(0)
        err.seek(0)
        done = Completed(code=code, out=out.read(), err=err.read())
    if code != 0:
        raise _failed(argv, code, done.err)
    return done


def _failed(argv: Sequence[str], code: int, err: bytes) -> ToolError:
    import shlex

    tail = err.decode(errors="replace")[-TAIL:].rstrip()
    text = f"`{shlex.join(argv)}` ended with {code}" + (f"\n{tail}" if tail else "")
    return ToolError(text, argv=tuple(argv), code=code, tail=tail)
