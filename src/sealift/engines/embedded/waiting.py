"""With a PID namespace of its own a container needs two more processes: one outside that waits, one inside as init.

Both wait with sigwaitinfo(2): no polling, nothing lost between a check and a sleep. Signals that someone sent go on to
the program; those that the terminal sent have reached it already, since it is in the same process group.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
from collections.abc import Callable
from select import PIPE_BUF
from typing import NoReturn

from sealift import errors
from sealift.engines.embedded.action import CannotRunError, exit_code
from sealift.errors import SealiftError
from sealift.system import kernel

_SENT_BY_KERNEL = 0x80
"""`si_code` SI_KERNEL: the terminal's Ctrl-C, Ctrl-Z, hang-up and window size."""

_NOT_CAUGHT = {signal.SIGKILL, signal.SIGSTOP}
_FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP, signal.SIGABRT, signal.SIGSYS}
_WAITED = set(signal.Signals) - _NOT_CAUGHT - _FAULTS


def with_init(make: Callable[[], None], become: Callable[[], int], *, own_init: bool = True) -> int:
    """Fork init, which makes the container, and below it the program; return the program's exit code.

    Without `own_init` the program is process 1 itself, for those that want to be (`--no-init`).

    The PID namespace must have been made by this process (unshare), and nothing forked since. When this process dies,
    init is killed, and with it everything in the namespace. What `make` and `become` raise is raised here.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _WAITED)
    alive_out, alive_in = os.pipe()
    fault_out, fault_in = os.pipe()
    init = os.fork()
    if init == 0:
        os.close(alive_in)
        os.close(fault_out)
        if own_init:
            _leave(lambda: _init(make, become, mask=before, alive=alive_out), fault_in)
        _leave(lambda: _first(make, become, mask=before, alive=alive_out), fault_in)
    os.close(alive_out)
    os.close(fault_in)
    status = _wait(init, reap_all=False)
    os.close(alive_in)
    signal.pthread_sigmask(signal.SIG_SETMASK, before)
    with os.fdopen(fault_out, "rb") as faults:
        fault = _decode(faults.read())
    if fault is not None:
        raise fault
    return exit_code(status)


def _init(make: Callable[[], None], become: Callable[[], int], *, mask: set[int | signal.Signals], alive: int) -> int:
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    _end_if_orphaned(alive)
    make()
    with contextlib.suppress(OSError), open("/proc/self/comm", "wb") as comm:
        comm.write(b"sealift-init")
    fault_out, fault_in = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(fault_out)
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        _leave(become, fault_in)
    os.close(fault_in)
    status = _wait(child, reap_all=True)
    with os.fdopen(fault_out, "rb") as faults:
        fault = _decode(faults.read())
    if fault is not None:
        raise fault
    return exit_code(status)


def _first(make: Callable[[], None], become: Callable[[], int], *, mask: set[int | signal.Signals], alive: int) -> int:
    kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
    _end_if_orphaned(alive)
    make()
    signal.pthread_sigmask(signal.SIG_SETMASK, mask)
    return become()


def _leave(work: Callable[[], int], faults: int) -> NoReturn:
    """The rest of a forked process's life: what it raises is told through `faults`, which closes with execve."""
    code = 1
    try:
        code = work()
    except SealiftError as error:
        told = {"kind": type(error).__name__, "message": error.message, "hints": error.hints, "code": error.exit_code}
        os.write(faults, json.dumps(told).encode()[:PIPE_BUF])
        code = error.exit_code
    except BaseException as error:  # noqa: BLE001 -- a forked process must not run on in its parent's code
        told = {"kind": "", "message": f"{type(error).__name__}: {error}"[:1000], "hints": (), "code": 1}
        os.write(faults, json.dumps(told).encode())
    finally:
        os._exit(code)


def _decode(told: bytes) -> BaseException | None:
    """The fault as it was; its kind is one of errors.py or CannotRunError, and everything else is our own bug."""
    if not told:
        return None
    said = json.loads(told)
    if not said["kind"]:
        return RuntimeError(said["message"])
    kinds = {**vars(errors), "CannotRunError": CannotRunError}
    fault: SealiftError = kinds.get(said["kind"], SealiftError)(said["message"], hints=tuple(said["hints"]))
    return fault


def _end_if_orphaned(alive: int) -> None:
    """The parent may have died before it could be asked to take us along; then its end of the pipe is closed."""
    os.set_blocking(alive, False)
    try:
        if os.read(alive, 1) == b"":
            os._exit(1)
    except BlockingIOError:
        pass
    os.close(alive)


def _wait(child: int, *, reap_all: bool) -> int:
    """Wait for the end of `child`, hand signals on to it, and return its wait status."""
    while True:
        info = signal.sigwaitinfo(_WAITED)
        number = info.si_signo
        if number == signal.SIGCHLD:
            while True:
                try:
                    pid, status = os.waitpid(-1 if reap_all else child, os.WNOHANG)
                except ChildProcessError:
                    break
                if pid == 0:
                    break
                if pid == child:
                    return status
        elif number in (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
            if not reap_all:
                os.kill(os.getpid(), signal.SIGSTOP)
        elif info.si_code != _SENT_BY_KERNEL:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(child, number)
