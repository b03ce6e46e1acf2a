"""The page of `sealift size --html` in a real browser, without a network: looked at, clicked, typed into."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from sealift.evidence.sizepage import render
from sealift.evidence.sizereport import report
from tests.evidence.conftest import Content, write_root
from tests.evidence.test_size import measured
from tests.ground.browser import Page, browser

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium")]

SITE = "usr/lib/python3.12/site-packages"
OF_BIG = ("big/__init__.py", "big/_core.so", "big-1.dist-info/RECORD", "big-1.dist-info/METADATA")
HOSTILE = "<img src=x onerror=document.title=1>&amp;"
CONTENT: dict[str, Content] = {
    f"{SITE}/big/__init__.py": b"b" * 400_000,
    f"{SITE}/big/_core.so": b"c" * 300_000,
    f"{SITE}/big-1.dist-info/METADATA": b"Name: big\nVersion: 1\n",
    f"{SITE}/big-1.dist-info/RECORD": b"big/__init__.py,,\nbig/_core.so,,\n",
    "usr/bin/tool": b"t" * 200_000,
    "opt/copy": b"t" * 200_000,
    "opt/only/one/way/down": b"d" * 90_000,
    f"opt/{HOSTILE}/x": b"x" * 80_000,
    "var/lib/apt/lists/a": b"a" * 150_000,
    "etc/small": b"",
}


@pytest.fixture(scope="module")
def address(session_folder: Path) -> str:
    folder = session_folder / "size-page"
    folder.mkdir()
    sizes = measured(write_root(folder / "root", CONTENT))
    (folder / "page.html").write_bytes(render(sizes, {**report(sizes, folders=10), "image": f"{HOSTILE}.sif"}))
    return f"file://{folder}/page.html"


@pytest.fixture(scope="module")
def opened(session_folder: Path) -> Iterator[Page]:
    with browser(session_folder / "browser") as page:
        yield page


@pytest.fixture
def page(opened: Page, address: str) -> Iterator[Page]:
    """The page as it opens; the program in it must not fail, and nothing else may be asked for."""
    opened.asked.clear()
    opened.screen(1200, 900)
    opened.open("about:blank")
    opened.open(address)
    yield opened
    assert opened.errors == []
    assert [one for one in opened.asked if one.partition("#")[0] not in (address, "about:blank")] == []


def texts(page: Page, selector: str) -> list[str]:
    found: list[str] = page.value(f"[...document.querySelectorAll({selector!r})].map((each) => each.textContent)")
    return found


def areas(page: Page) -> dict[str, float]:
    """The area of each file's tile by its path."""
    found: dict[str, float] = page.value(
        "Object.fromEntries([...document.querySelectorAll('.tile:not(.folder)')]"
        ".map((each) => [each.dataset.path, each.offsetWidth * each.offsetHeight]))"
    )
    return found


def test_it_says_what_was_measured(page: Page) -> None:
    assert texts(page, "h1, #total") == [f"{HOSTILE}.sif", "1.4 MB in 10 files"]
    assert page.value("document.title") == f"{HOSTILE}.sif: where the bytes went"
    assert texts(page, "#folder tbody tr") == ["usr/5900.1 kB", "opt/3370.0 kB", "var/1150.0 kB", "etc/10 B"]
    assert texts(page, "#leftovers tbody tr") == ["apt's lists of packages1150.0 kBrm -rf /var/lib/apt/lists/*"]
    assert texts(page, "#packages tbody tr") == ["no package's6720.0 kBnone", "big4700.1 kB1python"]
    assert texts(page, "#duplicates tbody tr") == ["/opt/copy\n/usr/bin/tool2200.0 kB200.0 kB"]


def test_areas_are_as_large_as_bytes(page: Page) -> None:
    """Borders and folders' names take some pixels: so nearly, and in the order of bytes."""
    found = areas(page)
    names = [f"/{SITE}/big/__init__.py", f"/{SITE}/big/_core.so", "/usr/bin/tool", "/var/lib/apt/lists/a"]
    assert sorted(names, key=lambda each: -found[each]) == names
    assert 0.7 < found[names[1]] / found[names[0]] / 0.75 < 1.3


def test_zooming_with_the_mouse_and_back(page: Page) -> None:
    page.click('.tile[data-path="/opt"]')
    assert page.value("location.hash") == "#/opt"
    assert texts(page, "#crumbs button") == ["/", "opt"]
    assert texts(page, "#folder tbody tr td:first-child") == ["copy", "only/", f"{HOSTILE}/"]
    page.click('.tile[data-path="/opt/only/one/way"]')
    assert texts(page, "#crumbs button") == ["/", "opt", "only", "one", "way"]
    page.click("#crumbs button:nth-child(2)")
    assert page.value("location.hash") == "#/opt"
    page.value(
        "new Promise((done) => { addEventListener('popstate', done, {once: true}); history.back() }).then(() => 0)"
    )
    assert texts(page, "#crumbs button")[-1] == "way"
    page.press("Escape", 27)
    assert texts(page, "#crumbs button")[-1] == "one"


