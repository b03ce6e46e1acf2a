from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sealift.core.digest import Digest, sha256
from sealift.core.reference import Reference, parse_reference
from sealift.errors import FetchError, MismatchError, NotFoundError, UnreachableError
from sealift.oci import mediatypes
from sealift.oci.manifest import Descriptor
from sealift.registry import Access, Credentials, Pacing, RegistriesConf, Registry, download_blob
from sealift.registry.mirrors import Mirror, RegistryRule
from sealift.registry.retry import CancelledError
from sealift.system.web import BrokenError, HttpWeb, Request, Response
from tests.registry.conftest import LAYER, Connect, Time
from tests.registry.misbehaving import Image, Reply, Seen, Server, serving

DIGEST = sha256(LAYER)


@dataclass(kw_only=True)
class Memory:
    """A sink that keeps everything; the model of what the store's does."""

    digest: Digest = DIGEST
    size: int = len(LAYER)
    data: bytearray = field(default_factory=bytearray)
    finished: bool = False
    restarts: int = 0

    @property
    def arrived(self) -> int:
        return len(self.data)

    def write(self, data: bytes) -> None:
        if len(self.data) + len(data) > self.size:
            raise MismatchError("too long")
        self.data += data

    def restart(self) -> None:
        self.restarts += 1
        self.data.clear()

    def finish(self) -> None:
        if hashlib.sha256(self.data).hexdigest() != self.digest[7:]:
            raise MismatchError("other bytes")
        self.finished = True


def descriptor(**changes: object) -> Descriptor:
    fields = {"media_type": mediatypes.OCI_LAYER, "digest": DIGEST, "size": len(LAYER)} | changes
    return Descriptor(**fields)  # type: ignore[arg-type]


Download = Callable[..., Memory]


@pytest.fixture
def download(connect: Connect, reference: Reference) -> Download:
    def run(**sink: object) -> Memory:
        memory = Memory(**sink)  # type: ignore[arg-type]
        download_blob(connect(), reference, descriptor(), memory)
        return memory

    return run


def ranges(server: Server) -> list[str]:
    return [seen.headers.get("range", "") for seen in server.requests(DIGEST)]


def test_in_one_go(server: Server, download: Download) -> None:
    assert download() == Memory(data=bytearray(LAYER), finished=True)
    assert ranges(server) == [""]


def test_progress_adds_up(server: Server, connect: Connect, reference: Reference) -> None:
    amounts: list[int] = []
    server.fault(DIGEST, Reply(body=LAYER, cut=100_000), Reply(body=b"x" * len(LAYER)))
    download_blob(connect(), reference, descriptor(), Memory(), advanced=amounts.append)
    assert sum(amounts) == len(LAYER)


@pytest.mark.parametrize("cut", [0, 1, 65_536, 300_000, len(LAYER) - 1])
@pytest.mark.parametrize("how", ["reset", "close"])
def test_a_cut_connection_is_resumed(server: Server, download: Download, time: Time, cut: int, how: str) -> None:
    server.fault(DIGEST, Reply(body=LAYER, cut=cut, how=how))  # type: ignore[arg-type]
    assert download() == Memory(data=bytearray(LAYER), finished=True)
    first, second = ranges(server)
    assert (first, second) == ("", f"bytes={cut}-" if cut else "")
    assert time.waits == [0.5]


def test_many_cuts_with_progress_are_forgiven(server: Server, download: Download, time: Time) -> None:
    """Twenty breaks, each behind some new bytes: the count of tries begins anew after each."""
    for position in range(20):
        start = 10_000 * position
        body = LAYER[start:]
        headers = {"Content-Range": f"bytes {start}-{len(LAYER) - 1}/{len(LAYER)}"}
        server.fault(
            DIGEST, Reply(status=206 if start else 200, headers=headers if start else {}, body=body, cut=10_000)
        )
    assert download().finished
    assert time.waits == [0.5] * 20
    assert ranges(server) == ["", *(f"bytes={10_000 * n}-" for n in range(1, 21))]


