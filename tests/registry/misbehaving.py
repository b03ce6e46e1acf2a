"""A registry on loopback that does what a test tells it: every answer can be replaced, cut or delayed."""

from __future__ import annotations

import json
import re
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Literal
from urllib.parse import parse_qs, urlsplit

from sealift.core.digest import Digest, sha256
from sealift.oci import mediatypes


@dataclass(frozen=True, kw_only=True)
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes = b""


@dataclass(kw_only=True)
class Reply:
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    length: int | None = None
    """What Content-Length claims; None for the truth."""
    cut: int | None = None
    """Bytes of the body after which the connection ends, by `how`."""
    how: Literal["reset", "close"] = "reset"
    wait: threading.Event | None = None
    """Set by the test before the body (behind `cut` bytes, if given) goes on."""


Handler = Callable[[Seen], Reply | None]


class _Quiet(ThreadingHTTPServer):
    """A client that breaks off is part of the game."""

    daemon_threads = True

    def handle_error(self, *_: object) -> None:
        pass


class Server:
    """Answers by the first handler that does not say None; `faults` come before, each used once."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.handlers: list[Handler] = []
        self.faults: list[tuple[str, Reply]] = []
        self.hungry: list[int] = []
        """For the next requests that have a body: after how many bytes of it the connection breaks."""
        self._guard = threading.Lock()
        server = self

        class Inner(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def handle_any(self) -> None:
                length = int(self.headers.get("content-length", "0"))
                body = self.rfile.read(min(length, server.hungry.pop(0) if server.hungry and length else length))
                seen = Seen(
                    method=self.command,
                    path=self.path,
                    headers={name.lower(): value for name, value in self.headers.items()},
                    body=body,
                )
                if len(body) < length:
                    server._lost(self, seen)
                    return
                server._answer(self, seen)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = handle_any  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._http = _Quiet(("127.0.0.1", 0), Inner)
        self.host = f"127.0.0.1:{self._http.server_address[1]}"
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))

    def fault(self, path: str, *replies: Reply) -> None:
        """Give these answers, one after the other, to requests whose path matches the pattern."""
        self.faults += [(path, reply) for reply in replies]

    def requests(self, path: str) -> list[Seen]:
        return [seen for seen in self.seen if re.search(path, seen.path)]

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def _choose(self, seen: Seen) -> Reply:
        with self._guard:
            self.seen.append(seen)
            for position, (path, reply) in enumerate(self.faults):
                if re.search(path, seen.path):
                    del self.faults[position]
                    return reply
        for handler in self.handlers:
            answer = handler(seen)
            if answer is not None:
                return answer
        return Reply(status=404, body=b'{"errors":[{"code":"NOT_FOUND","message":"nothing here"}]}')

    def _lost(self, http: BaseHTTPRequestHandler, seen: Seen) -> None:
        """A body that broke off: the handlers are told of what came, and nobody hears their answer."""
        self._choose(seen)
        http.close_connection = True
        http.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        http.connection.close()

    def _answer(self, http: BaseHTTPRequestHandler, seen: Seen) -> None:
        reply = self._choose(seen)
        http.send_response(reply.status)
        for name, value in reply.headers.items():
            http.send_header(name, value)
        length = len(reply.body) if reply.length is None else reply.length
        http.send_header("Content-Length", str(length))
        http.end_headers()
        if seen.method == "HEAD":
            return
        try:
            first = reply.body if reply.cut is None else reply.body[: reply.cut]
            if reply.wait is not None and reply.cut is None:
                reply.wait.wait(60)
            http.wfile.write(first)
            http.wfile.flush()
            if reply.cut is None:
                return
            if reply.wait is not None:
                reply.wait.wait(60)
                http.wfile.write(reply.body[reply.cut :])
                return
        except OSError:
            return
        http.close_connection = True
        if reply.how == "reset":
            # What was sent must have arrived before the reset overtakes it: wait until the other side took it.
            _drained(http.connection)
            http.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            http.connection.close()


def _drained(connection: socket.socket) -> None:
    import fcntl
    import termios
    import time

    for _ in range(2000):
        waiting = struct.unpack("i", fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, struct.pack("i", 0)))[0]
        if not waiting:
            return
        time.sleep(0.001)


@dataclass(kw_only=True)
class Image:
    """An image in memory, and a handler that serves it as a well-behaved registry."""

    repository: str
    layers: list[bytes]
    tag: str = "1"
    config: dict[str, Any] = field(default_factory=dict)
    ranges: bool = True
    layer_type: str = mediatypes.OCI_LAYER

    def __post_init__(self) -> None:
        config = {
            "os": "linux",
            "architecture": "amd64",
            "rootfs": {"type": "layers", "diff_ids": [sha256(layer) for layer in self.layers]},
        } | self.config
        self.config_data = json.dumps(config).encode()
        self.manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": mediatypes.OCI_MANIFEST,
                "config": self.descriptor(self.config_data, mediatypes.OCI_CONFIG),
                "layers": [self.descriptor(layer, self.layer_type) for layer in self.layers],
            }
        ).encode()
        self.documents = {self.tag: (self.manifest, mediatypes.OCI_MANIFEST)}
        self.documents[self.digest] = self.documents[self.tag]
        self.blobs: dict[str, bytes] = {sha256(data): data for data in (self.config_data, *self.layers)}

    @property
    def digest(self) -> Digest:
        return sha256(self.manifest)

    @staticmethod
    def descriptor(data: bytes, media_type: str) -> dict[str, Any]:
        return {"mediaType": media_type, "digest": sha256(data), "size": len(data)}

    def __call__(self, seen: Seen) -> Reply | None:
        match = re.fullmatch(rf"/v2/{re.escape(self.repository)}/(manifests|blobs)/([^?]+)", seen.path)
        if seen.path == "/v2/":
            return Reply(body=b"{}")
        if not match:
            return None
        if match[1] == "manifests":
            found = self.documents.get(match[2])
            return None if found is None else Reply(headers={"Content-Type": found[1]}, body=found[0])
        data = self.blobs.get(match[2])
        return None if data is None else self.serve(seen, data)

    def serve(self, seen: Seen, data: bytes) -> Reply:
        """The bytes, or the range that is asked for."""
        asked = re.fullmatch(r"bytes=(\d+)-", seen.headers.get("range", ""))
        if not asked or not self.ranges:
            return Reply(body=data)
        start = int(asked[1])
        if start >= len(data):
            return Reply(status=416)
        return Reply(
            status=206,
            headers={"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"},
            body=data[start:],
        )


@contextmanager
def serving(*handlers: Handler) -> Iterator[Server]:
    server = Server()
    server.handlers += handlers
    server.start()
    try:
        yield server
    finally:
        server.stop()


@dataclass(kw_only=True)
class Uploads:
    """A handler that takes blobs and manifests as the distribution specification says, into memory."""

    repository: str = "org/app"
    elsewhere: dict[str, dict[str, bytes]] = field(default_factory=dict)
    """Blobs of other repositories, which can be mounted."""
    blobs: dict[str, bytes] = field(default_factory=dict)
    manifests: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """By tag: media type and bytes."""
    sessions: dict[str, bytearray] = field(default_factory=dict)
    begun: int = 0

    def __call__(self, seen: Seen) -> Reply | None:
        parts = urlsplit(seen.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        path = parts.path.removeprefix(f"/v2/{self.repository}/")
        if parts.path == "/v2/":
            return Reply()
        if path == "blobs/uploads/" and seen.method == "POST":
            return self._begin(query)
        if path.startswith("blobs/uploads/"):
            return self._go_on(seen, path.removeprefix("blobs/uploads/"), query)
        if path.startswith("blobs/") and seen.method == "HEAD":
            return Reply(status=200 if path.removeprefix("blobs/") in self.blobs else 404)
        if path.startswith("manifests/"):
            return self._manifest(seen, path.removeprefix("manifests/"))
        return None

    def _begin(self, query: dict[str, str]) -> Reply:
        found = self.elsewhere.get(query.get("from", ""), {}).get(query.get("mount", ""))
        if found is not None:
            self.blobs[query["mount"]] = found
            return Reply(status=201)
        self.begun += 1
        self.sessions[str(self.begun)] = bytearray()
        return Reply(status=202, headers=self._where(str(self.begun)))

    def _where(self, name: str) -> dict[str, str]:
        arrived = len(self.sessions[name])
        location = f"/v2/{self.repository}/blobs/uploads/{name}?state={arrived}"
        return {"Location": location, "Range": f"0-{max(0, arrived - 1)}"}

    def _go_on(self, seen: Seen, name: str, query: dict[str, str]) -> Reply | None:
        data = self.sessions.get(name)
        if data is None:
            return None
        if seen.method == "GET":
            return Reply(status=204, headers=self._where(name))
        if seen.method == "DELETE":
            del self.sessions[name]
            return Reply(status=204)
        if seen.method == "PATCH":
            first = int(seen.headers["content-range"].partition("-")[0])
            if first != len(data) or query["state"] != str(first):
                return Reply(status=416, headers=self._where(name))
        data += seen.body
        if seen.method == "PATCH":
            return Reply(status=202, headers=self._where(name))
        if sha256(bytes(data)) != query["digest"]:
            return Reply(status=400, body=b'{"errors":[{"code":"DIGEST_INVALID","message":"wrong digest"}]}')
        self.blobs[query["digest"]] = bytes(data)
        del self.sessions[name]
        return Reply(status=201)

    def _manifest(self, seen: Seen, name: str) -> Reply:
        if seen.method == "PUT":
            kept = (seen.headers["content-type"], seen.body)
            self.manifests[name] = self.manifests[sha256(seen.body)] = kept
            return Reply(status=201, headers={"Docker-Content-Digest": sha256(seen.body)})
        if name not in self.manifests:
            return Reply(status=404)
        media_type, data = self.manifests[name]
        return Reply(headers={"Content-Type": media_type, "Docker-Content-Digest": sha256(data)}, body=data)