def test_zooming_with_the_keyboard_alone(page: Page) -> None:
    """Tab goes to the first area, which says what it is; Enter zooms."""
    page.value("document.querySelector('#crumbs button').focus()")
    page.press("Tab", 9)
    assert page.value("document.activeElement.getAttribute('aria-label')") == "/usr · 900.1 kB · 5 files"
    assert texts(page, "#tip") == ["/usr · 900.1 kB · 5 files"]
    page.press("Enter", 13)
    assert page.value("location.hash") == "#/usr"


def test_an_address_with_a_folder_opens_there(page: Page, address: str) -> None:
    page.open("about:blank")
    page.open(f"{address}#/{SITE}")
    assert texts(page, "#folder tbody tr td:first-child") == ["big/", "big-1.dist-info/"]
    page.open("about:blank")
    for wrong in ("/no/such/folder", "/%E0%A4%A", "/usr/bin/tool/x"):
        page.open("about:blank")
        page.open(f"{address}#{wrong}")
        assert texts(page, "#crumbs button") == ["/"]


@pytest.mark.parametrize(
    ("typed", "title", "found"),
    [
        ("_CORE", "1 file found: 300.0 kB", [f"/{SITE}/big/_core.so"]),
        ("python big 1", "4 files found: 700.1 kB", [f"/{SITE}/{name}" for name in OF_BIG]),
        ("apt-lists", "1 file found: 150.0 kB", ["/var/lib/apt/lists/a"]),
        ("<img", "1 file found: 80.0 kB", [f"/opt/{HOSTILE}/x"]),
        ("nothing like it", "0 files found: 0 B", []),
    ],
)
def test_search(page: Page, typed: str, title: str, found: list[str]) -> None:
    page.click("#search")
    page.type(typed)
    assert texts(page, "#results-title") == [title]
    assert texts(page, "#results tbody td:first-child") == found
    marked = page.value("[...document.querySelectorAll('.tile.hit')].map((each) => each.dataset.path)")
    assert {*marked} <= {*found, f"/{SITE}/big-1.dist-info"}
    assert bool(marked) == bool(found)
    page.press("Escape", 27)
    assert page.value("document.getElementById('results-part').hidden")
    assert page.value("document.querySelectorAll('.tile.hit').length") == 0


def test_a_found_file_is_shown_where_it_lies(page: Page) -> None:
    page.click("#search")
    page.type("_core")
    page.click("#results tbody button")
    assert page.value("location.hash") == f"#/{SITE}/big"
    assert texts(page, ".tile.hit") == ["_core.so"]


def test_a_table_is_sorted_by_a_click(page: Page) -> None:
    names = "#packages tbody td:first-child"
    assert texts(page, names) == ["no package's", "big"]
    for order, expected in (("descending", ["no package's", "big"]), ("ascending", ["big", "no package's"])):
        page.click("#packages th:nth-child(2) button")
        assert texts(page, names) == expected
        assert texts(page, f"[aria-sort={order}]") == ["Files"]


def test_colours_by_leftovers(page: Page) -> None:
    page.value("document.getElementById('colours').value = 'leftover'")
    page.value("document.getElementById('colours').dispatchEvent(new Event('change'))")
    assert page.value("[...document.querySelectorAll('.k-cache.tile')].map((each) => each.dataset.path)") == [
        "/var/lib/apt/lists/a"
    ]
    assert texts(page, "#legend") == ["cachesonly for buildingnothing left"]


@pytest.mark.parametrize("dark", [False, True])
def test_on_a_phone_nothing_is_wider_than_the_screen(page: Page, address: str, dark: bool) -> None:
    page.screen(390, 844, mobile=True, dark=dark)
    page.open("about:blank")
    page.open(address)
    assert page.value("document.documentElement.scrollWidth") == 390
    assert f"/opt/{HOSTILE}/x" in areas(page)
    colour = page.value("getComputedStyle(document.body).backgroundColor")
    assert colour == ("rgb(21, 24, 28)" if dark else "rgb(253, 253, 251)")


@pytest.mark.needs("mksquashfs")
def test_areas_as_stored(page: Page, session_folder: Path) -> None:
    """In a squashfs what can be compressed takes less of the image file than what cannot."""
    assert page.value("document.getElementById('measure').parentElement.hidden")
    folder = session_folder / "size-page-squashfs"
    folder.mkdir()
    write_root(folder / "root", {"plain": b"p" * 300_000, "random": os.urandom(100_000)})
    options = ("-quiet", "-no-progress", "-no-fragments")
    subprocess.run(["mksquashfs", folder / "root", folder / "x.sqfs", *options], check=True)
    sizes = measured(folder / "x.sqfs")
    (folder / "page.html").write_bytes(render(sizes, report(sizes, folders=10)))
    page.open(f"file://{folder}/page.html")
    page.asked.pop()
    assert max(areas(page).items(), key=lambda each: each[1])[0] == "/plain"
    assert texts(page, "#folder th") == ["Name", "Files", "Bytes", "Stored", "Package", "Left"]
    page.value("document.getElementById('measure').value = 'stored'")
    page.value("document.getElementById('measure').dispatchEvent(new Event('change'))")
    found = areas(page)
    assert found["/random"] > 50 * found.get("/plain", 0)
    assert page.value("document.getElementById('total').textContent").startswith("400.0 kB in 2 files, which take 100.")
