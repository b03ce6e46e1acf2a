"""What of a build is counted as time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import SimpleNamespace

import pytest

from sealift.flows.workshop import Stopwatch


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [100.0]
    monkeypatch.setattr("sealift.flows.workshop.time", SimpleNamespace(monotonic=lambda: now[0]))
    return now


@contextlib.contextmanager
def standing(clock: list[float], entering: float, leaving: float, *, fails: bool = False) -> Iterator[str]:
    clock[0] += entering
    if fails:
        raise ValueError
    try:
        yield "stands"
    finally:
        clock[0] += leaving


@pytest.mark.parametrize("fails", [False, True])
def test_entering_and_leaving_count_and_not_what_is_done_in_between(clock, fails):
    watch = Stopwatch()
    with (
        contextlib.suppress(ValueError),
        watch.measure_ends("sandbox", standing(clock, 2, 3)) as value,
        watch.measure("%post"),
    ):
        clock[0] += 40
        assert value == "stands"
        if fails:
            raise ValueError
    assert watch.seconds == {"sandbox": 5, "%post": 40}


def test_what_could_not_be_entered_counts_once(clock):
    watch = Stopwatch()
    with pytest.raises(ValueError), watch.measure_ends("sandbox", standing(clock, 2, 3, fails=True)):  # noqa: PT011
        pytest.fail("nothing was entered")
    assert watch.seconds == {"sandbox": 2}
