"""Runs one command of a section: a guardian in its own mount namespace, and the command as its child.

Once the guardian has entered the image there is no Python to import from: what it needs is imported at the top, and no
codec but UTF-8 is used.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Mapping
from typing import Any

from sealift.errors import HostError, ToolError
from sealift.sandbox.assemble import Assembly
from sealift.sandbox.furnish import enter, furnish
from sealift.sandbox.spec import SandboxSpec
from sealift.sandbox.supervisor import Supervision
from sealift.sandbox.wire import error_from_json, error_to_json
from sealift.system import kernel

_NOT_FOUND = 127


def serve_section(
    spec: SandboxSpec, made: Assembly, request: Mapping[str, Any], files: tuple[int, ...], answer: int
) -> int:
    """Run `request` and write how it ended to the descriptor `answer` as a JSON line.

    The calling process becomes the guardian: leader of a session, deaf to what ends the command, supervisor of the
    calls that a namespace cannot do. `files` are the command's standard input, output and error.
    """
    try:
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        kernel.unshare(kernel.CLONE_NEWNS)
        supervision = Supervision.prepare(spec.footing, made, inside=request["inside"])
        if request["inside"]:
            furnish(spec, made, read_only=request["read_only"])
            enter(made.root)
        elif made.proc:
            _fresh_proc()
        status = _run(request, files, supervision)
        message: dict[str, Any] = {"said": "exit", "code": status}
    except BaseException as error:  # noqa: BLE001 -- the outer side must hear of it
        message = {"said": "error", "error": error_to_json(error)}
    data = json.dumps(message).encode() + b"\n"
    while data:
        data = data[os.write(answer, data) :]
    return 0


def _fresh_proc() -> None:
    # The host's proc shows the host's process numbers; a script's `$$` would not be found there.
    try:
        kernel.mount("proc", "/proc", "proc", kernel.MS_NOSUID | kernel.MS_NODEV | kernel.MS_NOEXEC)
    except OSError:
        return


def _run(request: Mapping[str, Any], files: tuple[int, ...], supervision: Supervision | None) -> int:
    status: int
    failed_out, failed_in = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(failed_out)
            _become(request, files, supervision)
        except BaseException as error:  # noqa: BLE001
            os.write(failed_in, json.dumps(error_to_json(error)).encode())
        os._exit(_NOT_FOUND)
    os.close(failed_in)
    for each in files:
        os.close(each)
    # The guardian must hold no end of the command's pipes: who reads them waits for the last one to close.
    empty = os.open(os.devnull if os.path.exists(os.devnull) else "/", os.O_RDONLY)
    for number in (0, 1, 2):
        os.dup2(empty, number)
    os.close(empty)
    failed = b""
    if supervision is not None:
        status, failed = supervision.supervise(child, failed_out)
    else:
        while part := os.read(failed_out, 1 << 16):
            failed += part
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os.close(failed_out)
    if failed:
        raise error_from_json(json.loads(failed))
    return status


def _become(request: Mapping[str, Any], files: tuple[int, ...], supervision: Supervision | None) -> None:
    """In the child: take the request's place and become its program."""
    for number, each in enumerate(files[:3]):
        os.dup2(each, number)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGPIPE):
        signal.signal(number, signal.SIG_DFL)
    argv: list[str] = request["argv"]
    try:
        os.chdir(request["cwd"])
    except OSError as error:
        raise HostError(f"`{request['cwd']}` is no folder that a section can run in: {error.strerror}") from error
    os.umask(request["umask"])
    env: dict[str, str] = request["env"]
    if supervision is not None:
        supervision.install()
    try:
        os.execvpe(argv[0], argv, env)  # noqa: S606 -- an argument list, in the child
    except OSError as error:
        where = "in the image" if request["inside"] else "on this host"
        raise ToolError(
            f"`{argv[0]}` cannot be run {where}: {(error.strerror or str(error)).lower()}",
            argv=tuple(argv),
            code=_NOT_FOUND,
        ) from error
