"""The outer side of a sandbox: opens it, runs commands and functions in it, closes it.

with open_sandbox(spec) as sandbox:
    code = sandbox.run(["/bin/sh", "-ex", sandbox.place("post", script)])
    answer = sandbox.call("sealift.flows.layers:pack_upper", target="…")
"""

from __future__ import annotations

import contextlib
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from sealift.errors import HostError
from sealift.sandbox.environment import certificate_files, section_environment
from sealift.sandbox.furnish import PRIVATE
from sealift.sandbox.heldsignals import held_signals
from sealift.sandbox.spec import SandboxSpec, spec_to_json
from sealift.sandbox.wire import Channel, error_from_json
from sealift.sandbox.workfolder import stale_folders

OnLine = Callable[[Literal["out", "err"], bytes], None]
"""Takes each line of a command's output, with its newline if it had one."""

UMASK = 0o002
"""Apptainer's for every section (internal/pkg/build, `Umask`)."""

CLOSING = 60.0
"""Seconds that removing a work folder may take; what is left then, the next build removes."""

_GENTLE = ((signal.SIGINT, 3.0), (signal.SIGTERM, 2.0), (signal.SIGKILL, 10.0))


@dataclass(kw_only=True)
class Sandbox:
    """An open sandbox; not for two threads at once. `root` and `upper` are paths that are valid inside only."""

    spec: SandboxSpec
    root: str
    upper: str
    host_environment: Mapping[str, str]
    _channel: Channel = field(repr=False)
    _extra: dict[str, str] = field(default_factory=dict, repr=False)

    def place(self, name: str, data: bytes) -> str:
        """Put a file beside the sandbox and return its path for commands that run inside; it is in no image."""
        path = os.path.join(self.spec.work, "private", name)
        with open(path, "wb") as file:
            file.write(data)
        os.chmod(path, 0o755)  # noqa: S103 -- the sections' users must read it
        return f"{PRIVATE}/{name}"

    def run(
        self,
        argv: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str = "/",
        inside: bool = True,
        read_only: bool = False,
        umask: int = UMASK,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        on_line: OnLine | None = None,
    ) -> int:
        """Run a program to its end; its exit code, or a signal's number as a negative one.

        `inside`: in the merged root, with Apptainer's environment for `%post`, the host's proxies and certificates, and
        `env` over them. Else in the host's tree with the host's environment and `env` over it, as `%pre` and `%setup`
        are. `read_only` keeps a command inside from changing the root. Output goes to `stdout` and `stderr` (default:
        this process's own) or line by line to `on_line`. Every process that the program leaves behind is ended.
        KeyboardInterrupt ends the program first gently, then firmly, and is raised again. HostError and ToolError when
        the program could not be started.
        """
        base = {**section_environment(self.host_environment), **self._extra} if inside else dict(self.host_environment)
        request = {
            "do": "run",
            "argv": list(argv),
            "env": {**base, **(env or {})},
            "cwd": cwd,
            "inside": inside,
            "read_only": read_only,
            "umask": umask,
        }
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        pipes: dict[int, Literal["out", "err"]] = {}
        given = [null if stdin is None else stdin]
        made = [null]
        try:
            names: tuple[tuple[Literal["out", "err"], int | None, int], ...] = (("out", stdout, 1), ("err", stderr, 2))
            for name, wanted, default in names:
                if on_line is None:
                    given.append(default if wanted is None else wanted)
                    continue
                out, into = os.pipe()
                pipes[out] = name
                made.append(into)
                given.append(into)
            if on_line is None:
                sys.stdout.flush()
                sys.stderr.flush()
            self._channel.send(request, tuple(given))
        except BaseException:
            for each in pipes:
                os.close(each)
            raise
        finally:
            for each in made:
                os.close(each)
        message = self._until_ended(pipes, on_line)
        return int(message["code"])

    def call(
        self,
        function: str,
        *,
        descriptors: Sequence[int] = (),
        on_report: Callable[[Any], None] | None = None,
        **args: Any,
    ) -> Any:
        """Run `function` ("package.module:name") inside as `name(inside, **args)` and return what it returns, as JSON.

        `descriptors` are open files that it finds in `inside.descriptors`; `on_report` gets what it hands to
        `inside.report`. An error of ours that it raises is raised here; any other becomes a RuntimeError with its text.
        """
        self._channel.send({"do": "call", "function": function, "args": args}, tuple(descriptors))
        message = self._until_ended({}, None, on_report)
        return message["value"]

    def _until_ended(
        self,
        pipes: dict[int, Literal["out", "err"]],
        on_line: OnLine | None,
        on_report: Callable[[Any], None] | None = None,
    ) -> dict[str, Any]:
        outcome: dict[str, Any] | None = None
        rest: dict[int, bytes] = dict.fromkeys(pipes, b"")
        steps = iter(_GENTLE)
        deadline: float | None = None
        interrupt: BaseException | None = None
        ended = False
        with held_signals() as held, selectors.DefaultSelector() as selector:
            selector.register(held.wake, selectors.EVENT_READ)
            selector.register(self._channel.fileno(), selectors.EVENT_READ)
            for each in pipes:
                selector.register(each, selectors.EVENT_READ)
            try:
                while not ended or rest:
                    try:
                        held.deliver()
                        if deadline is not None and time.monotonic() >= deadline:
                            deadline = self._press(steps)
                        wait = None if deadline is None else max(0.0, deadline - time.monotonic())
                        for key, _ in selector.select(wait):
                            if key.fd in rest:
                                if not self._drain(key.fd, pipes, rest, on_line):
                                    selector.unregister(key.fd)
                                continue
                            if key.fd == held.wake:
                                continue
                            received = self._channel.receive()
                            if received is None:
                                raise HostError(
                                    "the sandbox ended unexpectedly",
                                    hints=("see what this host can do: sealift doctor",),
                                )
                            message = received[0]
                            match message["said"]:
                                case "ended":
                                    ended = True
                                    selector.unregister(self._channel.fileno())
                                case "report":
                                    if on_report is not None:
                                        on_report(message["value"])
                                case _:
                                    outcome = message
                    except KeyboardInterrupt as error:
                        if interrupt is None:
                            interrupt = error
                        deadline = self._press(steps)
            finally:
                for each in rest:
                    os.close(each)
        if interrupt is not None:
            raise interrupt
        if outcome is None:
            raise HostError(
                "a process of the sandbox was killed", hints=("was there enough memory? see: dmesg | tail",)
            )
        if outcome["said"] == "error":
            raise error_from_json(outcome["error"])
        return outcome

    def _press(self, steps: Iterator[tuple[signal.Signals, float]]) -> float:
        """The next, firmer signal to the command; until when to wait for it to help."""
        number, patience = next(steps, (signal.SIGKILL, 10.0))
        with contextlib.suppress(OSError):
            self._channel.send({"do": "signal", "signal": int(number)})
        return time.monotonic() + patience

    @staticmethod
    def _drain(
        pipe: int, pipes: Mapping[int, Literal["out", "err"]], rest: dict[int, bytes], on_line: OnLine | None
    ) -> bool:
        data = os.read(pipe, 1 << 16)
        *lines, last = (rest[pipe] + data).split(b"\n")
        for line in lines:
            if on_line is not None:
                on_line(pipes[pipe], line + b"\n")
        rest[pipe] = last
        if data:
            return True
        if last and on_line is not None:
            on_line(pipes[pipe], last)
        del rest[pipe]
        os.close(pipe)
        return False


