"""Where the bytes of an image went: by package, by folder, by layer; what lies there twice, and what builds left.

Every content is counted once: hard links are one file, which stands at its first name.
"""

from __future__ import annotations

import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sealift.evidence.duplicates import Duplicate, find_duplicates
from sealift.evidence.files import ImageFiles, files_of
from sealift.evidence.inspection import noted_layers
from sealift.evidence.leftovers import Leftover, find_leftovers, load_leftover_rules
from sealift.evidence.opening import Form, OpenImage
from sealift.evidence.packages import Inventory, Package, find_packages, owners


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """Some files of an image: how many, what they hold, and what that takes in the image file (None for folders)."""

    files: int
    size: int
    stored: int | None


@dataclass(frozen=True, kw_only=True, eq=False)
class Sizes:
    """What `measure` found. `rows` are the counted ones; their shares add up to `whole`."""

    path: str
    form: Form
    file_size: int | None
    """Bytes of the image file; what is not `whole.stored` of it are its tables, a SIF's header and padding."""
    files: ImageFiles
    rows: Sequence[int]
    whole: Share
    inventory: Inventory
    owned: Mapping[int, int]
    """Counted rows to the number of the package that they belong to."""
    leftovers: tuple[Leftover, ...]
    duplicates: tuple[Duplicate, ...]
    layers: tuple[Mapping[str, Any], ...]

    def share(self, rows: Iterable[int]) -> Share:
        """What some of the counted rows come to."""
        return _share(self.files, rows)

    def by_package(self) -> list[tuple[Package | None, Share]]:
        """The packages that own something, the largest first; None is for files that no package has."""
        rows: dict[int, list[int]] = defaultdict(list)
        for row in self.rows:
            rows[self.owned.get(row, -1)].append(row)
        shares = [
            (self.inventory.packages[number] if number >= 0 else None, _share(self.files, rows[number]))
            for number in sorted(rows)
        ]
        return sorted(shares, key=lambda one: -one[1].size)


def measure(image: OpenImage) -> Sizes:
    """Read all names of the image, its packages' databases, and files of equal size; nothing is run.

    ImageError where the image is damaged, HostError where a folder may not be read.
    """
    files = files_of(image)
    tree = files.tree
    rows = [row for row, mode in enumerate(tree.modes) if stat.S_ISREG(mode) and files.firsts[row] == row]
    inventory = find_packages(files)
    owned = owners(files, inventory.packages)
    return Sizes(
        path=image.path,
        form=image.form,
        file_size=None if image.form == "directory" else os.stat(image.path).st_size,
        files=files,
        rows=rows,
        whole=_share(files, rows),
        inventory=inventory,
        owned=owned,
        leftovers=find_leftovers(files, inventory.packages, owned, load_leftover_rules()),
        duplicates=find_duplicates(files),
        layers=noted_layers(image),
    )


def _share(files: ImageFiles, rows: Iterable[int]) -> Share:
    rows = tuple(rows)
    sizes, stored = files.tree.sizes, files.stored
    return Share(
        files=len(rows),
        size=sum(sizes[row] for row in rows),
        stored=None if stored is None else sum(stored[row] for row in rows),
    )
