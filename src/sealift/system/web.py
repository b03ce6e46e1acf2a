"""The network: the one door through which Sealift speaks HTTP.

Bodies are streamed and never decompressed on the way (the digests of registries are over what is transferred).
Redirects are followed here, and credentials stay with the host that they were meant for.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import SplitResult, urljoin, urlsplit

from sealift.errors import FetchError, HostError, UnreachableError
from sealift.system.proxies import choose_proxy
from sealift.system.tls import certificate_folder, make_context

if TYPE_CHECKING:
    import urllib3

CONNECT_TIMEOUT = 20.0
READ_TIMEOUT = 60.0
"""Seconds without a single byte."""
REDIRECTS = 8
_SECRET_HEADERS = frozenset({"authorization", "cookie", "x-registry-auth"})


class BrokenError(UnreachableError):
    """The connection was refused or broke: another try may do better."""


Body = bytes | Callable[[], Iterable[bytes]]
"""What is sent: bytes, or what gives them anew each time they are to be sent; then `Content-Length` is a header."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """`insecure` accepts any certificate; it does not turn https into http."""

    method: str = "GET"
    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: Body = field(default=b"", repr=False)
    insecure: bool = False


class Response(Protocol):
    """An answer whose body is still to come. `headers` have lower-case names; `url` is where redirects ended."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]: ...

    @property
    def url(self) -> str: ...

    def read(self, amount: int) -> bytes:
        """What is there, up to `amount` bytes; b"" at the end. Raises BrokenError, also for an end too early."""

    def close(self) -> None:
        """Give the connection back, or end it when the body was not read."""

    def abort(self) -> None:
        """Make a `read` that waits in another thread end."""


class Web(Protocol):
    """What fetches. Tests put their own in its place."""

    def open(self, request: Request) -> Response:
        """Send a request. Any status is an answer. Raises UnreachableError, BrokenError where a retry may help."""