def test_cuts_without_progress_come_to_an_end(server: Server, download: Download, time: Time) -> None:
    server.fault(DIGEST, *[Reply(body=LAYER, cut=0)] * 9)
    with pytest.raises(BrokenError, match="broke: Connection reset by peer"):
        download()
    assert (time.waits, len(ranges(server))) == ([0.5, 1.0, 2.0, 4.0], 5)


def test_an_end_too_early_that_looks_clean(server: Server, download: Download, time: Time) -> None:
    """A proxy that gives up says Content-Length of what it has: then the length already tells."""
    server.fault(DIGEST, Reply(body=LAYER[:1000]))
    assert download().restarts == 1
    assert time.waits == [0.5]


def test_what_an_earlier_process_left_is_continued(server: Server, download: Download) -> None:
    assert download(data=bytearray(LAYER[:5000])).finished
    assert ranges(server) == ["bytes=5000-"]


def test_all_was_there_but_not_verified(server: Server, download: Download) -> None:
    assert download(data=bytearray(LAYER)).finished
    assert ranges(server) == []


def test_a_server_without_ranges(image: Image, server: Server, download: Download) -> None:
    image.ranges = False
    server.fault(DIGEST, Reply(body=LAYER, cut=400_000))
    assert download() == Memory(data=bytearray(LAYER), finished=True)
    assert ranges(server) == ["", "bytes=400000-"]


@pytest.mark.parametrize(
    "reply",
    [
        Reply(body=b"x" * len(LAYER)),
        Reply(body=LAYER + b"x"),
        Reply(body=LAYER[:-1]),
        Reply(body=b""),
        Reply(body=b"<html>", headers={"Content-Type": "text/html"}),
    ],
    ids=["other bytes", "too long", "too short", "nothing", "a web page"],
)
def test_wrong_bytes_once(server: Server, download: Download, reply: Reply) -> None:
    server.fault(DIGEST, reply)
    assert download() == Memory(data=bytearray(LAYER), finished=True, restarts=1)


def test_wrong_bytes_twice(server: Server, connect: Connect, reference: Reference) -> None:
    server.fault(DIGEST, *[Reply(body=b"x" * len(LAYER))] * 3)
    memory = Memory()
    with pytest.raises(MismatchError, match="other bytes"):
        download_blob(connect(), reference, descriptor(), memory)
    assert (bytes(memory.data), memory.restarts, len(ranges(server))) == (b"", 2, 2)


@pytest.mark.parametrize(
    "reply",
    [
        Reply(status=206, headers={"Content-Range": f"bytes 4-{len(LAYER) - 1}/{len(LAYER)}"}, body=LAYER[4:]),
        Reply(status=206, headers={"Content-Range": f"bytes 5-{len(LAYER) - 1}/{len(LAYER) + 1}"}, body=LAYER[5:]),
        Reply(status=206, body=LAYER[5:]),
        Reply(status=416),
    ],
    ids=["another start", "another size", "no range named", "out of range"],
)
def test_a_wrong_range(server: Server, download: Download, reply: Reply) -> None:
    server.fault(DIGEST, reply)
    assert download(data=bytearray(LAYER[:5])) == Memory(data=bytearray(LAYER), finished=True, restarts=1)


def test_trouble_on_the_way(server: Server, download: Download, time: Time) -> None:
    server.fault(DIGEST, Reply(status=503), Reply(body=LAYER, cut=10), Reply(status=429, headers={"Retry-After": "9"}))
    assert download().finished
    assert time.waits == [0.5, 1.0 / 2, 9.0]


def test_a_blob_that_is_not_there(server: Server, connect: Connect, time: Time) -> None:
    reference = parse_reference(f"{server.host}/org/other:1")
    with pytest.raises(NotFoundError, match="does not have blob"):
        download_blob(connect(), reference, descriptor(), Memory())
    assert time.waits == []


