"""A finding: one thing that doctor, lint or check has to say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Severity = Literal["ok", "note", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`what` is one sentence; `evidence` what was seen; `remedy` something to type or to ask an admin for."""

    id: str
    severity: Severity
    what: str
    evidence: str = ""
    remedy: str = ""