class HttpWeb:
    """The network itself, with the proxies and the certificate authorities that `env` names. Safe for threads."""

    def __init__(
        self, env: Mapping[str, str], *, read_timeout: float = READ_TIMEOUT, user_agent: str = "sealift"
    ) -> None:
        self._env = env
        self._read_timeout = read_timeout
        self._user_agent = user_agent
        self._pools: dict[tuple[str | None, bool, str], Any] = {}
        self._guard = threading.Lock()

    def open(self, request: Request) -> Response:
        url = request.url
        headers = {"User-Agent": self._user_agent, "Accept-Encoding": "identity", **request.headers}
        method, body = request.method, request.body
        for _ in range(REDIRECTS + 1):
            raw = self._send(method, url, headers, body, insecure=request.insecure)
            location = raw.headers.get("location", "")
            if raw.status not in (301, 302, 303, 307, 308) or not location:
                return _Answer(raw, url)
            if _is_short(raw):
                raw.drain_conn()
            raw.close()
            split_address(location)
            target = urljoin(url, location)
            _check_redirect(url, target)
            if _origin(target) != _origin(url):
                headers = {k: v for k, v in headers.items() if k.lower() not in _SECRET_HEADERS}
            if raw.status == 303 and method != "HEAD":
                method, body = "GET", b""
            url = target
        raise FetchError(f"`{_shown(request.url)}` redirects more than {REDIRECTS} times")

    def close(self) -> None:
        with self._guard:
            for pool in self._pools.values():
                pool.clear()
            self._pools.clear()

    def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: Body, *, insecure: bool
    ) -> urllib3.BaseHTTPResponse:
        import urllib3

        parts = split_address(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise FetchError(f"`{_shown(url)}` is not an address that can be fetched")
        with _translated(url):
            port = parts.port or (443 if parts.scheme == "https" else 80)
            proxy = choose_proxy(self._env, parts.scheme, parts.hostname, port)
            host = parts.netloc.rpartition("@")[2]
            folder = certificate_folder(self._env, host) if parts.scheme == "https" else ""
            response: urllib3.BaseHTTPResponse = self._pool(proxy, insecure, folder).request(
                method,
                url,
                headers=headers,
                body=body() if callable(body) else body or None,
                preload_content=False,
                decode_content=False,
                redirect=False,
                retries=False,
                timeout=urllib3.Timeout(connect=CONNECT_TIMEOUT, read=self._read_timeout),
            )
            return response

    def _pool(self, proxy: str | None, insecure: bool, folder: str) -> urllib3.PoolManager:
        import urllib3

        with self._guard:
            pool = self._pools.get((proxy, insecure, folder))
            if pool is None:
                options: dict[str, Any] = {
                    "num_pools": 16,
                    "maxsize": 8,
                    "ssl_context": make_context(self._env, insecure=insecure, folder=folder),
                }
                if insecure:
                    options["assert_hostname"] = False
                    # The user asked for it; urllib3 would say so at every request.
                    urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
                pool = urllib3.PoolManager(**options) if proxy is None else _proxy_pool(proxy, options)
                self._pools[proxy, insecure, folder] = pool
            return pool


class _Answer:
    """urllib3's response behind our protocol."""

    def __init__(self, raw: urllib3.BaseHTTPResponse, url: str) -> None:
        self.status = raw.status
        self.url = url
        self.headers = {name.lower(): value for name, value in raw.headers.items()}
        self._raw = raw

    def read(self, amount: int) -> bytes:
        with _translated(self.url):
            # What one receive brings: a slow line shows progress, and a break loses nothing.
            return self._raw.read1(amount, decode_content=False)

    def abort(self) -> None:
        # Closing from another thread would wait for the reader, which waits for the network.
        with contextlib.suppress(OSError, ValueError, RuntimeError, AttributeError):
            self._raw.shutdown()

    def close(self) -> None:
        self._raw.close()


def _proxy_pool(proxy: str, options: dict[str, Any]) -> urllib3.PoolManager:
    import urllib3

    parts = urlsplit(proxy)
    if parts.scheme not in ("http", "https"):
        raise HostError(
            f"the proxy `{_shown(proxy)}` is of a kind that is not supported",
            hints=("name an http:// or https:// proxy in https_proxy",),
        )
    headers = {}
    if parts.username:
        from urllib.parse import unquote

        login = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers = urllib3.make_headers(proxy_basic_auth=login)
    return urllib3.ProxyManager(proxy, proxy_headers=headers, **options)


@contextlib.contextmanager
def _translated(url: str) -> Iterator[None]:
    """urllib3's errors as ours."""
    import http.client

    import urllib3.exceptions as their

    shown = _shown(url)
    try:
        yield
    except (their.NameResolutionError, their.NewConnectionError) as error:
        raise BrokenError(f"no connection to `{shown}`: {_cause(error)}", hints=_NETWORK_HINTS) from error
    except their.ConnectTimeoutError as error:
        raise BrokenError(f"no connection to `{shown}` within {CONNECT_TIMEOUT:g} s", hints=_NETWORK_HINTS) from error
    except their.ProxyError as error:
        raise BrokenError(
            f"the proxy did not let us through to `{shown}`: {_cause(error)}",
            hints=("look at the variables https_proxy, http_proxy and no_proxy",),
        ) from error
    except their.SSLError as error:
        raise _tls_error(shown, error) from error
    except their.ReadTimeoutError as error:
        raise BrokenError(f"`{shown}` stopped answering") from error
    except their.LocationParseError as error:
        raise FetchError(f"`{shown}` is not an address") from error
    except (their.HTTPError, http.client.HTTPException, OSError) as error:
        raise BrokenError(f"the connection to `{shown}` broke: {_cause(error)}") from error


_NETWORK_HINTS = (
    "is this a machine with a way out? compute nodes often have none: try a login node",
    "behind a proxy: export https_proxy=http://HOST:PORT",
)


class TlsError(UnreachableError):
    """The other side does not speak TLS, or its certificate is not trusted."""

    def __init__(self, message: str, *, hints: tuple[str, ...] = (), untrusted: bool) -> None:
        super().__init__(message, hints=hints)
        self.untrusted = untrusted


def _tls_error(shown: str, error: Exception) -> UnreachableError:
    text = _cause(error)
    if "CERTIFICATE_VERIFY_FAILED" in text or "certificate" in text.lower():
        return TlsError(
            f"the certificate of `{shown}` is not trusted: {text}",
            hints=("if your site re-signs TLS: export SSL_CERT_FILE=/path/to/the/site/bundle.pem",),
            untrusted=True,
        )
    if "EOF" in text or "reset" in text.lower():
        return BrokenError(f"the connection to `{shown}` broke: {text}")
    return TlsError(f"`{shown}` does not speak TLS: {text}", untrusted=False)


def _cause(error: BaseException) -> str:
    """What the lowest layer said: urllib3 wraps it three times."""
    reason: object = error
    for _ in range(5):
        inner = getattr(reason, "reason", None) or getattr(reason, "original_error", None)
        if not isinstance(inner, BaseException):
            inner = getattr(reason, "__cause__", None)
        if inner is None:
            break
        reason = inner
    if isinstance(reason, OSError) and reason.strerror:
        return reason.strerror
    return str(reason).strip() or type(reason).__name__


def _check_redirect(url: str, target: str) -> None:
    if urlsplit(url).scheme == "https" and urlsplit(target).scheme == "http":
        raise FetchError(f"`{_shown(url)}` redirects from https to plain http, which is not followed")


def _is_short(raw: urllib3.BaseHTTPResponse) -> bool:
    """Whether reading the rest is cheaper than a new connection."""
    length = raw.headers.get("content-length", "")
    return length.isdigit() and int(length) <= 1 << 16


def _origin(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def split_address(url: str) -> SplitResult:
    """The parts of an address that somebody else wrote; FetchError where it is none."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # read only now
    except ValueError as error:
        shown = re.sub(r"//[^/]*@", "//", url.partition("?")[0])[:200]
        shown = "".join(c for c in shown if c.isprintable())
        raise FetchError(f"`{shown}` is not an address") from error
    return parts


def _shown(url: str) -> str:
    """An address for messages: without login and without the query, which may hold a signature."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}"