def test_a_slow_server_is_read_as_it_speaks(server: Server, connect: Connect, reference: Reference) -> None:
    """The first bytes are handed on while the rest is still to come."""
    rest = threading.Event()
    server.fault(DIGEST, Reply(body=LAYER, cut=1000, wait=rest))
    amounts: list[int] = []

    def advanced(amount: int) -> None:
        amounts.append(amount)
        if sum(amounts) == 1000:
            rest.set()

    memory = Memory()
    download_blob(connect(), reference, descriptor(), memory, advanced=advanced)
    assert memory.finished
    assert rest.is_set()


def test_a_silent_server_is_given_up(server: Server, reference: Reference, time: Time) -> None:
    web = HttpWeb({}, read_timeout=0.2)
    registry = Registry(Access(web, Credentials(), pacing=time.pacing, clock=time))
    silence = threading.Event()
    server.fault(DIGEST, Reply(body=LAYER, cut=1000, wait=silence))
    memory = Memory()
    download_blob(registry, reference, descriptor(), memory)
    silence.set()
    web.close()
    assert memory.finished
    assert ranges(server) == ["", "bytes=1000-"]


def test_it_can_be_given_up_from_outside(server: Server, reference: Reference, web: HttpWeb) -> None:
    """Another thread aborts the answer that this one waits for."""
    cancelled = threading.Event()
    silence = threading.Event()
    opened: list[Response] = []
    server.fault(DIGEST, Reply(body=LAYER, cut=1000, wait=silence))
    registry = Registry(Access(web, Credentials(), pacing=Pacing(cancelled=cancelled.is_set)))

    def advanced(_amount: int) -> None:
        cancelled.set()
        threading.Timer(0.05, opened[0].abort).start()

    with pytest.raises(CancelledError):
        download_blob(registry, reference, descriptor(), Memory(), advanced=advanced, opened=opened.append)
    silence.set()


