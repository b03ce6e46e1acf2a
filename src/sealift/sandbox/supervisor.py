"""Placeholder until the supervisor stands."""

from __future__ import annotations

from sealift.sandbox.assemble import Assembly
from sealift.sandbox.spec import Footing


class Supervision:
    @staticmethod
    def prepare(_footing: Footing, _made: Assembly) -> None:
        return None
