"""Requests to one registry: https or http, who we are, tokens, retries, and what its errors mean."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import urlencode, urljoin, urlsplit, urlunsplit

from sealift.errors import DeniedError, FetchError, NotFoundError, SealiftError, UnreachableError
from sealift.registry.challenge import TOKEN_LIMIT, Challenge, Token, parse_challenges, parse_token
from sealift.registry.credentials import Credentials, Login
from sealift.registry.mirrors import Endpoint
from sealift.registry.retry import RETRY_STATUSES, Pacing, Patience, Retries, retry_after
from sealift.system.web import Body, BrokenError, Request, Response, TlsError, Web, split_address

_ERROR_LIMIT = 64 << 10
_CLIENT_ID = "sealift"


class BusyError(UnreachableError):
    """The registry says that another try may do better; `refusal` is what it means when none does."""

    def __init__(self, refusal: SealiftError, *, retry_after: float | None) -> None:
        super().__init__(refusal.message, hints=refusal.hints)
        self.refusal = refusal
        self.retry_after = retry_after


class RefusedError(FetchError):
    """The registry does not do what it was asked for; `status` is its answer's."""

    def __init__(self, message: str, *, hints: tuple[str, ...] = (), status: int) -> None:
        super().__init__(message, hints=hints)
        self.status = status


