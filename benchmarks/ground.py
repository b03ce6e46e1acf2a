"""What a measurement stands on: real programs, and a session of which nothing stays."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests import parts
from tests.ground import session, users


@contextmanager
def standing(needs: Iterable[str]) -> Iterator[Path]:
    """The session's folder, once all parts are there; at the end it is said what was left. Exit code 6 without them."""
    needs = tuple(needs)
    parts.provide(needs)
    lacking = [sentence for name in needs if (sentence := parts.lacking(name))]
    if lacking:
        sys.stderr.write("\n".join(lacking) + "\n")
        sys.exit(6)
    session.hear_signals()
    folder = session.begin()
    try:
        yield folder
    finally:
        for sentence in (*users.remove_made(folder), *session.end(folder)):
            sys.stderr.write(f"left behind: {sentence}\n")
