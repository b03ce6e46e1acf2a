"""Which folders are worth a line."""

from __future__ import annotations

import pytest

from sealift.core.tree import Entry, tree_of
from sealift.core.tree import sort_key as key
from sealift.evidence.files import ImageFiles
from sealift.evidence.folders import notable, sums


def files_with(sizes: dict[str, int]) -> ImageFiles:
    folders = {path.rsplit("/", count)[0] for path in sizes for count in range(1, path.count("/") + 1)} | {""}
    entries = [Entry(path=each.encode(), mode=0o040755) for each in folders]
    entries += [Entry(path=path.encode(), mode=0o100644, size=size) for path, size in sizes.items()]
    return ImageFiles(tree=tree_of(sorted(entries, key=lambda one: key(one.path))), pieces=lambda _row: iter(()))


def summed(sizes: dict[str, int]) -> dict[bytes, tuple[int, int]]:
    files = files_with(sizes)
    return sums(files, [row for row in range(len(files.tree)) if files.tree.modes[row] == 0o100644])


SIZES = {"top": 10, "usr/lib/a": 500, "usr/lib/deep/b": 300, "usr/bin/c": 100, "opt/only/one/d": 80, "etc/small": 1}


def test_sums_of_all_below() -> None:
    assert summed(SIZES) == {
        b"": (6, 991),
        b"usr": (3, 900),
        b"usr/lib": (2, 800),
        b"usr/lib/deep": (1, 300),
        b"usr/bin": (1, 100),
        b"opt": (1, 80),
        b"opt/only": (1, 80),
        b"opt/only/one": (1, 80),
        b"etc": (1, 1),
    }


@pytest.mark.parametrize(
    ("most", "lines"),
    [
        (0, ["0 / 991 991"]),
        (1, ["0 / 991 91", "1 /usr 900 900"]),
        (
            100,
            [
                *("0 / 991 11", "1 /usr 900 0", "2 /usr/lib 800 500", "3 /usr/lib/deep 300 300"),
                *("2 /usr/bin 100 100", "1 /opt/only/one 80 80"),
            ],
        ),
    ],
)
def test_the_largest_at_the_depth_where_they_part(most, lines) -> None:
    found = notable(summed(SIZES), most)
    assert [f"{one.depth} /{one.path.decode()} {one.size} {one.own}" for one in found] == lines
    assert sum(one.own for one in found) == 991


def test_of_nothing() -> None:
    assert [(one.path, one.size) for one in notable(summed({}), 10)] == [(b"", 0)]
