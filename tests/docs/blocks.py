"""The shell commands that README and docs show, found so that tests can run them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
_FENCE = re.compile(r"(?:<!-- not run: (?P<reason>[^\n]+?) -->\n+)?```sh\n(?P<body>.*?)```", re.DOTALL)


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One ```` ```sh ```` fence; `reason` says why it is not run where a comment before it says so."""

    page: str
    number: int
    body: str
    reason: str | None

    @property
    def commands(self) -> tuple[str, ...]:
        lines = (line.split(" #")[0].strip() for line in self.body.splitlines())
        return tuple(line for line in lines if line and not line.startswith("#"))

    def __str__(self) -> str:
        return f"{self.page}-{self.number}"


def blocks() -> tuple[Block, ...]:
    return tuple(
        Block(page=str(page.relative_to(ROOT)), number=number, body=match["body"], reason=match["reason"])
        for page in PAGES
        for number, match in enumerate(_FENCE.finditer(page.read_text("utf-8")), 1)
    )
