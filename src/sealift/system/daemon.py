"""The socket of a Docker daemon, or of Podman in its place: where it is, and HTTP through it.

DOCKER_HOST   unix:///path, tcp://HOST[:PORT] (with TLS when DOCKER_TLS_VERIFY is set, by the files in
              DOCKER_CERT_PATH); without it /var/run/docker.sock
"""

from __future__ import annotations

import contextlib
import http.client
import io
import os
import socket
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Literal
from urllib.parse import urlsplit

from sealift.errors import HostError, SealiftError, UsageError
from sealift.system.home import home_folder
from sealift.system.web import BrokenError

DEFAULT_SOCKET = "/var/run/docker.sock"
TIMEOUT = 300.0
"""Seconds without a byte: a daemon writes an image to its own disk before the first one comes."""
UNPACKING = 3600.0
"""The same after an image was sent, which a daemon unpacks without a word."""
_PODMAN = "systemctl --user start podman.socket; export DOCKER_HOST=unix://$XDG_RUNTIME_DIR/podman/podman.sock"
_SAVE = "or let it write a file elsewhere: docker save NAME -o image.tar; then docker-archive:image.tar"


@dataclass(frozen=True, slots=True, kw_only=True)
class DaemonAddress:
    """Where a daemon listens; `path` for `unix`, else `host` and `port`. `certificates` is a folder of PEM files."""

    kind: Literal["unix", "tcp", "tls"]
    path: str = ""
    host: str = "localhost"
    port: int = 0
    certificates: str = ""

    def __str__(self) -> str:
        return self.path if self.kind == "unix" else f"{self.host}:{self.port}"


def find_daemon(env: Mapping[str, str]) -> DaemonAddress:
    """Where the environment says that the daemon is; UsageError for an address that cannot be spoken to."""
    name = next((each for each in ("APPTAINER_DOCKER_HOST", "DOCKER_HOST") if env.get(each)), "")
    text = env.get(name, "")
    if not text:
        return DaemonAddress(kind="unix", path=DEFAULT_SOCKET)
    if text.startswith("unix://"):
        return DaemonAddress(kind="unix", path=text.removeprefix("unix://"))
    try:
        parts = urlsplit(text)
        host, port = parts.hostname, parts.port
    except ValueError:
        host = None
    if host and parts.scheme in ("tcp", "http", "https"):
        secure = parts.scheme == "https" or bool(env.get("DOCKER_TLS_VERIFY"))
        folder = env.get("DOCKER_CERT_PATH") or os.path.join(home_folder(env), ".docker")
        port = port or (2376 if secure else 2375)
        return DaemonAddress(
            kind="tls" if secure else "tcp", host=host, port=port, certificates=folder if secure else ""
        )
    raise UsageError(
        f"`{name}={text}` is no address of a Docker daemon that Sealift can speak to",
        hints=("export DOCKER_HOST=unix:///var/run/docker.sock, or tcp://HOST:2375", _SAVE),
    )


class DaemonAnswer:
    """An answer whose body is still to come."""

    def __init__(self, connection: http.client.HTTPConnection, answer: http.client.HTTPResponse, where: str) -> None:
        self.status = answer.status
        self._connection = connection
        self._answer = answer
        self._where = where

    def read(self, amount: int) -> bytes:
        """Up to `amount` bytes, b"" at the end. BrokenError, also for an end too early."""
        try:
            data = self._answer.read(amount)
        except (http.client.HTTPException, OSError) as error:
            raise BrokenError(f"the connection to `{self._where}` broke: {_reason(error)}") from error
        # http.client takes an end before the announced length for the end.
        if not data and amount and self._answer.length:
            raise BrokenError(f"the connection to `{self._where}` broke: {self._answer.length} bytes are missing")
        return data

    def close(self) -> None:
        self._answer.close()
        self._connection.close()


def ask_daemon(address: DaemonAddress, path: str, *, send: Callable[[BinaryIO], None] | None = None) -> DaemonAnswer:
    """GET `path`, or POST what `send` writes to a file. Any status is an answer; HostError where nobody listens or we
    may not, and what `send` raises.
    """
    connection = _connection(address)
    try:
        connection.putrequest("GET" if send is None else "POST", path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", "docker")
        connection.putheader("User-Agent", "sealift")
        if send is None:
            connection.endheaders()
        else:
            connection.putheader("Content-Type", "application/x-tar")
            connection.putheader("Transfer-Encoding", "chunked")
            connection.endheaders()
            _send(connection, send)
            if connection.sock is not None:
                connection.sock.settimeout(UNPACKING)
        return DaemonAnswer(connection, connection.getresponse(), str(address))
    except SealiftError:
        connection.close()
        raise
    except PermissionError as error:
        connection.close()
        raise HostError(
            f"no permission to speak to the Docker daemon at `{address}`",
            hints=(
                "ask an administrator to add you to its group: usermod -aG docker YOU",
                f"a Podman of your own will do: {_PODMAN}",
            ),
        ) from error
    except (OSError, http.client.HTTPException) as error:
        connection.close()
        raise HostError(
            f"no Docker daemon answers at `{address}`: {_reason(error)}",
            hints=(
                "is it running, and does DOCKER_HOST say where? see: docker version",
                f"Podman will do: {_PODMAN}",
                _SAVE,
            ),
        ) from error


def _send(connection: http.client.HTTPConnection, send: Callable[[BinaryIO], None]) -> None:
    # A daemon that has seen enough answers before the end, and hangs up: then its answer says why.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        with io.BufferedWriter(_Chunks(connection), buffer_size=1 << 20) as file:
            send(file)
        connection.send(b"0\r\n\r\n")


class _Chunks(io.RawIOBase):
    """A body whose length is not known before (RFC 9112, 7.1)."""

    def __init__(self, connection: http.client.HTTPConnection) -> None:
        self._connection = connection

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        count = len(data)
        if count:
            self._connection.send(b"%x\r\n" % count)
            self._connection.send(data)
            self._connection.send(b"\r\n")
        return count


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or str(error) or type(error).__name__).lower()


def _connection(address: DaemonAddress) -> http.client.HTTPConnection:
    if address.kind == "unix":
        return _UnixConnection(address.path)
    if address.kind == "tcp":
        return http.client.HTTPConnection(address.host, address.port, timeout=TIMEOUT)
    return http.client.HTTPSConnection(address.host, address.port, timeout=TIMEOUT, context=_context(address))


def _context(address: DaemonAddress) -> ssl.SSLContext:
    authority, certificate, key = (os.path.join(address.certificates, f"{name}.pem") for name in ("ca", "cert", "key"))
    try:
        context = ssl.create_default_context(cafile=authority if os.path.exists(authority) else None)
        if os.path.exists(certificate):
            context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise HostError(
            f"the certificates for the Docker daemon in `{address.certificates}` cannot be used: {_reason(error)}",
            hints=("name their folder (ca.pem, cert.pem, key.pem): export DOCKER_CERT_PATH=…",),
        ) from error
    return context


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str) -> None:
        super().__init__("docker", timeout=TIMEOUT)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self.sock.settimeout(TIMEOUT)
            self.sock.connect(self._path)
        except BaseException:
            with contextlib.suppress(OSError):
                self.sock.close()
            raise
