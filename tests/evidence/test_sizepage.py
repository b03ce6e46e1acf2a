"""The page's data; that it works is seen in a browser, in tests/flows/test_size_page.py."""

from __future__ import annotations

import json
import re
from pathlib import Path

from sealift.evidence.sizepage import render
from sealift.evidence.sizereport import report
from tests.evidence.conftest import write_root
from tests.evidence.test_size import measured


def page_of(root: Path, **limits: int) -> str:
    sizes = measured(root)
    return render(sizes, report(sizes, folders=10), **limits).decode()


def data_of(page: str) -> dict[str, object]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    value: dict[str, object] = json.loads(found[1])
    return value


def test_the_tree(tmp_path) -> None:
    root = write_root(
        tmp_path / "root",
        {
            "a/b/one": b"1",
            "a/b/two": b"22",
            "a/empty": None,
            "var/lib/apt/lists/x": b"333",
            "var/lib/dpkg/status": b"Package: p\nStatus: install ok installed\nVersion: 1\n",
            "var/lib/dpkg/info/p.list": b"/a/b/two\n",
        },
    )
    assert data_of(page_of(root))["tree"] == [
        "",
        [
            ["a", [["b", [["one", 1, None, -1, -1], ["two", 2, None, 0, -1]]]]],
            [
                "var",
                [
                    [
                        "lib",
                        [
                            ["apt", [["lists", [["x", 3, None, -1, 0]]]]],
                            ["dpkg", [["info", [["p.list", 9, None, -1, -1]]], ["status", 51, None, -1, -1]]],
                        ],
                    ]
                ],
            ],
        ],
    ]


def test_many_small_files_are_summed_up_in_their_folder(tmp_path) -> None:
    root = write_root(tmp_path / "root", {"a/1": b"1", "a/2": b"22", "a/3": b"333", "b/4": b"4444", "b/5": b"5"})
    data = data_of(page_of(root, files_limit=2))
    assert (data["tree"], data["folded"]) == (
        [
            "",
            [
                ["a", [["3", 3, None, -1, -1], ["(2 small files)", 3, None, -1, -1, 2]]],
                ["b", [["4", 4, None, -1, -1], ["(1 small file)", 1, None, -1, -1, 1]]],
            ],
        ],
        3,
    )


def test_folders_without_end_are_named_by_their_rest(tmp_path) -> None:
    path = "/".join("d" * 100)
    node = data_of(page_of(write_root(tmp_path / "root", {f"{path}/file": b"1"})))["tree"]
    for _ in range(40):
        assert isinstance(node, list)
        (node,) = node[1]
    assert node == ["d", [["/".join(["d"] * 60 + ["file"]), 1, None, -1, -1]]]


def test_names_are_data_alone(tmp_path) -> None:
    """The page has the two scripts that it always has, whatever an image calls its files."""
    names = ["<script>alert(1)", "x<!--", "*DATA*", "</script>"]
    root = write_root(tmp_path / "root", {f"{number}{name}": b"1" for number, name in enumerate(names)})
    page = page_of(root)
    assert (page.count("<script"), page.count("</script>"), page.count("<!--")) == (2, 2, 0)
    tree = data_of(page)["tree"]
    assert isinstance(tree, list)
    assert [each[0] for each in tree[1]] == ["0<script>alert(1)", "1x<!--", "2*DATA*", "3<"]


def test_nothing_comes_from_outside(tmp_path) -> None:
    page = page_of(write_root(tmp_path / "root", {"a": b"1"}))
    assert re.findall(r'(?:src|href)="(?!#)[^"]*"|@import|url\(|https?:', page) == []
