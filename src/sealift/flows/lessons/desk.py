"""Where a learner works: a folder, the images in it as far as they were looked at, and what this host has."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from sealift.errors import ImageError
from sealift.evidence.files import ImageFiles, files_of
from sealift.evidence.inspection import Inspection, inspect_image
from sealift.evidence.leftovers import Leftover, find_leftovers, load_leftover_rules
from sealift.evidence.opening import OpenImage, open_image
from sealift.evidence.packages import Inventory, find_packages, owners

TEXT_LIMIT = 1 << 20
"""Bytes of a learner's file that a check reads."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What a check found. `seen` is shown below what is wrong, `remedy` are lines that help.

    `texts` is where the patterns of typical mistakes are looked for. `unreadable` says that nothing else of the step
    can be told before this is mended.
    """

    right: bool
    seen: str = ""
    remedy: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    unreadable: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class ImageView:
    """An image that is open, read as far as checks ask."""

    opened: OpenImage

    @cached_property
    def files(self) -> ImageFiles:
        return files_of(self.opened)

    @cached_property
    def inspection(self) -> Inspection:
        return inspect_image(self.opened)

    @cached_property
    def packages(self) -> Inventory:
        return find_packages(self.files)

    @cached_property
    def leftovers(self) -> tuple[Leftover, ...]:
        packages = self.packages.packages
        return find_leftovers(self.files, packages, owners(self.files, packages), load_leftover_rules())

    @property
    def size(self) -> int:
        return os.path.getsize(self.opened.path)


@dataclass(frozen=True, kw_only=True, eq=False)
class Desk:
    """`folder` is absolute. `beside` reads a file of the exercise that the learner does not get."""

    folder: str
    environment: Mapping[str, str]
    beside: Callable[[str], bytes]
    engine: str = "auto"
    today: str = ""
    _views: dict[str, ImageView] = field(default_factory=dict)
    _open: list[Callable[[], object]] = field(default_factory=list)

    def path(self, name: str) -> str:
        return os.path.join(self.folder, name)

    def read(self, name: str) -> str | None:
        """A learner's file as text, None where there is none."""
        try:
            with open(self.path(name), "rb") as file:
                return file.read(TEXT_LIMIT).decode("utf-8", "replace")
        except OSError:
            return None

    def view(self, name: str) -> ImageView:
        """An image of the folder, opened once; ImageError where there is none."""
        if name not in self._views:
            path = self.path(name)
            if not os.path.exists(path):
                raise ImageError(f"there is no `{name}` yet")
            manager = open_image(path)
            self._views[name] = ImageView(opened=manager.__enter__())
            self._open.append(lambda: manager.__exit__(None, None, None))
        return self._views[name]

    def close(self) -> None:
        while self._open:
            self._open.pop()()
        self._views.clear()


def quoted(*words: str) -> str:
    return shlex.join(words)
