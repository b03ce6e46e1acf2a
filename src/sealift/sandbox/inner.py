"""The inner side of a sandbox: `python -m sealift.sandbox.inner CONTROL LIFE MOTHER`.

Two processes. The first enters the namespaces and waits; the second is the init of the process namespace, mounts, and
does what the outer side asks. Whichever of outer, first and second dies, kill -9 included, the rest goes with it:

    outer ──LIFE pipe closes──► first ends ──PR_SET_PDEATHSIG──► init ends ──kernel──► every process and mount inside
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import sys
from typing import Any

from sealift.errors import HostError, SealiftError
from sealift.sandbox.assemble import Assembly, assemble
from sealift.sandbox.inside import serve_call
from sealift.sandbox.points import make_points
from sealift.sandbox.section import serve_section
from sealift.sandbox.spec import SandboxSpec, spec_from_json
from sealift.sandbox.wire import Channel, error_to_json
from sealift.sandbox.workfolder import empty
from sealift.system import kernel
from sealift.system.namespaces import enter_user_namespace


def main(control: int, life: int, mother: int) -> int:
    channel = Channel(socket.socket(fileno=control))
    received = channel.receive()
    if received is None:
        return 1
    spec = spec_from_json(received[0])
    os.umask(0o022)
    try:
        others = kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWIPC
        if spec.footing.maps is None:
            kernel.unshare(others)
        else:
            enter_user_namespace(spec.footing.maps, others=others)
    except OSError as error:
        channel.send(
            {"said": "error", "error": error_to_json(HostError(f"no namespace could be made: {error.strerror}"))}
        )
        return 1
    except SealiftError as error:
        channel.send({"said": "error", "error": error_to_json(error)})
        return 1
    init = os.fork()
    if init == 0:
        kernel.prctl(kernel.PR_SET_PDEATHSIG, signal.SIGKILL)
        os._exit(_guarded(channel, spec, life))
    channel.close()
    return _wait(init, life, mother)


def _wait(init: int, life: int, mother: int) -> int:
    """Wait for the init; end it when the outer side is gone."""
    watch = os.pidfd_open(init)
    poll = select.poll()
    poll.register(watch, select.POLLIN)
    poll.register(life, select.POLLHUP)
    while True:
        events = dict(poll.poll(1000))
        if watch in events:
            break
        # A process that the outer side forked may hold the pipe open: then its number tells.
        if life in events or os.getppid() != mother:
            os.kill(init, signal.SIGKILL)
            break
    return os.waitstatus_to_exitcode(os.waitpid(init, 0)[1])


def _guarded(channel: Channel, spec: SandboxSpec, life: int) -> int:
    poll = select.poll()
    poll.register(life, select.POLLHUP)
    if poll.poll(0):
        return 1
    try:
        kernel.mount("", "/", "", kernel.MS_REC | kernel.MS_PRIVATE)
        made = assemble(spec)
    except BaseException as error:  # noqa: BLE001 -- the outer side must hear of it
        empty(spec.work)
        channel.send({"said": "error", "error": error_to_json(error)})
        return 1
    try:
        channel.send({"said": "ready", "root": made.root, "upper": made.upper, "proc": made.proc})
        return Init(channel, spec, made).serve()
    except BaseException as error:  # noqa: BLE001
        empty(spec.work)
        with contextlib.suppress(OSError):
            channel.send({"said": "error", "error": error_to_json(error)})
        return 1


class Init:
    """The loop of the process namespace's init: one request at a time, signals in between, orphans reaped."""

    def __init__(self, channel: Channel, spec: SandboxSpec, made: Assembly) -> None:
        self._channel = channel
        self._spec = spec
        self._made = made
        self._closing = False
        self._pointed = not spec.binds
        self._ended: set[int] = set()
        self._wake_out, self._wake_in = os.pipe()
        os.set_blocking(self._wake_in, False)
        os.set_blocking(self._wake_out, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake_in, warn_on_full_buffer=False)
        self._poll = select.poll()
        self._poll.register(channel.fileno(), select.POLLIN)
        self._poll.register(self._wake_out, select.POLLIN)

    def serve(self) -> int:
        while True:
            if self._closing:
                self._clean()
                self._channel.send({"said": "closed"})
                return 0
            ready = dict(self._poll.poll())
            if self._wake_out in ready:
                self._reap()
            if self._channel.fileno() not in ready:
                continue
            received = self._channel.receive()
            if received is None:
                return 1
            request, files = received
            match request["do"]:
                case "run":
                    self._run(request, files)
                case "call":
                    self._call(request, files)
                case "close":
                    self._closing = True
                case _:
                    pass  # a signal for a command that has just ended

    def _run(self, request: dict[str, Any], files: tuple[int, ...]) -> None:
        if request["inside"] and not self._pointed:
            try:
                make_points(self._spec, self._made)
            except (SealiftError, OSError) as error:
                for each in files:
                    os.close(each)
                self._channel.send({"said": "error", "error": error_to_json(error)})
                self._channel.send({"said": "ended"})
                return
            self._pointed = True
        answer_out, answer_in = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(answer_out)
            self._leave()
            os._exit(serve_section(self._spec, self._made, request, files, answer_in))
        os.close(answer_in)
        for each in files:
            os.close(each)
        self._follow(child, answer_out)
        self._end_all()
        self._channel.send({"said": "ended"})

    def _call(self, request: dict[str, Any], files: tuple[int, ...]) -> None:
        answer_out, answer_in = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(answer_out)
            self._leave()
            os._exit(serve_call(self._made, self._spec.footing, request, files, answer_in))
        os.close(answer_in)
        for each in files:
            os.close(each)
        self._follow(child, answer_out)
        self._channel.send({"said": "ended"})

    def _leave(self) -> None:
        """What a child must not keep of the init."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.close(self._wake_out)
        os.close(self._wake_in)
        self._channel.close()

    def _follow(self, child: int, answer: int) -> None:
        """Hand the child's answers on, and the outer side's signals in, until the child has ended."""
        self._poll.register(answer, select.POLLIN)
        pending = b""
        open_answer = True
        while child not in self._ended or open_answer:
            ready = dict(self._poll.poll())
            if self._wake_out in ready:
                self._reap()
            if self._channel.fileno() in ready:
                received = self._channel.receive()
                if received is None:
                    os._exit(1)
                match received[0]["do"]:
                    case "signal":
                        self._signal(child, received[0]["signal"])
                    case "close":
                        self._closing = True
                        self._end_all()
            if open_answer and answer in ready:
                data = os.read(answer, 1 << 16)
                pending += data
                *lines, pending = pending.split(b"\n")
                for line in lines:
                    self._channel.send(json.loads(line))
                if not data:
                    self._poll.unregister(answer)
                    os.close(answer)
                    open_answer = False
        self._ended.clear()

    def _signal(self, child: int, number: int) -> None:
        if number == signal.SIGKILL:
            self._end_all()
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(child, number)

    def _reap(self) -> None:
        """Wait for whatever has ended. FUSE daemons are left to who started them."""
        with contextlib.suppress(BlockingIOError):
            while os.read(self._wake_out, 512):
                pass
        with contextlib.suppress(ChildProcessError):
            while (gone := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
                if gone.si_pid in self._made.daemons:
                    raise HostError(
                        "a FUSE daemon of the sandbox died", hints=("see what this host can do: sealift doctor",)
                    )
                os.waitpid(gone.si_pid, 0)
                self._ended.add(gone.si_pid)

    def _end_all(self) -> None:
        """End every process of the sandbox but the init and the daemons that hold its mounts."""
        for _ in range(400):
            others = self._others()
            if not others:
                return
            for pid in others:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            select.select([], [], [], 0.005)

    def _others(self) -> list[int]:
        """The living processes of the sandbox that are neither the init nor a daemon of its mounts."""
        keep = {1, *self._made.daemons}
        if self._made.proc:
            names = [int(name) for name in os.listdir(self._made.proc) if name.isdecimal() and int(name) not in keep]
            return [pid for pid in names if not self._is_zombie(pid)]
        # Without a proc of its own: the namespace's numbers began at 1, and a new process has the highest so far.
        self._reap()
        newest = os.fork()
        if newest == 0:
            os._exit(0)
        os.waitpid(newest, 0)
        return [pid for pid in range(2, newest) if pid not in keep and _is_there(pid)]

    def _is_zombie(self, pid: int) -> bool:
        try:
            with open(f"{self._made.proc}/{pid}/stat", "rb") as file:
                return file.read().rpartition(b") ")[2][:1] == b"Z"
        except OSError:
            return True

    def _clean(self) -> None:
        """Unmount, and remove from within what only the namespace's root may remove."""
        self._end_all()
        if self._spec.footing.overlay == "kernel" and not self._spec.bare:
            with contextlib.suppress(OSError):
                kernel.umount(self._made.root)
        for each in reversed(self._made.mounted):
            each.unmount()
        if self._made.proc:
            with contextlib.suppress(OSError):
                kernel.umount(self._made.proc)
        empty(self._made.work)


def _is_there(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(*(int(each) for each in sys.argv[1:4])))
