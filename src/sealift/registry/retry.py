"""When to try again, and how long to wait: exponential back-off with jitter, the server's Retry-After, an end."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from sealift.errors import SealiftError, UnreachableError

RETRY_STATUSES = frozenset({408, 425, 429, 500, 502, 503, 504})


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How much trouble one request or download may make: tries without progress, seconds spent waiting in all."""

    tries: int = 5
    first: float = 0.5
    longest: float = 30.0
    total: float = 300.0


class CancelledError(SealiftError):
    """The work was given up from outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pacing:
    """The effects of waiting, so that tests need not wait."""

    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random
    cancelled: Callable[[], bool] = lambda: False
    tell: Callable[[str], None] = lambda _text: None
    """Takes a sentence about each wait."""


class Retries:
    """The count for one piece of work."""

    def __init__(self, patience: Patience, pacing: Pacing) -> None:
        self._patience = patience
        self._pacing = pacing
        self._tries = 0
        self._waited = 0.0

    def progress(self) -> None:
        """Something was gained, so the count of tries begins anew; the bound on the time waited stays."""
        self._tries = 0

    def check(self) -> None:
        if self._pacing.cancelled():
            raise CancelledError("the work was given up")

    def pause(self, error: SealiftError, *, retry_after: float | None = None) -> None:
        """Wait before the next try; raises `error` when there should be none."""
        self._tries += 1
        self.check()
        if self._tries >= self._patience.tries:
            raise error
        delay = min(self._patience.first * 2 ** (self._tries - 1), self._patience.longest)
        # Between half and the whole: many ranks or users that failed together do not come back together.
        delay *= 0.5 + self._pacing.jitter() / 2
        if retry_after is not None:
            delay = max(delay, retry_after)
        if self._waited + delay > self._patience.total:
            if retry_after is not None and retry_after >= delay:
                raise UnreachableError(
                    f"{error.message}; the server asks to come back in {_minutes(retry_after)}", hints=error.hints
                ) from error
            raise error
        self._waited += delay
        self._pacing.tell(f"{error.message}; trying again in {_minutes(delay)}")
        self._pacing.sleep(delay)
        self.check()


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that a server asks to wait (RFC 9110, 10.2.3); a date is taken relative to the server's own clock."""
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        return float(value)
    try:
        then, now = parsedate_to_datetime(value), parsedate_to_datetime(headers.get("date", ""))
        return max(0.0, (then - now).total_seconds())
    except (ValueError, TypeError, IndexError):
        return None


def _minutes(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds < 120 else f"{seconds / 60:.0f} min"
