"""Who we are to a registry, as the registry sees it."""

from __future__ import annotations

import base64
import json
from urllib.parse import parse_qs, urlsplit

import pytest

from sealift.core.reference import Reference
from sealift.errors import DeniedError, FetchError
from sealift.registry import Credentials, Login
from sealift.registry.access import is_loopback, serves
from sealift.registry.mirrors import Endpoint
from tests.registry.conftest import Connect, Time
from tests.registry.misbehaving import Image, Reply, Seen, Server

LOGIN = Login(username="me", password="s3cret", source="the test")
IDENTITY = Login(identity_token="refresh", source="the test")


def basic(seen: Seen) -> str:
    header = seen.headers.get("authorization", "")
    return base64.b64decode(header.removeprefix("Basic ")).decode() if header.startswith("Basic ") else header


class TestBasic:
    @pytest.fixture
    def server(self, server: Server) -> Server:
        def guard(seen: Seen) -> Reply | None:
            if basic(seen) == "me:s3cret":
                return None
            return Reply(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})

        server.handlers.insert(0, guard)
        return server

    def test_the_login_is_shown_when_asked_for(self, server: Server, reference: Reference, connect: Connect) -> None:
        registry = connect(Credentials(login=LOGIN))
        registry.fetch_manifest(reference)
        registry.fetch_manifest(reference)
        assert [basic(seen) for seen in server.requests("manifests")] == ["", "me:s3cret", "me:s3cret"]

    def test_a_wrong_login(self, server: Server, reference: Reference, connect: Connect) -> None:
        wrong = Login(username="me", password="wrong", source="/home/me/.docker/config.json")
        with pytest.raises(DeniedError) as caught:
            connect(Credentials(login=wrong)).fetch_manifest(reference)
        assert caught.value.message == (
            f"`{server.host}` denies access for `{reference.familiar}`, "
            "with the login from /home/me/.docker/config.json"
        )
        assert caught.value.hints == (f"log in again: docker login {server.host}",)
        assert len(server.requests("manifests")) == 2

    def test_no_login(self, server: Server, reference: Reference, connect: Connect) -> None:
        credentials = Credentials()
        credentials.problems.append("`docker-credential-x` is not installed")
        with pytest.raises(DeniedError) as caught:
            connect(credentials).fetch_manifest(reference)
        assert caught.value.message == (
            f"`{server.host}` wants a login for `{reference.familiar}`; or it does not exist"
        )
        assert caught.value.hints == (
            "look for a typing error in the name",
            f"docker login {server.host}",
            "or: export APPTAINER_DOCKER_USERNAME=… APPTAINER_DOCKER_PASSWORD=…",
            "by the way: `docker-credential-x` is not installed",
        )

    def test_an_identity_token_is_no_basic_login(self, server: Server, reference: Reference, connect: Connect) -> None:
        with pytest.raises(DeniedError):
            connect(Credentials(login=IDENTITY)).fetch_manifest(reference)