@contextlib.contextmanager
def open_sandbox(spec: SandboxSpec, *, environment: Mapping[str, str] | None = None) -> Iterator[Sandbox]:
    """Open a sandbox; closed with the block, and with this process however it ends.

    `environment` is the host's (default: this process's): proxies and certificates are taken from it. HostError with
    what stood in the way.
    """
    host = dict(os.environ if environment is None else environment)
    ours, theirs = socket.socketpair()
    life_out, life_in = os.pipe()
    channel = Channel(ours)
    try:
        inner = _start_inner(theirs.fileno(), life_out)
    finally:
        theirs.close()
        os.close(life_out)
    try:
        channel.send(spec_to_json(spec))
        received = channel.receive()
        if received is None:
            raise HostError("the sandbox could not be started", hints=("see what this host can do: sealift doctor",))
        message = received[0]
        if message["said"] == "error":
            raise error_from_json(message["error"])
        sandbox = Sandbox(
            spec=spec, root=message["root"], upper=message["upper"], host_environment=host, _channel=channel
        )
        sandbox._extra.update(_private_files(sandbox, host))  # noqa: SLF001
        place = os.path.dirname(os.path.dirname(os.path.abspath(spec.work)))
        if stale := stale_folders(place):
            sandbox.call("sealift.sandbox.workfolder:remove_stale", folders=stale)
        try:
            yield sandbox
        finally:
            _ask_to_close(channel)
    finally:
        channel.close()
        os.close(life_in)
        try:
            inner.wait(timeout=20)
        except subprocess.TimeoutExpired:
            inner.kill()
            inner.wait()


def _ask_to_close(channel: Channel) -> None:
    """Have the inner side end what still runs and remove its files, which this side may not be allowed to."""
    with contextlib.suppress(OSError, ValueError):
        channel.patience(CLOSING)
        channel.send({"do": "close"})
        while (received := channel.receive()) is not None and received[0]["said"] != "closed":
            pass


def _start_inner(control: int, life: int) -> subprocess.Popen[bytes]:
    # A fresh interpreter: one thread, which namespaces want, and no memory of ours that a kill would have to return.
    paths = [os.path.abspath(each) for each in sys.path]
    code = (
        f"import sys; sys.path[:] = {paths!r}; from sealift.sandbox.inner import main; "
        f"sys.exit(main({control}, {life}, {os.getpid()}))"
    )
    return subprocess.Popen(
        [sys.executable, "-I", "-c", code],
        stdin=subprocess.DEVNULL,
        pass_fds=(control, life),
        start_new_session=True,
    )


def _private_files(sandbox: Sandbox, host: Mapping[str, str]) -> dict[str, str]:
    """Copy the host's certificates beside the sandbox; the variables that name them, for commands inside."""
    variables: dict[str, str] = {}
    placed: dict[str, str] = {}
    for variable, source in certificate_files(host).items():
        real = os.path.realpath(source)
        if real not in placed:
            name = f"certificates-{len(placed)}.pem"
            try:
                shutil.copyfile(real, os.path.join(sandbox.spec.work, "private", name))
            except OSError:
                continue
            placed[real] = f"{PRIVATE}/{name}"
        variables[variable] = placed[real]
    apt = ""
    if bundle := variables.get("SSL_CERT_FILE"):
        # These two look at no variable of the bundle's name, but at one of a file that names it.
        apt += f'Acquire::https::CAInfo "{bundle}";\n'
        variables["WGETRC"] = sandbox.place("wgetrc", f"ca_certificate = {bundle}\n".encode())
    if sandbox.spec.footing.mode == "single":
        # apt drops to a user of its own and looks whether that worked; with one id there is none to drop to.
        apt += 'APT::Sandbox::User "root";\n'
    if apt:
        variables["APT_CONFIG"] = sandbox.place("apt.conf", apt.encode())
    return variables
