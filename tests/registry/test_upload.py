"""Blobs and manifests on their way to a registry that takes them, breaks off, or will not have them so."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from urllib.parse import parse_qs, urlsplit

import pytest

from sealift.core.digest import sha256
from sealift.core.reference import Reference, parse_reference
from sealift.errors import DeniedError, FetchError, ImageError, NotFoundError, UnreachableError
from sealift.registry import Content, Credentials, Login, Repository
from sealift.registry.access import RefusedError
from tests.registry.conftest import Connect
from tests.registry.misbehaving import Reply, Seen, Server, Uploads, serving

DATA = bytes(range(256)) * 40
DIGEST = sha256(DATA)
PIECE = 4000
UPLOADS = "/v2/org/app/blobs/uploads/"


@pytest.fixture
def uploads() -> Uploads:
    return Uploads()


@pytest.fixture
def server(uploads: Uploads) -> Iterator[Server]:
    with serving(uploads) as running:
        yield running


@pytest.fixture
def reference(server: Server) -> Reference:
    return parse_reference(f"{server.host}/org/app:1")


@pytest.fixture
def repository(connect: Connect, reference: Reference) -> Repository:
    found = connect().repository(reference)
    found.piece = PIECE
    return found


def content(data: bytes = DATA, digest: str | None = None) -> Content:
    return Content(digest=sha256(data) if digest is None else digest, size=len(data), opener=lambda: BytesIO(data))  # type: ignore[arg-type]


def shown(server: Server) -> list[str]:
    """Method, path below the repository, the range, and the bytes of each request, without the first greetings."""
    lines = []
    for seen in server.seen:
        path = seen.path.removeprefix("/v2/org/app/").replace(DIGEST, "DIGEST").replace("sha256%3A", "sha256:")
        if not seen.path.startswith("/v2/org/app/"):
            continue
        path = path.replace(DIGEST, "DIGEST").replace("blobs/uploads/", "…")
        sent = seen.headers.get("content-range", "")
        lines.append(" ".join(filter(None, (seen.method, path, sent, f"+{len(seen.body)}" if seen.body else ""))))
    return lines


def test_a_small_blob_goes_in_one_request(repository: Repository, server: Server, uploads: Uploads) -> None:
    repository.piece = len(DATA)
    assert not repository.upload(content())
    assert shown(server) == ["POST …", f"PUT …1?state=0&digest=DIGEST +{len(DATA)}"]
    assert uploads.blobs == {DIGEST: DATA}


def test_a_large_blob_goes_in_pieces(repository: Repository, server: Server, uploads: Uploads) -> None:
    told: list[int] = []
    assert not repository.upload(content(), advanced=told.append)
    assert shown(server) == [
        "POST …",
        "PATCH …1?state=0 0-3999 +4000",
        "PATCH …1?state=4000 4000-7999 +4000",
        "PATCH …1?state=8000 8000-10239 +2240",
        "PUT …1?state=10240&digest=DIGEST",
    ]
    assert uploads.blobs == {DIGEST: DATA}
    assert sum(told) == len(DATA)


def test_an_empty_blob(repository: Repository, server: Server, uploads: Uploads) -> None:
    repository.upload(content(b""))
    assert uploads.blobs == {sha256(b""): b""}


def test_a_broken_piece_goes_on_where_it_broke(repository: Repository, server: Server, uploads: Uploads) -> None:
    told: list[int] = []
    server.hungry = [4000, 1000]
    repository.upload(content(), advanced=told.append)
    assert shown(server) == [
        "POST …",
        "PATCH …1?state=0 0-3999 +4000",
        "PATCH …1?state=4000 4000-7999 +1000",
        "GET …1?state=4000",
        "PATCH …1?state=5000 5000-7999 +3000",
        "PATCH …1?state=8000 8000-10239 +2240",
        "PUT …1?state=10240&digest=DIGEST",
    ]
    assert uploads.blobs == {DIGEST: DATA}
    assert sum(told) == len(DATA)


def test_an_upload_that_the_registry_forgot_begins_anew(
    repository: Repository, server: Server, uploads: Uploads
) -> None:
    server.hungry = [4000, 1000]

    def forgetful(seen: Seen) -> Reply | None:
        if seen.method == "GET" and "uploads/1" in seen.path:
            uploads.sessions.pop("1", None)
        return None

    server.handlers.insert(0, forgetful)
    repository.upload(content())
    assert shown(server)[3:6] == ["GET …1?state=4000", "POST …", "PATCH …2?state=0 0-3999 +4000"]
    assert uploads.blobs == {DIGEST: DATA}


def test_a_registry_that_loses_every_upload(repository: Repository, server: Server, uploads: Uploads) -> None:
    """It says of each second piece that nothing is there."""

    def forgetful(seen: Seen) -> Reply | None:
        if seen.method == "PATCH" and not seen.headers["content-range"].startswith("0-"):
            return Reply(status=202, headers={"Location": seen.path, "Range": "0-0"})
        return None

    server.handlers.insert(0, forgetful)
    repository.upload(content())
    assert [line for line in shown(server) if line.startswith("P")][-2:] == [
        "POST …",
        f"PUT …5?state=0&digest=DIGEST +{len(DATA)}",
    ]
    assert uploads.blobs == {DIGEST: DATA}


def test_a_registry_that_takes_pieces_and_keeps_none(repository: Repository, server: Server, uploads: Uploads) -> None:
    def leaky(seen: Seen) -> Reply | None:
        if seen.method == "PATCH":
            return Reply(status=202, headers={"Location": seen.path, "Range": "0-0"})
        return None

    server.handlers.insert(0, leaky)
    repository.upload(content())
    sent = [line for number in range(1, 5) for line in ("POST …", f"PATCH …{number}?state=0 0-3999 +4000")]
    assert shown(server) == [*sent, "POST …", f"PUT …5?state=0&digest=DIGEST +{len(DATA)}"]
    assert uploads.blobs == {DIGEST: DATA}


def test_an_end_that_never_comes(repository: Repository, server: Server, uploads: Uploads) -> None:
    server.handlers.insert(0, lambda seen: Reply(status=503) if seen.method == "PUT" else None)
    with pytest.raises(UnreachableError) as caught:
        repository.upload(content())
    assert caught.value.message == f"`{server.host}` answered with 503 for `{server.host}/org/app`"
    assert len([line for line in shown(server) if line.startswith("PUT")]) == 5
    assert uploads.blobs == {}


def test_a_place_is_told_from_where_it_was_asked_for(repository: Repository, server: Server, uploads: Uploads) -> None:
    def brief(seen: Seen) -> Reply | None:
        answer = uploads(seen)
        if answer is not None and "Location" in answer.headers:
            answer.headers["Location"] = answer.headers["Location"].removeprefix(UPLOADS)
        return answer

    server.handlers[0] = brief
    repository.upload(content())
    assert shown(server) == [
        "POST …",
        "PATCH …1?state=0 0-3999 +4000",
        "PATCH …1?state=4000 4000-7999 +4000",
        "PATCH …1?state=8000 8000-10239 +2240",
        "PUT …1?state=10240&digest=DIGEST",
    ]


@pytest.mark.parametrize("location", ["https://[bad/x?secret", "//me:s3cret@h:99999/x"])
def test_a_place_that_is_no_address(repository: Repository, server: Server, location: str) -> None:
    server.fault("uploads", Reply(status=202, headers={"Location": location}))
    with pytest.raises(FetchError) as caught:
        repository.upload(content())
    shown_address = {"https://[bad/x?secret": "https://[bad/x", "//me:s3cret@h:99999/x": "//h:99999/x"}[location]
    assert caught.value.message == f"`{shown_address}` is not an address"


def test_an_end_whose_answer_was_lost_is_not_sent_again(
    repository: Repository, server: Server, uploads: Uploads
) -> None:
    def deaf(seen: Seen) -> Reply | None:
        if seen.method == "PUT" and not uploads.blobs:
            uploads(seen)
            return Reply(status=502)
        return None

    server.handlers.insert(0, deaf)
    repository.upload(content())
    assert shown(server)[-2:] == ["PUT …1?state=10240&digest=DIGEST", "HEAD blobs/DIGEST"]
    assert uploads.blobs == {DIGEST: DATA}


@pytest.mark.parametrize("status", [404, 405, 400, 501])
def test_a_registry_that_takes_no_pieces_gets_it_whole(
    repository: Repository, server: Server, uploads: Uploads, status: int
) -> None:
    def whole_only(seen: Seen) -> Reply | None:
        return Reply(status=status) if seen.method == "PATCH" else None

    server.handlers.insert(0, whole_only)
    repository.upload(content())
    assert shown(server)[-2:] == ["POST …", f"PUT …2?state=0&digest=DIGEST +{len(DATA)}"]
    assert uploads.blobs == {DIGEST: DATA}


def test_a_proxy_that_takes_small_requests_gets_smaller_pieces(
    repository: Repository, server: Server, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sealift.registry.upload.SMALLER", {PIECE: 3000, 3000: 1000})

    def narrow(seen: Seen) -> Reply | None:
        return Reply(status=413) if len(seen.body) > 2000 else None

    server.handlers.insert(0, narrow)
    repository.upload(content())
    assert {len(seen.body) for seen in server.requests("uploads/3")} == {1000, 240, 0}
    assert uploads.blobs == {DIGEST: DATA}


def test_refusals_that_come_together_make_the_pieces_smaller_once(
    repository: Repository, server: Server, uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sealift.registry.upload.SMALLER", {PIECE: 3000})
    several = [bytes([number]) * PIECE * 2 for number in range(3)]
    all_there, guard = threading.Barrier(len(several)), threading.Lock()

    def narrow(seen: Seen) -> Reply | None:
        if len(seen.body) <= 3000:
            return None
        all_there.wait(60)
        return Reply(status=413)

    def one_at_a_time(seen: Seen) -> Reply | None:
        with guard:
            return uploads(seen)

    server.handlers = [narrow, one_at_a_time]
    with ThreadPoolExecutor() as pool:
        assert list(pool.map(repository.upload, map(content, several))) == [False] * 3
    assert uploads.blobs == {sha256(data): data for data in several}
    assert repository.piece == 3000


def test_a_proxy_that_takes_nothing(repository: Repository, server: Server) -> None:
    repository.piece = 256 << 10
    server.fault("uploads/1", Reply(status=413, body=b"<html>no JSON</html>"))
    with pytest.raises(RefusedError) as caught:
        repository.upload(content())
    assert caught.value.message == f"`{server.host}` or a proxy before it takes no requests of this size"
    assert caught.value.hints == ("let its administrator allow larger ones; of nginx: client_max_body_size 0",)


def test_pieces_are_as_large_as_the_registry_wants(repository: Repository, server: Server, uploads: Uploads) -> None:
    def demanding(seen: Seen) -> Reply | None:
        answer = uploads(seen)
        if seen.method == "POST" and answer is not None:
            answer.headers["OCI-Chunk-Min-Length"] = "6000"
        return answer

    server.handlers[0] = demanding
    repository.upload(content())
    assert [len(seen.body) for seen in server.seen if seen.method == "PATCH"] == [6000, 4240]


class TestMounting:
    def test_what_another_repository_has_is_taken_over(
        self, repository: Repository, server: Server, uploads: Uploads
    ) -> None:
        uploads.elsewhere = {"base/os": {DIGEST: DATA}}
        assert repository.upload(content(), found_in="base/os")
        assert shown(server) == [f"POST …?mount=sha256:{DIGEST[7:]}&from=base/os".replace(DIGEST, "DIGEST")]
        assert uploads.blobs == {DIGEST: DATA}

    def test_what_it_does_not_have_is_sent_in_the_upload_that_began(
        self, repository: Repository, server: Server, uploads: Uploads
    ) -> None:
        repository.piece = len(DATA)
        assert not repository.upload(content(), found_in="base/os")
        assert shown(server)[1:] == [f"PUT …1?state=0&digest=DIGEST +{len(DATA)}"]

    @pytest.mark.parametrize("status", [400, 403, 404, 405])
    def test_a_registry_that_does_not_mount(
        self, repository: Repository, server: Server, uploads: Uploads, status: int
    ) -> None:
        server.fault("mount=", Reply(status=status))
        assert not repository.upload(content(), found_in="base/os")
        assert uploads.blobs == {DIGEST: DATA}


class TestManifests:
    def test_one_is_put_under_its_tag(self, repository: Repository, uploads: Uploads) -> None:
        repository.put_manifest(b"{}", "application/x", "1")
        assert uploads.manifests["1"] == ("application/x", b"{}")
        assert repository.digest_of("1") == sha256(b"{}")
        assert repository.digest_of("2") is None

    def test_a_broken_connection(self, repository: Repository, server: Server, uploads: Uploads) -> None:
        server.hungry = [1]
        repository.put_manifest(b'{"a":1}', "application/x", "1")
        assert uploads.manifests["1"] == ("application/x", b'{"a":1}')

    def test_a_registry_that_changes_it(self, repository: Repository, server: Server) -> None:
        server.fault("manifests", Reply(status=201, headers={"Docker-Content-Digest": sha256(b"other")}))
        with pytest.raises(FetchError) as caught:
            repository.put_manifest(b"{}", "application/x", "1")
        assert caught.value.message == (
            f"`{server.host}` keeps the image under another digest, `{sha256(b'other')}`, than `{sha256(b'{}')}`"
        )

    def test_a_digest_that_is_an_order_to_the_terminal(self, repository: Repository, server: Server) -> None:
        server.fault("manifests", Reply(status=201, headers={"Docker-Content-Digest": "sha256:\033[2J"}))
        with pytest.raises(FetchError) as caught:
            repository.put_manifest(b"{}", "application/x", "1")
        assert caught.value.message == (
            f"`{server.host}` keeps the image under another digest, `sha256:[2J`, than `{sha256(b'{}')}`"
        )


def test_a_source_that_is_cut_off_is_not_sent_as_whole(repository: Repository, uploads: Uploads) -> None:
    short = Content(digest=DIGEST, size=len(DATA), opener=lambda: BytesIO(DATA[:-1]))
    with pytest.raises(ImageError) as caught:
        repository.upload(short)
    assert caught.value.message == f"blob `{DIGEST}` has other than {len(DATA)} bytes"
    assert uploads.blobs == {}


def test_bytes_that_are_not_the_digests(repository: Repository, server: Server, uploads: Uploads) -> None:
    with pytest.raises(RefusedError) as caught:
        repository.upload(content(digest=sha256(b"x")))
    assert caught.value.message == f"`{server.host}` answered with 400 for `{server.host}/org/app`: wrong digest"
    assert uploads.blobs == {}


@pytest.mark.parametrize(
    ("status", "kind", "message", "hints"),
    [
        (
            403,
            DeniedError,
            "`HOST` denies access: no for `HOST/org/app`; or it does not exist",
            (
                "look for a typing error in the name",
                "docker login HOST",
                "or: export APPTAINER_DOCKER_USERNAME=… APPTAINER_DOCKER_PASSWORD=…",
            ),
        ),
        (
            404,
            NotFoundError,
            "`HOST` knows no place for `HOST/org/app`: no",
            (
                "look for a typing error in the name",
                "some registries want a project to be made first, in a browser: https://HOST",
            ),
        ),
        (
            405,
            RefusedError,
            "`HOST` takes no images: it is a mirror, or cannot be written now: no",
            ("push to another registry; this one's web page may say when it can be written",),
        ),
        (
            429,
            UnreachableError,
            "`HOST` says that we ask too often: no",
            (
                "those who log in may send more: docker login HOST",
                "or: export APPTAINER_DOCKER_USERNAME=… APPTAINER_DOCKER_PASSWORD=…",
            ),
        ),
        (500, UnreachableError, "`HOST` answered with 500 for `HOST/org/app`: no", ()),
        (
            507,
            RefusedError,
            "`HOST` has no room left, or your quota is used up: no",
            ("remove images that nobody needs, in its web page",),
        ),
    ],
)
def test_refusals_are_explained(
    repository: Repository, server: Server, status: int, kind: type, message: str, hints: tuple[str, ...]
) -> None:
    no = Reply(status=status, body=b'{"errors":[{"code":"X","message":"no"}]}')
    server.handlers.insert(0, lambda seen: no if seen.method == "POST" else None)
    for ask in (repository.check_push, lambda: repository.upload(content())):
        with pytest.raises(FetchError) as caught:
            ask()
        assert type(caught.value) is kind
        assert caught.value.message == message.replace("HOST", server.host)
        assert caught.value.hints == tuple(hint.replace("HOST", server.host) for hint in hints)


def test_whether_one_may_push_is_asked_and_leaves_no_upload(
    repository: Repository, server: Server, uploads: Uploads
) -> None:
    repository.check_push()
    assert shown(server) == ["POST …", "DELETE …1?state=0"]
    assert (uploads.sessions, uploads.blobs, uploads.manifests) == ({}, {}, {})


@pytest.mark.parametrize("status", [403, 404, 405, 503])
def test_a_registry_that_gives_up_no_upload_can_be_pushed_to(
    repository: Repository, server: Server, status: int
) -> None:
    server.fault("uploads/1", Reply(status=status))
    repository.check_push()
    assert shown(server) == ["POST …", "DELETE …1?state=0"]


def test_an_upload_at_no_address_is_not_given_up(repository: Repository, server: Server) -> None:
    server.fault("uploads/", Reply(status=202, headers={"Location": "http://[/"}))
    repository.check_push()
    assert shown(server) == ["POST …"]


class TestTokens:
    """A registry whose tokens are good for what they were asked for, and for ten requests."""

    @pytest.fixture
    def asked(self, server: Server) -> list[str]:
        asked: list[str] = []
        left: dict[str, int] = {}

        def guard(seen: Seen) -> Reply | None:
            parts = urlsplit(seen.path)
            if parts.path == "/token":
                basic = base64.b64decode(seen.headers.get("authorization", "").removeprefix("Basic ")).decode()
                asked.append(f"{basic} {' '.join(parse_qs(parts.query).get('scope', []))}")
                left[str(len(asked))] = 4
                return Reply(body=json.dumps({"token": str(len(asked)), "expires_in": 3600}).encode())
            token = seen.headers.get("authorization", "").removeprefix("Bearer ")
            if parts.path == "/v2/" or left.get(token, 0) > 0:
                left[token] = left.get(token, 0) - 1
                return None
            scope = "repository:org/app:" + ("pull" if seen.method == "HEAD" else "pull,push")
            if "from=" in seen.path:
                scope += " repository:base/os:pull"
            header = f'Bearer realm="http://{server.host}/token",service="s",scope="{scope}"'
            return Reply(status=401, headers={"WWW-Authenticate": header})

        server.handlers.insert(0, guard)
        return asked

    def test_one_is_asked_for_to_pull_and_push_and_renewed_in_the_middle(
        self, connect: Connect, reference: Reference, uploads: Uploads, asked: list[str]
    ) -> None:
        login = Login(username="me", password="s3cret", source="the test")
        repository = connect(Credentials(login=login)).repository(reference)
        repository.piece = 1500
        assert not repository.has_blob(DIGEST)
        assert not repository.upload(content(), found_in="base/os")
        assert uploads.blobs == {DIGEST: DATA}
        own = "me:s3cret repository:org/app:pull,push"
        assert asked == [own, own, own]

    def test_the_other_repository_is_asked_for_when_it_is_wanted(
        self, connect: Connect, reference: Reference, asked: list[str]
    ) -> None:
        connect().repository(reference).upload(content(), found_in="base/os")
        assert asked[0] == " repository:org/app:pull,push repository:base/os:pull"


def test_a_login_goes_to_no_other_host_that_the_registry_names(
    connect: Connect, reference: Reference, server: Server, uploads: Uploads
) -> None:
    with serving(uploads) as other:

        def guard(seen: Seen) -> Reply | None:
            if "authorization" not in seen.headers and seen.path != "/v2/":
                return Reply(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'})
            if seen.method == "POST":
                begun = uploads(seen)
                assert begun is not None
                begun.headers["Location"] = f"http://{other.host}{begun.headers['Location']}"
                return begun
            return None

        server.handlers.insert(0, guard)
        login = Login(username="me", password="s3cret", source="the test")
        repository = connect(Credentials(login=login)).repository(reference)
        repository.upload(content())
        assert uploads.blobs == {DIGEST: DATA}
        assert [seen.method for seen in other.seen] == ["PUT"]
        assert "authorization" not in other.seen[0].headers


def test_a_login_goes_to_no_token_server_that_another_host_names(
    connect: Connect, reference: Reference, server: Server, uploads: Uploads
) -> None:
    with serving() as other:
        challenge = f'Bearer realm="http://{other.host}/token",service="s"'
        other.handlers.append(lambda _seen: Reply(status=401, headers={"WWW-Authenticate": challenge}))

        def elsewhere(seen: Seen) -> Reply | None:
            if seen.method == "POST":
                return Reply(status=202, headers={"Location": f"http://{other.host}/upload"})
            return None

        server.handlers.insert(0, elsewhere)
        login = Login(username="me", password="s3cret", source="the test")
        with pytest.raises(DeniedError):
            connect(Credentials(login=login)).repository(reference).upload(content())
        assert [(seen.method, seen.path.partition("?")[0]) for seen in other.seen] == [("PUT", "/upload")]
