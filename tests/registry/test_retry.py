from __future__ import annotations

import pytest

from sealift.errors import UnreachableError
from sealift.registry.retry import CancelledError, Pacing, Patience, Retries, retry_after

ERROR = UnreachableError("no")


def waits(patience: Patience, jitter: float, count: int, after: float | None = None) -> list[float]:
    found: list[float] = []
    retries = Retries(patience, Pacing(sleep=found.append, jitter=lambda: jitter))
    for _ in range(count):
        retries.pause(ERROR, retry_after=after)
    return found


def test_waits_double_up_to_a_bound() -> None:
    assert waits(Patience(tries=9, longest=3.0), 1.0, 5) == [0.5, 1.0, 2.0, 3.0, 3.0]


def test_jitter_takes_up_to_half() -> None:
    assert waits(Patience(), 0.0, 3) == [0.25, 0.5, 1.0]


def test_the_server_s_wish_is_the_least() -> None:
    assert waits(Patience(), 1.0, 3, after=1.5) == [1.5, 1.5, 2.0]


def test_the_end_of_patience() -> None:
    with pytest.raises(UnreachableError) as caught:
        waits(Patience(tries=3), 1.0, 3)
    assert caught.value is ERROR
    with pytest.raises(UnreachableError) as caught:
        waits(Patience(tries=99, total=3.0), 1.0, 3)
    assert caught.value is ERROR


def test_giving_up_while_waiting() -> None:
    cancelled: list[bool] = []
    retries = Retries(
        Patience(), Pacing(sleep=lambda _seconds: cancelled.append(True), cancelled=lambda: bool(cancelled))
    )
    retries.check()
    with pytest.raises(CancelledError):
        retries.pause(ERROR)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": " 0 "}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "\u0663"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT", "date": "Wed, 21 Oct 2015 07:28:00 GMT"}, 30.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT", "date": "Wed, 21 Oct 2015 07:28:30 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00", "date": "Wed, 21 Oct 2015 07:28:30 GMT"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds
