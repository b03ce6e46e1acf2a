from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from sealift.core.event import Event
from sealift.core.reference import Reference, parse_reference
from sealift.registry import Access, Credentials, Pacing, Patience, RegistriesConf, Registry
from sealift.system.web import HttpWeb
from tests.registry.misbehaving import Image, Server, serving

LAYER = bytes(range(256)) * 4000


@dataclass
class Time:
    """A clock that only waiting moves; keeps what was waited and said."""

    now: float = 0.0
    waits: list[float] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.waits.append(seconds)

    @property
    def pacing(self) -> Pacing:
        return Pacing(sleep=self.sleep, jitter=lambda: 1.0, tell=self.said.append)


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def image() -> Image:
    return Image(repository="org/app", layers=[LAYER, b"second"])


@pytest.fixture
def server(image: Image) -> Iterator[Server]:
    """A registry that has the image, and does as it is told."""
    with serving(image) as running:
        yield running


@pytest.fixture
def web() -> Iterator[HttpWeb]:
    web = HttpWeb({}, read_timeout=20.0)
    yield web
    web.close()


@pytest.fixture
def events() -> list[Event]:
    return []


Connect = Callable[..., Registry]


@pytest.fixture
def connect(web: HttpWeb, time: Time, events: list[Event]) -> Connect:
    """A client; the keywords replace its parts."""

    def make(
        credentials: Credentials | None = None,
        conf: RegistriesConf | None = None,
        patience: Patience | None = None,
        *,
        insecure: bool = False,
    ) -> Registry:
        access = Access(
            web, credentials or Credentials(), patience=patience or Patience(), pacing=time.pacing, clock=time
        )
        return Registry(access, conf, insecure=insecure, events=events.append)

    return make


@pytest.fixture
def reference(server: Server) -> Reference:
    return parse_reference(f"{server.host}/org/app:1")