class TestRedirects:
    def test_credentials_stay_at_home(self, server: Server, reference: Reference, web: HttpWeb, time: Time) -> None:
        """A registry sends us to a storage service on another host, which must not see the login."""
        from sealift.registry import Login

        with serving(lambda seen: Reply(body=LAYER)) as storage:
            server.fault(
                DIGEST,
                Reply(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'}),
                Reply(status=307, headers={"Location": f"http://{storage.host}/data?signature=x"}),
            )
            registry = Registry(
                Access(web, Credentials(login=Login(username="me", password="secret")), pacing=time.pacing)
            )
            memory = Memory()
            download_blob(registry, reference, descriptor(), memory)
            assert memory.finished
            assert [seen.headers.get("authorization", "") != "" for seen in server.requests(DIGEST)] == [False, True]
            assert [seen.headers.get("authorization") for seen in storage.seen] == [None]

    def test_ranges_go_along(self, server: Server, download: Download) -> None:
        def store(seen: Seen) -> Reply:
            assert seen.headers["range"] == "bytes=5-"
            headers = {"Content-Range": f"bytes 5-{len(LAYER) - 1}/{len(LAYER)}"}
            return Reply(status=206, headers=headers, body=LAYER[5:])

        with serving(store) as storage:
            server.fault(DIGEST, Reply(status=302, headers={"Location": f"http://{storage.host}/x"}))
            assert download(data=bytearray(LAYER[:5])).finished


def test_a_lying_mirror_is_not_asked_again(image: Image, server: Server, connect: Connect) -> None:
    with serving(lambda _seen: Reply(body=b"x" * len(LAYER))) as liar:
        rule = RegistryRule(
            prefix="registry.example/org",
            location=f"{server.host}/org",
            mirrors=(Mirror(location=f"{liar.host}/org"),),
        )
        registry = connect(conf=RegistriesConf(rules=(rule,)))
        memory = Memory()
        download_blob(registry, parse_reference("registry.example/org/app:1"), descriptor(), memory)
        assert (memory.finished, len(liar.requests(DIGEST)), len(server.requests(DIGEST))) == (True, 1, 1)


class TestForeign:
    """Layers that a licence keeps out of registries."""

    TYPE = f"{mediatypes.DOCKER_FOREIGN_LAYER}.gzip"

    class Elsewhere:
        """A web where one address has the layer."""

        def __init__(self) -> None:
            self.asked: list[tuple[str, str]] = []

        def open(self, request: Request) -> Response:
            self.asked.append((request.url, request.headers.get("Range", "")))
            return Body(200 if "good" in request.url else 404)

    def test_come_from_their_address(self, server: Server, connect: Connect) -> None:
        elsewhere = self.Elsewhere()
        urls = ("http://plain/layer", "https://bad/layer", "https://good/layer")
        memory = Memory()
        reference = parse_reference(f"{server.host}/org/other:1")
        download_blob(connect(), reference, descriptor(media_type=self.TYPE, urls=urls), memory, elsewhere=elsewhere)
        assert memory.finished
        assert elsewhere.asked == [("https://bad/layer", ""), ("https://good/layer", "")]

    @pytest.mark.parametrize(("media_type", "error"), [(TYPE, FetchError), (mediatypes.OCI_LAYER, NotFoundError)])
    def test_are_refused(self, server: Server, connect: Connect, media_type: str, error: type[FetchError]) -> None:
        """When no address has them; and addresses of ordinary layers are not followed at all."""
        elsewhere = self.Elsewhere()
        layer = descriptor(media_type=media_type, urls=("https://bad/layer",))
        with pytest.raises(error) as caught:
            download_blob(
                connect(), parse_reference(f"{server.host}/org/other:1"), layer, Memory(), elsewhere=elsewhere
            )
        assert type(caught.value) is error


class Body:
    url = "https://good/layer"

    def __init__(self, status: int) -> None:
        self.status = status
        self.headers = {"content-length": str(len(LAYER))}
        self._rest = LAYER

    def read(self, amount: int) -> bytes:
        data, self._rest = self._rest[:amount], self._rest[amount:]
        return data

    def abort(self) -> None:
        pass

    def close(self) -> None:
        pass


REPLIES = st.one_of(
    st.builds(
        Reply,
        body=st.just(LAYER),
        cut=st.integers(0, len(LAYER)),
        how=st.sampled_from(("reset", "close")),
    ),
    st.builds(Reply, body=st.sampled_from((b"", LAYER[:-1], LAYER + b"x", b"x" + LAYER[1:], LAYER))),
    st.builds(Reply, status=st.sampled_from((429, 500, 503, 408)), headers=st.just({"Retry-After": "1"})),
    st.builds(
        lambda start, cut: Reply(
            status=206,
            headers={"Content-Range": f"bytes {start}-{len(LAYER) - 1}/{len(LAYER)}"},
            body=LAYER[start:],
            cut=cut,
        ),
        st.integers(0, len(LAYER) - 1),
        st.none() | st.integers(0, 1000),
    ),
    st.just(Reply(status=416)),
)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(replies=st.lists(REPLIES, max_size=6), start=st.integers(0, len(LAYER)))
def test_whatever_a_server_does_nothing_wrong_is_kept(
    server: Server, connect: Connect, reference: Reference, replies: list[Reply], start: int
) -> None:
    server.faults.clear()
    server.fault(DIGEST, *replies)
    memory = Memory(data=bytearray(LAYER[:start]))
    try:
        download_blob(connect(), reference, descriptor(), memory)
    except FetchError:
        assert not memory.finished
        assert bytes(memory.data) == LAYER[: len(memory.data)]
    else:
        assert memory.finished
        assert bytes(memory.data) == LAYER


def test_the_time_spent_waiting_is_bounded(server: Server, download: Download, time: Time) -> None:
    """Progress between the breaks or not: after five minutes of waiting in all it is enough."""
    for position in range(12):
        server.fault(
            DIGEST,
            Reply(body=LAYER, cut=10 * (position + 1))
            if not position
            else Reply(status=503, headers={"Retry-After": "120"}),
        )
    with pytest.raises(UnreachableError, match="the server asks to come back in 2 min"):
        download()
    assert time.waits == [0.5, 120.0, 120.0]