class TokenServer:
    """Guards a registry with bearer tokens that it numbers: `t1`, `t2`, …; only those in `valid` open the door."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.valid: set[str] = set()
        self.answer: dict[str, object] = {}
        self.scope = ',scope="repository:org/app:pull"'
        self.realm = f"http://{server.host}/token"

    def __call__(self, seen: Seen) -> Reply | None:
        if seen.path.startswith("/token"):
            token = f"t{len(self.asked)}"
            self.valid.add(token)
            return Reply(body=json.dumps({"token": token} | self.answer).encode())
        if seen.headers.get("authorization", "").removeprefix("Bearer ") in self.valid:
            return None
        return Reply(
            status=401, headers={"WWW-Authenticate": f'Bearer realm="{self.realm}",service="reg.example"{self.scope}'}
        )

    @property
    def asked(self) -> list[Seen]:
        return self.server.requests("^/token")


class TestBearer:
    @pytest.fixture
    def tokens(self, server: Server) -> TokenServer:
        tokens = TokenServer(server)
        server.handlers.insert(0, tokens)
        return tokens

    def test_anonymous(self, tokens: TokenServer, reference: Reference, connect: Connect) -> None:
        registry = connect()
        registry.fetch_manifest(reference)
        registry.fetch_manifest(reference)
        (asked,) = tokens.asked
        assert (asked.method, basic(asked)) == ("GET", "")
        assert parse_qs(urlsplit(asked.path).query) == {
            "service": ["reg.example"],
            "scope": ["repository:org/app:pull"],
        }
        assert [seen.headers.get("authorization", "") for seen in tokens.server.requests("manifests")] == [
            "",
            "Bearer t1",
            "Bearer t1",
        ]

    def test_with_a_login(self, tokens: TokenServer, reference: Reference, connect: Connect) -> None:
        connect(Credentials(login=LOGIN)).fetch_manifest(reference)
        assert [basic(seen) for seen in tokens.asked] == ["me:s3cret"]
        assert [seen.headers.get("authorization", "") for seen in tokens.server.requests("manifests")] == [
            "",
            "Bearer t1",
        ]

    def test_with_an_identity_token(self, tokens: TokenServer, reference: Reference, connect: Connect) -> None:
        tokens.answer = {"token": None, "access_token": "fresh"}
        tokens.valid.add("fresh")
        connect(Credentials(login=IDENTITY)).fetch_manifest(reference)
        (asked,) = tokens.asked
        assert (asked.method, asked.headers.get("authorization")) == ("POST", None)
        assert parse_qs(asked.body.decode()) == {
            "grant_type": ["refresh_token"],
            "client_id": ["sealift"],
            "refresh_token": ["refresh"],
            "service": ["reg.example"],
            "scope": ["repository:org/app:pull"],
        }

    def test_a_challenge_without_scope(self, tokens: TokenServer, reference: Reference, connect: Connect) -> None:
        tokens.scope = ""
        connect().fetch_manifest(reference)
        assert parse_qs(urlsplit(tokens.asked[0].path).query)["scope"] == ["repository:org/app:pull"]

    def test_a_realm_with_a_query(self, tokens: TokenServer, reference: Reference, connect: Connect) -> None:
        tokens.realm += "?account=x"
        connect().fetch_manifest(reference)
        assert tokens.asked[0].path.startswith("/token?account=x&service=")

    def test_an_old_token_is_renewed_before_it_is_shown(
        self, tokens: TokenServer, reference: Reference, connect: Connect, time: Time
    ) -> None:
        tokens.answer = {"expires_in": 100}
        registry = connect()
        registry.fetch_manifest(reference)
        time.now += 89
        registry.fetch_manifest(reference)
        assert len(tokens.asked) == 1
        time.now += 2
        registry.fetch_manifest(reference)
        assert len(tokens.asked) == 2

    def test_a_token_that_expires_early_is_renewed(
        self, tokens: TokenServer, reference: Reference, connect: Connect
    ) -> None:
        registry = connect()
        registry.fetch_manifest(reference)
        tokens.valid.clear()
        registry.fetch_manifest(reference)
        assert len(tokens.asked) == 2

    def test_a_token_that_does_not_help(self, tokens: TokenServer, reference: Reference, connect: Connect) -> None:
        tokens.answer = {"token": "useless"}
        with pytest.raises(DeniedError, match="denies access for"):
            connect().fetch_manifest(reference)
        assert len(tokens.asked) == 1

    @pytest.mark.parametrize("status", [401, 403, 400])
    def test_the_token_server_says_no(
        self, tokens: TokenServer, reference: Reference, connect: Connect, status: int
    ) -> None:
        tokens.server.fault("^/token", Reply(status=status))
        with pytest.raises(DeniedError, match=r"does not accept the login for .* with the login from the test"):
            connect(Credentials(login=LOGIN)).fetch_manifest(reference)

    def test_the_token_server_stumbles(
        self, image: Image, tokens: TokenServer, reference: Reference, connect: Connect, time: Time
    ) -> None:
        tokens.server.fault("^/token", Reply(status=503), Reply(body=b"{}", cut=0))
        assert connect().fetch_manifest(reference).digest == image.digest
        assert time.waits == [0.5, 1.0]

    def test_the_token_server_talks_nonsense(self, tokens: TokenServer, reference: Reference, connect: Connect) -> None:
        tokens.server.fault("^/token", Reply(body=b"<html>"))
        with pytest.raises(FetchError, match=r"the token server `http://.*/token` answered without a token"):
            connect().fetch_manifest(reference)

    @pytest.mark.parametrize("realm", ["", "ftp://x/token", "token"])
    def test_no_token_server_at_all(
        self, tokens: TokenServer, reference: Reference, connect: Connect, realm: str
    ) -> None:
        tokens.realm = realm
        with pytest.raises(FetchError, match="names no token server"):
            connect().fetch_manifest(reference)

    @pytest.mark.parametrize(
        ("realm", "message"),
        [
            ("https://[bad/token?x", "`https://[bad/token` is not an address"),
            ("https://h:99999/token", "`https://h:99999/token` is not an address"),
            ("\033[2Jtoken", "`HOST` names no token server: `[2Jtoken`"),
        ],
    )
    def test_a_token_server_that_is_no_address(
        self, tokens: TokenServer, reference: Reference, connect: Connect, realm: str, message: str
    ) -> None:
        tokens.realm = realm
        with pytest.raises(FetchError) as caught:
            connect().fetch_manifest(reference)
        assert caught.value.message.replace(reference.registry, "HOST") == message


def test_an_unknown_way_in(server: Server, reference: Reference, connect: Connect) -> None:
    server.fault("manifests", Reply(status=401, headers={"WWW-Authenticate": "Negotiate"}))
    with pytest.raises(DeniedError, match="says no, in a way that is not supported"):
        connect().fetch_manifest(reference)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("localhost", True),
        ("localhost:5000", True),
        ("127.0.0.1:5000", True),
        ("127.9.9.9", True),
        ("[::1]:5000", True),
        ("[::1]", True),
        ("128.0.0.1", False),
        ("localhost.example.com", False),
        ("registry-1.docker.io", False),
        ("[fe80::1]:5000", False),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


@pytest.mark.parametrize(
    ("registry", "url", "itself"),
    [
        ("r.example.org", "https://r.example.org/v2/", True),
        ("r.example.org", "https://r.example.org:443/v2/", True),
        ("r.example.org:443", "https://R.example.org/v2/", True),
        ("r.example.org", "http://r.example.org:80/v2/", True),
        ("r.example.org", "https://r.example.org:80/v2/", False),
        ("r.example.org", "https://r.example.org:8443/v2/", False),
        ("r.example.org", "https://r.example.org.example.com/v2/", False),
        ("r.example.org", "https://r.example.org@example.com/v2/", False),
        ("docker.io", "https://registry-1.docker.io/v2/", True),
    ],
)
def test_addresses_of_the_registry_itself(registry: str, url: str, itself: bool) -> None:
    assert serves(Endpoint(registry=registry, repository="a"), url) is itself


def test_a_registry_elsewhere_is_never_asked_by_plain_http(connect: Connect, time: Time) -> None:
    """`.invalid` never resolves: the attempt shows in the message, and it is https."""
    from sealift.core.reference import parse_reference
    from sealift.system.web import BrokenError

    with pytest.raises(BrokenError, match=r"`https://registry\.invalid/v2/a/manifests/latest`"):
        connect().fetch_manifest(parse_reference("registry.invalid/a"))
    with pytest.raises(BrokenError, match=r"`http://registry\.invalid/v2/`"):
        connect(insecure=True).fetch_manifest(parse_reference("registry.invalid/a"))
