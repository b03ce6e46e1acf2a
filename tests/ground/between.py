"""A proxy on loopback before a real registry: it cuts bodies, or answers in its place, as a test says."""

from __future__ import annotations

import http.client
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_HOP = frozenset({"connection", "transfer-encoding", "content-length", "keep-alive"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    method: str
    path: str
    headers: Mapping[str, str]
    """Names in lower case."""
    size: int
    """Bytes of the body."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


@dataclass(slots=True, kw_only=True)
class Between:
    """`host` is what a client speaks to. `asked` are all requests, in the order in which they came."""

    host: str = ""
    asked: list[Asked] = field(default_factory=list)
    cuts: list[int] = field(default_factory=list)
    """For the next bodies: after how many bytes the connection breaks, on both sides."""
    instead: Callable[[Asked], Answer | None] = lambda _asked: None
    """An answer in the place of the registry's; may wait."""

    def methods(self, *wanted: str) -> list[str]:
        return [one.method for one in self.asked if one.method in wanted]


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        pass


@contextmanager
def before(registry: str) -> Iterator[Between]:
    """Stand before the registry at `HOST:PORT` until the block ends."""
    between = Between()
    guard = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def handle_any(self) -> None:
            size = int(self.headers.get("content-length", "0"))
            headers = {name.lower(): value for name, value in self.headers.items()}
            asked = Asked(method=self.command, path=self.path, headers=headers, size=size)
            with guard:
                between.asked.append(asked)
                cut = between.cuts.pop(0) if between.cuts and size else size
            answer = between.instead(asked)
            if answer is not None:
                self.rfile.read(size)
                self._send(answer.status, answer.headers, answer.body)
                return
            upstream = http.client.HTTPConnection(registry, timeout=60)
            upstream.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                upstream.putheader(name, value)
            upstream.endheaders()
            left = min(cut, size)
            while left:
                data = self.rfile.read(min(left, 1 << 16))
                left -= len(data)
                upstream.send(data)
            if cut < size:
                upstream.close()
                self.close_connection = True
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()
                return
            response = upstream.getresponse()
            body = response.read()
            self._send(response.status, dict(response.getheaders()), body, length=response.getheader("content-length"))
            upstream.close()

        do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

        def _send(self, status: int, headers: Mapping[str, str], body: bytes, *, length: str | None = None) -> None:
            self.send_response_only(status)
            for name, value in headers.items():
                if name.lower() not in _HOP:
                    self.send_header(name, value)
            self.send_header("Content-Length", length if length is not None else str(len(body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = _Quiet(("127.0.0.1", 0), Handler)
    between.host = f"127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield between
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
