"""Real services for one test session: a container registry and a Docker daemon, each in folders of its own."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.ground import session, users

PATIENCE = 60.0
"""Seconds until a service that does not answer is given up."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int) -> bool:
    """Whether nobody listens on this port of loopback now."""
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@contextmanager
def running(argv: list[str], *, log: Path, answers: str | Path, env: dict[str, str] | None = None) -> Iterator[int]:
    """Run a service until the block ends; it is up when its socket (`host:port`, or a path) accepts. Gives its pid."""
    with log.open("wb") as out:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env)
    try:
        deadline = time.monotonic() + PATIENCE
        while not _accepts(answers):
            if process.poll() is not None or time.monotonic() > deadline:
                raise AssertionError(f"{argv[0]} did not come up:\n{log.read_text(errors='replace')[-4000:]}")
            time.sleep(0.05)
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(answers: str | Path) -> None:
    """Return when a service that was started otherwise accepts; AssertionError when it takes too long."""
    deadline = time.monotonic() + PATIENCE
    while not _accepts(answers):
        assert time.monotonic() < deadline, f"nobody answers at {answers}"
        time.sleep(0.05)


def _accepts(where: str | Path) -> bool:
    family = socket.AF_UNIX if isinstance(where, Path) else socket.AF_INET
    address = str(where) if isinstance(where, Path) else (where.rpartition(":")[0], int(where.rpartition(":")[2]))
    with socket.socket(family) as probe:
        return probe.connect_ex(address) == 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Registry:
    """A real docker-registry on loopback, plain HTTP."""

    host: str
    """`127.0.0.1:PORT`."""
    storage: Path

    def push(self, layout: Path, tag: str, name: str) -> str:
        """Copy an image of an OCI layout to `name` (`repository:tag`) by skopeo; gives `docker://…` that names it."""
        reference = f"docker://{self.host}/{name}"
        subprocess.run(
            [*("skopeo", "copy", "--quiet", "--dest-tls-verify=false"), f"oci:{layout}:{tag}", reference], check=True
        )
        return reference


@contextmanager
def registry(folder: Path) -> Iterator[Registry]:
    storage = folder / "storage"
    storage.mkdir(parents=True)
    host = f"127.0.0.1:{free_port()}"
    config = folder / "config.yml"
    config.write_text(
        "version: 0.1\n"
        "log: {level: warn}\n"
        f"storage: {{filesystem: {{rootdirectory: {storage}}}, delete: {{enabled: true}}}}\n"
        f"http: {{addr: '{host}'}}\n"
    )
    with running(["docker-registry", "serve", str(config)], log=folder / "log", answers=host):
        yield Registry(host=host, storage=storage)


@dataclass(frozen=True, slots=True, kw_only=True)
class Docker:
    """Docker's client, talking to the session's own daemon: `docker("load", "-i", path)`."""

    endpoint: str

    def __call__(self, *arguments: str | Path, input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        """Run `docker ARGUMENTS`; AssertionError shows what it said when it failed."""
        argv = ["docker", *map(str, arguments)]
        done = subprocess.run(
            argv, input=input, capture_output=True, check=False, env=os.environ | {"DOCKER_HOST": self.endpoint}
        )
        assert done.returncode == 0, (argv, done.stderr.decode(errors="replace"))
        return done


@contextmanager
def docker(folder: Path, *, driver: str | None = None) -> Iterator[Docker]:
    """A daemon with its own data, state and socket; `driver` is its storage driver, else its own choice; needs root."""
    folder.mkdir(parents=True)
    socket_path = folder / "socket"
    config = folder / "daemon.json"
    config.write_text("{}")
    daemon = shutil.which("dockerd", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin") or "dockerd"
    argv = [
        *(daemon, "--config-file", str(config), "--iptables=false", "--ip6tables=false", "--bridge=none"),
        *("--data-root", str(folder / "data"), "--exec-root", str(folder / "exec")),
        *("--pidfile", str(folder / "pid"), "--host", f"unix://{socket_path}"),
        *(["--storage-driver", driver] if driver else []),
    ]
    try:
        with running(argv, log=folder / "log", answers=socket_path):
            yield Docker(endpoint=f"unix://{socket_path}")
    finally:
        # A container in the host's network makes this mount, and the daemon leaves it when it ends.
        subprocess.run(["umount", str(folder / "exec/netns/default")], capture_output=True, check=False)


def podman_settings(network: str = "") -> str:
    """A containers.conf; `network` is what a container has where nothing else is said, else Podman's own choice."""
    own = f'[containers]\nnetns = "{network}"\n' if network else ""
    # Debian's crun cannot do with machines that have cgroups of both versions.
    return f'{own}[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n'


@contextmanager
def podman(folder: Path, as_user: users.AsUser, *, network: str = "") -> Iterator[dict[str, str]]:
    """The variables with which the user with subuids has a Podman of his own, emptied at the end; needs "podman".

    `podman_settings` of `network` are containers.conf in `folder`.
    """
    settings = folder / "containers.conf"
    settings.write_text(podman_settings(network))
    # With a longer path to its socket, conmon keeps podman waiting for twenty seconds.
    with tempfile.TemporaryDirectory(prefix="run-", dir=session.folder()) as runtime:
        as_user.give(Path(runtime))
        env = {"XDG_RUNTIME_DIR": runtime, "CONTAINERS_CONF": str(settings)}
        try:
            yield env
        finally:
            as_user(["podman", "system", "reset", "--force"], env=env)
