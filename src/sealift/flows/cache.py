"""The story of the cache: what it holds, what may go, whether it is whole."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Mapping
from dataclasses import dataclass

from sealift.core.event import Events, ignore
from sealift.flows.unpacking import forget_unpacked
from sealift.flows.workshop import verify_pack
from sealift.store import Damaged, Pruned, Store, Usage, open_store
from sealift.store.place import choose_cap, choose_place

UNPACKED_KEPT = 30 * 86400.0
"""Seconds for which an image that was unpacked for a host without mounts is kept unused."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheReport:
    """What the cache holds after the command, and what the command did."""

    root: str
    cap: int
    usage: tuple[Usage, ...]
    pruned: Pruned | None = None
    damage: tuple[Damaged, ...] = ()

    @property
    def size(self) -> int:
        return sum(each.size for each in self.usage)


def show(environment: Mapping[str, str], *, events: Events = ignore) -> CacheReport:
    """What the cache holds; an absent one holds nothing and is not made."""
    with _opened(environment, events) as store:
        return _report(store, environment)


def prune(environment: Mapping[str, str], max_size: int | None, *, events: Events = ignore) -> CacheReport:
    """Remove what was used longest ago until `max_size` bytes are left; None: until the cache's own cap is met."""
    with _opened(environment, events) as store:
        pruned = store.prune(max_size)
        forget_unpacked(store.root, unused_for=0 if max_size == 0 else UNPACKED_KEPT)
        return _report(store, environment, pruned=pruned)


def verify(environment: Mapping[str, str], *, events: Events = ignore) -> CacheReport:
    """Read every entry and remove the damaged ones, which are then fetched or made anew when they are wanted."""
    with _opened(environment, events) as store:
        damage = store.verify({"packs": verify_pack})
        if damage:
            # An image that was made of it may be damaged too, and must not pass for unchanged.
            store.drop_records("targets")
        return _report(store, environment, damage=damage)


def _opened(environment: Mapping[str, str], events: Events) -> Store:
    place = choose_place(environment)
    return open_store(environment, events=events) if os.path.isdir(place.root) else Store(place.root, events=events)


def _report(
    store: Store, environment: Mapping[str, str], *, pruned: Pruned | None = None, damage: tuple[Damaged, ...] = ()
) -> CacheReport:
    cap = choose_cap(environment, store.root)
    return CacheReport(root=store.root, cap=cap, usage=store.usage(), pruned=pruned, damage=damage)


def day(seconds: float) -> str:
    """A day for people, in UTC."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC).strftime("%Y-%m-%d")
