"""Requests to one registry: https or http, who we are, tokens, retries, and what its errors mean."""

from __future__ import annotations

import contextlib
import ipaddress
import json
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from urllib.parse import urlencode, urlsplit

from sealift.errors import DeniedError, FetchError, NotFoundError, SealiftError, UnreachableError
from sealift.registry.challenge import TOKEN_LIMIT, Challenge, Token, parse_challenges, parse_token
from sealift.registry.credentials import Credentials, Login
from sealift.registry.mirrors import Endpoint
from sealift.registry.retry import RETRY_STATUSES, Pacing, Patience, Retries, retry_after
from sealift.system.web import BrokenError, Request, Response, TlsError, Web

_ERROR_LIMIT = 64 << 10
_CLIENT_ID = "sealift"


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
        self._authorizations: dict[tuple[str, str], tuple[str, float]] = {}
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
        renewed = False
        while True:
            retries.check()
            try:
                response = self._ask(endpoint, method, path, headers or {})
            except BrokenError as error:
                retries.pause(error)
                continue
            if response.status in accept:
                return response
            if response.status == 401 and not renewed:
                renewed = True
                with contextlib.closing(response):
                    self._authorize(endpoint, response, what, retries)
                continue
            with contextlib.closing(response):
                refusal = self._explain(endpoint, response, what)
            if response.status not in RETRY_STATUSES:
                raise refusal
            retries.pause(refusal, retry_after=retry_after(response.headers))

    def _ask(self, endpoint: Endpoint, method: str, path: str, headers: Mapping[str, str]) -> Response:
        url = f"{self._scheme(endpoint)}://{endpoint.host}/v2/{endpoint.repository}/{path}"
        headers = dict(headers)
        with self._guard:
            known = self._authorizations.get((endpoint.host, endpoint.repository))
        if known is not None and self._clock() < known[1]:
            headers["Authorization"] = known[0]
        return self._web.open(Request(method=method, url=url, headers=headers, insecure=endpoint.insecure))

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
            self._authorizations[endpoint.host, endpoint.repository] = (value, until)

    def _token(
        self, endpoint: Endpoint, challenge: Challenge, login: Login | None, what: str, retries: Retries
    ) -> Token:
        request = self._token_request(endpoint, challenge, login)
        realm = request.url.partition("?")[0]
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
        parts = urlsplit(realm)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise FetchError(f"`{endpoint.registry}` names no token server: `{realm[:200]}`")
        if login is not None and parts.scheme == "http" and self._scheme(endpoint) == "https":
            raise FetchError(f"`{endpoint.registry}` wants the login sent unencrypted to `{realm}`, which is not done")
        scope = challenge.parameters.get("scope") or f"repository:{endpoint.repository}:pull"
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
        match response.status:
            case 401 | 403:
                return self._denied(endpoint, what, f"denies access{said}", login)
            case 404:
                return NotFoundError(
                    f"`{endpoint.registry}` does not have {what}{said}",
                    hints=("look for a typing error in the name and the tag",),
                )
            case 429:
                hints: tuple[str, ...] = ()
                if login is None:
                    hints = (f"those who log in may fetch more: docker login {endpoint.registry}", *_LOGIN_HINTS)
                return UnreachableError(f"`{endpoint.registry}` says that we ask too often{said}", hints=hints)
            case status if status >= 500:
                return UnreachableError(f"`{endpoint.registry}` answered with {status} for {what}{said}")
            case status:
                return FetchError(f"`{endpoint.registry}` answered with {status} for {what}{said}")

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
        return DeniedError(text, hints=(*hints, *(f"by the way: {each}" for each in self._credentials.problems)))


_LOGIN_HINTS = ("or: export APPTAINER_DOCKER_USERNAME=… APPTAINER_DOCKER_PASSWORD=…",)


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
    clean = "".join(c for c in text if c.isprintable())[:200].strip()
    return f": {clean}" if clean else ""
