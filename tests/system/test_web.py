from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from sealift.errors import FetchError, HostError
from sealift.system.web import BrokenError, HttpWeb, Request, TlsError
from tests.registry.misbehaving import Reply, Server, serving

PEM = Path(__file__).with_name("loopback.pem")
"""A certificate of 127.0.0.1 that signs itself, with its key: for tests on loopback and nothing else."""


@contextlib.contextmanager
def opened(env: dict[str, str], *, read_timeout: float = 20.0) -> Iterator[HttpWeb]:
    web = HttpWeb(env, read_timeout=read_timeout)
    try:
        yield web
    finally:
        web.close()


def get(web: HttpWeb, url: str, *, insecure: bool = False) -> bytes:
    with contextlib.closing(web.open(Request(url=url, insecure=insecure))) as response:
        return b"".join(iter(lambda: response.read(1000), b""))


@pytest.fixture
def server() -> Iterator[Server]:
    with serving(lambda seen: Reply(body=seen.path.encode())) as running:
        yield running


@pytest.fixture
def tls_server() -> Iterator[Server]:
    server = Server()
    server.handlers.append(lambda _seen: Reply(body=b"secure"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)
    server._http.socket = context.wrap_socket(server._http.socket, server_side=True)
    server.start()
    yield server
    server.stop()


def test_an_answer(server: Server) -> None:
    with opened({}) as web:
        response = web.open(Request(url=f"http://{server.host}/x", headers={"X-Mine": "1"}))
        assert (response.status, response.url) == (200, f"http://{server.host}/x")
        assert response.headers["content-length"] == "2"
        assert [response.read(1), response.read(10), response.read(10)] == [b"/", b"x", b""]
        (seen,) = server.seen
        assert (seen.headers["x-mine"], seen.headers["accept-encoding"], seen.headers["user-agent"]) == (
            "1",
            "identity",
            "sealift",
        )


def test_bodies_are_not_inflated(server: Server) -> None:
    import gzip

    data = gzip.compress(b"layer")
    server.fault("/x", Reply(body=data, headers={"Content-Encoding": "gzip"}))
    with opened({}) as web:
        assert get(web, f"http://{server.host}/x") == data


def test_connections_are_used_again(server: Server) -> None:
    """Twenty small answers, one connection: the server's threads say how many there were."""
    ports: set[str] = set()
    original = server._answer

    def answer(http: object, seen: object) -> None:
        ports.add(str(getattr(http, "client_address", "")))
        original(http, seen)  # type: ignore[arg-type]

    server._answer = answer  # type: ignore[method-assign]
    with opened({}) as web:
        for _ in range(20):
            get(web, f"http://{server.host}/x")
    assert len(ports) == 1


class TestRedirects:
    @pytest.mark.parametrize(
        ("status", "method", "then"),
        [(301, "GET", "GET"), (302, "HEAD", "HEAD"), (303, "POST", "GET"), (307, "POST", "POST"), (308, "GET", "GET")],
    )
    def test_methods(self, server: Server, status: int, method: str, then: str) -> None:
        server.fault("/a", Reply(status=status, headers={"Location": "b"}))
        with opened({}) as web:
            web.open(
                Request(method=method, url=f"http://{server.host}/x/a", body=b"form" if method == "POST" else b"")
            ).close()
        assert [(seen.method, seen.path, seen.body) for seen in server.seen] == [
            (method, "/x/a", b"form" if method == "POST" else b""),
            (then, "/x/b", b"form" if then == "POST" else b""),
        ]

    @pytest.mark.parametrize("same", [True, False])
    def test_credentials_stay_with_their_host(self, server: Server, same: bool) -> None:
        with serving(lambda _seen: Reply()) as other:
            target = server.host if same else other.host
            server.fault("/a", Reply(status=302, headers={"Location": f"http://{target}/b"}))
            with opened({}) as web:
                headers = {"AUTHORIZATION": "Basic x", "Cookie": "y", "Range": "bytes=1-"}
                web.open(Request(url=f"http://{server.host}/a", headers=headers)).close()
            last = (server if same else other).seen[-1].headers
            assert (last.get("authorization"), last.get("cookie"), last["range"]) == (
                ("Basic x", "y", "bytes=1-") if same else (None, None, "bytes=1-")
            )

    def test_never_from_https_to_http(self, server: Server, tls_server: Server) -> None:
        tls_server.fault("/a", Reply(status=302, headers={"Location": f"http://{server.host}/b"}))
        with (
            opened({"SSL_CERT_FILE": str(PEM)}) as web,
            pytest.raises(FetchError, match="redirects from https to plain http"),
        ):
            get(web, f"https://{tls_server.host}/a")
        assert server.seen == []


class TestTls:
    @pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
    def test_the_site_s_bundle(self, tls_server: Server, variable: str) -> None:
        with opened({variable: str(PEM)}) as web:
            assert get(web, f"https://{tls_server.host}/") == b"secure"

    def test_an_unknown_certificate(self, tls_server: Server) -> None:
        with opened({}) as web, pytest.raises(TlsError) as caught:
            get(web, f"https://{tls_server.host}/x?signature=s3cret")
        assert caught.value.message.startswith(f"the certificate of `https://{tls_server.host}/x` is not trusted: ")
        assert caught.value.hints == ("if your site re-signs TLS: export SSL_CERT_FILE=/path/to/the/site/bundle.pem",)
        assert caught.value.untrusted

    def test_what_is_kept_for_one_registry(self, tls_server: Server, tmp_path: Path) -> None:
        """containers-certs.d(5): an authority for this host, and a certificate of ours to show."""
        folder = tmp_path / ".config" / "containers" / "certs.d" / tls_server.host
        folder.mkdir(parents=True)
        (folder / "ca.crt").write_bytes(PEM.read_bytes())
        (folder / "client.cert").write_bytes(PEM.read_bytes())
        (folder / "client.key").write_bytes(PEM.read_bytes())
        with opened({"HOME": str(tmp_path)}) as web:
            assert get(web, f"https://{tls_server.host}/") == b"secure"
        (folder / "client.key").unlink()
        with (
            opened({"HOME": str(tmp_path)}) as web,
            pytest.raises(HostError, match=r"our certificate .* cannot be read"),
        ):
            get(web, f"https://{tls_server.host}/")

    def test_insecure_on_request(self, tls_server: Server) -> None:
        with opened({}) as web:
            assert get(web, f"https://{tls_server.host}/", insecure=True) == b"secure"
            with pytest.raises(TlsError):
                get(web, f"https://{tls_server.host}/")

    def test_no_tls_at_all(self, server: Server) -> None:
        with opened({}) as web, pytest.raises(TlsError, match="does not speak TLS") as caught:
            get(web, f"https://{server.host}/")
        assert not caught.value.untrusted

    @pytest.mark.parametrize("content", [None, "", "no certificate"])
    def test_a_bundle_that_cannot_be_read(self, tmp_path: Path, content: str | None) -> None:
        path = tmp_path / "bundle.pem"
        if content is not None:
            path.write_text(content)
        with opened({"SSL_CERT_FILE": str(path)}) as web, pytest.raises(HostError) as caught:
            get(web, "https://127.0.0.1:1/")
        assert caught.value.message.startswith("the certificates that $SSL_CERT_FILE names cannot be read")
        assert caught.value.hints == ("unset SSL_CERT_FILE",)


class TestProxies:
    def test_plain(self, server: Server) -> None:
        with opened({"http_proxy": f"http://me:s%40cret@{server.host}"}) as web:
            assert get(web, "http://registry.invalid/v2/") == b"http://registry.invalid/v2/"
        assert server.seen[0].headers["proxy-authorization"] == "Basic bWU6c0BjcmV0"

    def test_exempt(self, server: Server) -> None:
        with opened({"http_proxy": "http://proxy.invalid:1", "no_proxy": "127.0.0.0/8"}) as web:
            assert get(web, f"http://{server.host}/x") == b"/x"

    def test_one_that_refuses(self, server: Server) -> None:
        with opened({"https_proxy": server.host}) as web, pytest.raises(BrokenError) as caught:
            get(web, "https://registry.invalid/")
        assert caught.value.message.startswith("the proxy did not let us through to `https://registry.invalid/`: ")
        assert caught.value.hints == ("look at the variables https_proxy, http_proxy and no_proxy",)

    def test_of_another_kind(self) -> None:
        with opened({"https_proxy": "socks5://me:s3cret@p:1"}) as web, pytest.raises(HostError) as caught:
            get(web, "https://registry.invalid/")
        assert caught.value.message == "the proxy `socks5://p:1` is of a kind that is not supported"


class Tunnel:
    """A proxy that answers CONNECT by joining the two sides, wherever the client wanted to go."""

    def __init__(self, target: str) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._target = target
        self.asked: list[bytes] = []
        self.host = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def _serve(self) -> None:
        client, _ = self._listener.accept()
        with client, socket.create_connection(("127.0.0.1", int(self._target.rpartition(":")[2]))) as server:
            self.asked.append(client.recv(65536).partition(b"\r\n")[0])
            client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            other = threading.Thread(target=self._copy, args=(server, client))
            other.start()
            self._copy(client, server)
            other.join()

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        self._thread.join(30)
        self._listener.close()


def test_https_through_a_proxy(tls_server: Server) -> None:
    tunnel = Tunnel(tls_server.host)
    with opened({"https_proxy": tunnel.host, "SSL_CERT_FILE": str(PEM)}) as web:
        assert get(web, "https://localhost:9/") == b"secure"
    tunnel.close()
    assert [line.rpartition(b" ")[0] for line in tunnel.asked] == [b"CONNECT localhost:9"]


class TestTrouble:
    @pytest.mark.parametrize(
        ("url", "message"),
        [
            ("http://registry.invalid/", "no connection to `http://registry.invalid/`: "),
            ("http://127.0.0.1:1/x?secret", "no connection to `http://127.0.0.1:1/x`: Connection refused"),
        ],
    )
    def test_no_connection(self, url: str, message: str) -> None:
        with opened({}) as web, pytest.raises(BrokenError) as caught:
            get(web, url)
        assert caught.value.message.startswith(message)

    @pytest.mark.parametrize("url", ["ftp://a/b", "file:///etc/passwd", "http://", "nonsense"])
    def test_no_address(self, url: str) -> None:
        with opened({}) as web, pytest.raises(FetchError, match="is not an address that can be fetched"):
            get(web, url)

    @pytest.mark.parametrize("url", ["http://[bad", "http://a:99999/"])
    def test_what_only_looks_like_one(self, server: Server, url: str) -> None:
        server.handlers.insert(0, lambda _seen: Reply(status=307, headers={"Location": url}))
        for asked in (url, f"http://{server.host}/x"):
            with opened({}) as web, pytest.raises(FetchError) as caught:
                get(web, asked)
            assert caught.value.message == f"`{url}` is not an address"

    @pytest.mark.parametrize("how", ["reset", "close"])
    def test_an_answer_that_is_cut(self, server: Server, how: str) -> None:
        server.fault("/x", Reply(body=b"0123456789", cut=4, how=how))  # type: ignore[arg-type]
        with opened({}) as web, contextlib.closing(web.open(Request(url=f"http://{server.host}/x"))) as response:
            assert response.read(4) == b"0123"
            with pytest.raises(BrokenError, match="broke"):
                response.read(4)

    def test_silence(self, server: Server) -> None:
        silence = threading.Event()
        server.fault("/x", Reply(body=b"0123456789", wait=silence))
        with (
            opened({}, read_timeout=0.1) as web,
            contextlib.closing(web.open(Request(url=f"http://{server.host}/x"))) as response,
            pytest.raises(BrokenError, match="stopped answering"),
        ):
            response.read(4)
        silence.set()
