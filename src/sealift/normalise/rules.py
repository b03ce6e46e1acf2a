"""The rules as values, read from `data/rules/normalise.toml`."""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass
from importlib import resources
from typing import Literal

Action = Literal["remove", "empty"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One kind of noise: `pattern` matches whole paths (bytes, no leading slash)."""

    id: str
    action: Action
    pattern: re.Pattern[bytes]
    reason: str


@functools.cache
def load_rules() -> tuple[Rule, ...]:
    text = resources.files("sealift").joinpath("data/rules/normalise.toml").read_text("utf-8")
    return tuple(
        Rule(
            id=item["id"],
            action=item["action"],
            pattern=re.compile(b"|".join(path_pattern(glob) for glob in item["match"]), re.DOTALL),
            reason=item["reason"],
        )
        for item in tomllib.loads(text)["rule"]
    )


def path_pattern(glob: str) -> bytes:
    """A glob as a regular expression for `fullmatch`: `**` crosses slashes, `*` and `?` do not."""
    parts = re.split(r"(\*\*|\*|\?)", glob)
    spoken = {"**": ".*", "*": "[^/]*", "?": "[^/]"}
    return "".join(spoken.get(part, re.escape(part)) for part in parts).encode()