class Access:
    """Speaks with registries for one run of the program. Safe for threads; tokens and schemes are remembered."""

    def __init__(
        self,
        web: Web,
        credentials: Credentials,
        *,
        patience: Patience | None = None,
        pacing: Pacing | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._web = web
        self._credentials = credentials
        self._patience = patience or Patience()
        self._pacing = pacing or Pacing()
        self._clock = clock
        self._schemes: dict[str, str] = {}
        self._authorizations: dict[tuple[str, str, bool], tuple[str, float]] = {}
        self._guard = threading.RLock()

    def retries(self, *, brief: bool = False) -> Retries:
        """A new count; a `brief` one ends after two tries."""
        patience = replace(self._patience, tries=min(2, self._patience.tries)) if brief else self._patience
        return Retries(patience, self._pacing)

    def get(
        self,
        endpoint: Endpoint,
        path: str,
        *,
        what: str,
        headers: Mapping[str, str] | None = None,
        method: str = "GET",
        retries: Retries | None = None,
        accept: tuple[int, ...] = (200,),
    ) -> Response:
        """Ask `/v2/REPOSITORY/path`. Answers outside of `accept` become errors, after retries where those may help.

        `what` is how messages call the thing that is wanted.
        """
        retries = retries or self.retries()
        while True:
            retries.check()
            try:
                return self.once(
                    endpoint, path, what=what, headers=headers, method=method, retries=retries, accept=accept
                )
            except BrokenError as error:
                retries.pause(error)
            except BusyError as busy:
                retries.pause(busy.refusal, retry_after=busy.retry_after)

    def once(
        self,
        endpoint: Endpoint,
        place: str,
        *,
        what: str,
        retries: Retries,
        headers: Mapping[str, str] | None = None,
        method: str = "GET",
        body: Body = b"",
        accept: tuple[int, ...] = (200,),
    ) -> Response:
        """Ask once, as far as tries go: BrokenError or BusyError where another may help.

        `place` is a path as for `get`, or an address that the registry itself named.
        """
        renewed = False
        while True:
            response = self._ask(endpoint, method, place, headers or {}, body)
            if response.status in accept:
                return response
            # Another host, to which we were sent, may say no: our login is not for it, nor for a server that it names.
            if response.status == 401 and not renewed and serves(endpoint, response.url):
                renewed = True
                with contextlib.closing(response):
                    self._authorize(endpoint, response, what, retries)
                continue
            with contextlib.closing(response):
                refusal = self._explain(endpoint, response, what)
            if response.status not in RETRY_STATUSES:
                raise refusal
            raise BusyError(refusal, retry_after=retry_after(response.headers))

    def _ask(
        self, endpoint: Endpoint, method: str, place: str, headers: Mapping[str, str], body: Body = b""
    ) -> Response:
        url = self._address(endpoint, place)
        headers = dict(headers)
        with self._guard:
            known = self._authorizations.get((endpoint.host, endpoint.repository, endpoint.push))
        # What is shown to the registry is not for another host to which it sends our bytes.
        if known is not None and self._clock() < known[1] and serves(endpoint, url):
            headers["Authorization"] = known[0]
        request = Request(method=method, url=url, headers=headers, body=body, insecure=endpoint.insecure)
        return self._web.open(request)

    def _address(self, endpoint: Endpoint, place: str) -> str:
        scheme = self._scheme(endpoint)
        base = f"{scheme}://{endpoint.host}"
        if not place.startswith(("/", "http://", "https://")):
            return f"{base}/v2/{endpoint.repository}/{place}"
        split_address(place)
        parts = urlsplit(urljoin(base, place))
        if scheme == "https" and parts.scheme == "http":
            if parts.hostname != urlsplit(base).hostname:
                raise FetchError(f"`{endpoint.registry}` wants the image sent unencrypted, which is not done")
            # Behind a proxy that speaks TLS for it, a registry does not know that it is asked by https.
            parts = parts._replace(scheme="https", netloc=endpoint.host)
        return urlunsplit(parts)

    def _scheme(self, endpoint: Endpoint) -> str:
        """https; for loopback and insecure registries http where nobody speaks TLS, as Docker and skopeo have it."""
        if not endpoint.insecure and not is_loopback(endpoint.host):
            return "https"
        with self._guard:
            if endpoint.host not in self._schemes:
                self._schemes[endpoint.host] = self._probe(endpoint)
            return self._schemes[endpoint.host]

    def _probe(self, endpoint: Endpoint) -> str:
        try:
            self._web.open(Request(url=f"https://{endpoint.host}/v2/", insecure=endpoint.insecure)).close()
        except TlsError as error:
            if error.untrusted:
                raise
            return "http"
        except UnreachableError:
            self._web.open(Request(url=f"http://{endpoint.host}/v2/")).close()
            return "http"
        return "https"

    def _authorize(self, endpoint: Endpoint, response: Response, what: str, retries: Retries) -> None:
        """Get what the next request shall show; DeniedError when we have nothing (else) to show."""
        challenges = {each.scheme: each for each in parse_challenges(response.headers.get("www-authenticate", ""))}
        login = self._credentials.find(endpoint.registry, endpoint.repository, mirror=endpoint.mirror)
        if "bearer" in challenges:
            began = self._clock()
            token = self._token(endpoint, challenges["bearer"], login, what, retries)
            # A tenth off, so that a token does not expire on its way.
            self._remember(endpoint, f"Bearer {token.text}", began + token.life * 0.9)
        elif "basic" in challenges and login is not None and not login.identity_token:
            self._remember(endpoint, login.basic, float("inf"))
        elif "basic" in challenges:
            raise self._denied(endpoint, what, "wants a login", login)
        else:
            raise self._denied(endpoint, what, "says no, in a way that is not supported", login)

    def _remember(self, endpoint: Endpoint, value: str, until: float) -> None:
        with self._guard:
            self._authorizations[endpoint.host, endpoint.repository, endpoint.push] = (value, until)

    def _token(
        self, endpoint: Endpoint, challenge: Challenge, login: Login | None, what: str, retries: Retries
    ) -> Token:
        request = self._token_request(endpoint, challenge, login)
        realm = printable(request.url.partition("?")[0])
        while True:
            try:
                response = self._web.open(request)
                with contextlib.closing(response):
                    data = response.read(TOKEN_LIMIT)
            except BrokenError as error:
                retries.pause(error)
                continue
            if response.status == 200:
                return parse_token(data, realm=realm)
            if response.status in (400, 401, 403, 404):
                raise self._denied(endpoint, what, "does not accept the login" if login else "wants a login", login)
            failure = FetchError(f"the token server `{realm}` answered with {response.status}")
            if response.status not in RETRY_STATUSES:
                raise failure
            retries.pause(failure, retry_after=retry_after(response.headers))

    def _token_request(self, endpoint: Endpoint, challenge: Challenge, login: Login | None) -> Request:
        realm = challenge.parameters.get("realm", "")
        parts = split_address(realm)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise FetchError(f"`{endpoint.registry}` names no token server: `{printable(realm[:200])}`")
        if login is not None and parts.scheme == "http" and self._scheme(endpoint) == "https":
            shown = printable(realm)
            raise FetchError(f"`{endpoint.registry}` wants the login sent unencrypted to `{shown}`, which is not done")
        scope = _scope(endpoint, challenge.parameters.get("scope", ""))
        fields = [("scope", each) for each in scope.split(" ") if each]
        if "service" in challenge.parameters:
            fields.insert(0, ("service", challenge.parameters["service"]))
        if login is not None and login.identity_token:
            # OAuth 2 refresh (distribution's auth/oauth): the only request that carries an identity token.
            form = [
                ("grant_type", "refresh_token"),
                ("client_id", _CLIENT_ID),
                ("refresh_token", login.identity_token),
                *((name, value) for name, value in fields if name == "service"),
                ("scope", scope),
            ]
            return Request(
                method="POST",
                url=realm,
                headers={"Content-Type": "application/x-www-form-urlencoded"},
                body=urlencode(form).encode(),
                insecure=endpoint.insecure,
            )
        query = urlencode(fields)
        joined = f"{realm}{'&' if parts.query else '?'}{query}" if query else realm
        request = Request(url=joined, insecure=endpoint.insecure)
        return replace(request, headers={"Authorization": login.basic}) if login is not None else request

    def _explain(self, endpoint: Endpoint, response: Response, what: str) -> SealiftError:
        """What a refused request means to the user."""
        said = _server_says(response)
        login = self._credentials.find(endpoint.registry, endpoint.repository, mirror=endpoint.mirror)
        if endpoint.push and response.status in _PUSH_REFUSALS:
            why, what_to_do = _PUSH_REFUSALS[response.status]
            return RefusedError(f"`{endpoint.registry}` {why}{said}", hints=(what_to_do,), status=response.status)
        match response.status:
            case 401 | 403:
                return self._denied(endpoint, what, f"denies access{said}", login)
            case 404 if endpoint.push:
                return NotFoundError(
                    f"`{endpoint.registry}` knows no place for {what}{said}",
                    hints=(
                        "look for a typing error in the name",
                        f"some registries want a project to be made first, in a browser: https://{endpoint.registry}",
                    ),
                )
            case 404:
                return NotFoundError(
                    f"`{endpoint.registry}` does not have {what}{said}",
                    hints=("look for a typing error in the name and the tag",),
                )
            case 429:
                hints: tuple[str, ...] = ()
                if login is None:
                    more = "send" if endpoint.push else "fetch"
                    hints = (f"those who log in may {more} more: docker login {endpoint.registry}", *_LOGIN_HINTS)
                return UnreachableError(f"`{endpoint.registry}` says that we ask too often{said}", hints=hints)
            case status if status >= 500 and (status in RETRY_STATUSES or not endpoint.push):
                return UnreachableError(f"`{endpoint.registry}` answered with {status} for {what}{said}")
            case status:
                text = f"`{endpoint.registry}` answered with {status} for {what}{said}"
                return RefusedError(text, status=status) if endpoint.push else FetchError(text)

    def _denied(self, endpoint: Endpoint, what: str, why: str, login: Login | None) -> DeniedError:
        if login is None:
            text = f"`{endpoint.registry}` {why} for {what}; or it does not exist"
            hints: tuple[str, ...] = (
                "look for a typing error in the name",
                f"docker login {endpoint.registry}",
                *_LOGIN_HINTS,
            )
        else:
            text = f"`{endpoint.registry}` {why} for {what}, with the login from {login.source}"
            hints = (f"log in again: docker login {endpoint.registry}",)
            if endpoint.push:
                hints = (f"may this login push to {endpoint.repository}? its owner can tell", *hints)
        return DeniedError(text, hints=(*hints, *(f"by the way: {each}" for each in self._credentials.problems)))


_PUSH_REFUSALS = {
    405: (
        "takes no images: it is a mirror, or cannot be written now",
        "push to another registry; this one's web page may say when it can be written",
    ),
    413: (
        "or a proxy before it takes no requests of this size",
        "let its administrator allow larger ones; of nginx: client_max_body_size 0",
    ),
    507: ("has no room left, or your quota is used up", "remove images that nobody needs, in its web page"),
}
"""What these statuses mean to one who pushes, and what to do."""
_LOGIN_HINTS = ("or: export APPTAINER_DOCKER_USERNAME=… APPTAINER_DOCKER_PASSWORD=…",)


def _scope(endpoint: Endpoint, asked: str) -> str:
    """What a token shall allow: what the registry asked for, and for one who pushes always to pull and push."""
    own = f"repository:{endpoint.repository}:"
    if not endpoint.push:
        return asked or own + "pull"
    # A token to pull alone would be good for the first request, and be asked for once more at the second.
    return " ".join([own + "pull,push", *(each for each in asked.split(" ") if each and not each.startswith(own))])


def serves(endpoint: Endpoint, url: str) -> bool:
    """Is this an address of the registry itself, whether or not its usual port is written down?"""
    parts = urlsplit(url)
    usual = ":443" if parts.scheme == "https" else ":80"
    return parts.netloc.lower().removesuffix(usual) == endpoint.host.lower().removesuffix(usual)


def is_loopback(host: str) -> bool:
    """Whether `HOST[:PORT]` is this machine."""
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and not host.endswith("]") else host
    name = name.strip("[]")
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _server_says(response: Response) -> str:
    """The message of an error answer (distribution spec, "Error Codes"), as `: text`."""
    try:
        value = json.loads(response.read(_ERROR_LIMIT))
        first = value["errors"][0]
        text = str(first.get("message") or first.get("code") or "")
    except (ValueError, KeyError, IndexError, TypeError, AttributeError, SealiftError):
        return ""
    clean = printable(text)[:200].strip()
    return f": {clean}" if clean else ""


def printable(text: str) -> str:
    """What a server says, without what a terminal would take for an order."""
    return "".join(c for c in text if c.isprintable())
