"""The one source of times that go into an image: never the clock."""

from __future__ import annotations

import re
from datetime import datetime

from sealift.errors import UsageError

LATEST = 2**32 - 1
"""squashfs keeps times as unsigned 32-bit seconds."""


def clamp(seconds: int) -> int:
    """Fold a time into what squashfs can hold."""
    return 0 if seconds < 0 else min(seconds, LATEST)


def parse_source_date_epoch(value: str) -> int:
    """Read SOURCE_DATE_EPOCH (reproducible-builds.org/specs/source-date-epoch): decimal seconds since 1970 in UTC."""
    if not re.fullmatch(r"[0-9]+", value.strip()):
        raise UsageError(
            f"SOURCE_DATE_EPOCH must be whole seconds since 1970, not `{value}`",
            hints=("unset it, or: export SOURCE_DATE_EPOCH=$(git log -1 --format=%ct)",),
        )
    return clamp(int(value))


def parse_rfc3339(value: str) -> int | None:
    """Seconds of an RFC 3339 time such as an OCI config's `created`; None when it is none or lies before 1970."""
    match = re.fullmatch(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.\d+)?(Z|z|[+-]\d\d:\d\d)", value)
    if not match:
        return None
    zone = "+00:00" if match[3] in "Zz" else match[3]
    try:
        seconds = int(datetime.fromisoformat(f"{match[1]}T{match[2]}{zone}").timestamp())
    except ValueError:
        return None
    return clamp(seconds) if seconds >= 0 else None


def choose_epoch(*, source_date_epoch: str | None, base_created: int | None) -> int:
    """The time that everything in the image gets: SOURCE_DATE_EPOCH, else the base's creation, else 0."""
    if source_date_epoch:
        return parse_source_date_epoch(source_date_epoch)
    return base_created if base_created is not None else 0
