"""The shell commands that README and docs show, found so that tests can run them.

    <!-- not run: REASON -->        the fence below is not run
    <!-- file: NAME -->             the fence below is a file, which lies there when the page's commands run
    <!-- one after the other -->    the page is a walk: its commands run in one folder, in order

A ```` ```text ```` fence directly behind commands of a walk is what they say, line by line; `…` is anything.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
_FENCE = re.compile(
    r"(?:<!-- not run: (?P<reason>[^\n]+?) -->\n+)?```sh\n(?P<body>.*?)```\n(?:\n```text\n(?P<says>.*?)```\n)?",
    re.DOTALL,
)
_FILE = re.compile(r"<!-- file: (?P<name>[^\n]+?) -->\n+```\w*\n(?P<text>.*?)```", re.DOTALL)
_WALK = "<!-- one after the other -->"


@dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """One ```` ```sh ```` fence; `reason` says why it is not run where a comment before it says so."""

    body: str
    reason: str | None = None
    says: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Walk:
    """Blocks that run in one folder, which holds `files`."""

    name: str
    blocks: tuple[Block, ...]
    files: Mapping[str, str]

    def __str__(self) -> str:
        return self.name


def blocks(page: Path) -> tuple[Block, ...]:
    text = page.read_text("utf-8")
    return tuple(
        Block(body=match["body"], reason=match["reason"], says=match["says"] or "") for match in _FENCE.finditer(text)
    )


def walks(page: Path) -> tuple[Walk, ...]:
    """What is to be run of a page: each block by itself, unless they follow each other."""
    text, name = page.read_text("utf-8"), str(page.relative_to(ROOT))
    files = {match["name"]: match["text"] for match in _FILE.finditer(text)}
    found = {number: block for number, block in enumerate(blocks(page), 1) if block.reason is None}
    if not found:
        return ()
    if _WALK in text:
        return (Walk(name=name, blocks=tuple(found.values()), files=files),)
    return tuple(Walk(name=f"{name}-{number}", blocks=(block,), files=files) for number, block in found.items())
