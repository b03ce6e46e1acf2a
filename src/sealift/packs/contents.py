"""Finds equal contents by their SHA-256, at some 8 bytes a content where a dictionary would take two hundred."""

from __future__ import annotations

from array import array
from collections.abc import Callable

_SMALLEST = 1024


class Contents:
    """A hash table with open addressing: digest → the number that came with it first.

    It keeps numbers only (below 2³²−1); `digest_of` says which digest belongs to a number that was given before.
    """

    def __init__(self, digest_of: Callable[[int], bytes]) -> None:
        self._digest_of = digest_of
        self._count = 0
        self._slots = array("I", bytes(4 * _SMALLEST))
        """0 where free, else one more than a number."""

    def setdefault(self, digest: bytes, number: int) -> int:
        """The number that was first given with `digest`, which is `number` itself where there was none."""
        slots = self._slots
        mask = len(slots) - 1
        # Python's own hash, as it is keyed: contents cannot be chosen to fall on one slot.
        slot = hash(digest) & mask
        while found := slots[slot]:
            if self._digest_of(found - 1) == digest:
                return found - 1
            slot = (slot + 1) & mask
        slots[slot] = number + 1
        self._count += 1
        if self._count * 3 > len(slots) * 2:
            self._grow()
        return number

    def _grow(self) -> None:
        slots = array("I", bytes(4 * 2 * len(self._slots)))
        mask = len(slots) - 1
        for found in self._slots:
            if found:
                slot = hash(self._digest_of(found - 1)) & mask
                while slots[slot]:
                    slot = (slot + 1) & mask
                slots[slot] = found
        self._slots = slots
