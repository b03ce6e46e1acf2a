"""docs/parity-engines.md: what is compared, what came of it, and why what differs differs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.parity import page
from benchmarks.parity.engines.comparison import RULES
from benchmarks.parity.rules import load_rules

FILE = page.FILE.with_name("parity-engines.md")
TEMPLATE = Path(__file__).with_name("page.md")


def render(rows: Sequence[page.Row], versions: Mapping[str, str]) -> str:
    return page.render(rows, load_rules(RULES), versions, template=TEMPLATE)
