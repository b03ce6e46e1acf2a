"""The site of docs/ is built, and looked at in a real browser."""

from __future__ import annotations

import functools
import http.server
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT
from tests.ground.browser import PATIENCE, Page, browser

DOCS = ROOT / "docs"
PHONE = (390, 844)
DESKTOP = (1280, 900)

pytestmark = pytest.mark.slow


def build(source: Path, target: Path, configuration: Path = DOCS / "site") -> subprocess.CompletedProcess[str]:
    """As `make docs` does."""
    argv = ["-m", "sphinx", "--quiet", "--fail-on-warning", "--keep-going", "-d", f"{target}-work"]
    return subprocess.run(
        [sys.executable, *argv, "-c", str(configuration), str(source), str(target)],
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def site(session_folder: Path) -> Path:
    folder = session_folder / "site"
    done = build(DOCS, folder)
    assert (done.returncode, done.stderr) == (0, "")
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where a plain web server of this machine has the site."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_arguments: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(site)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def page(session_folder: Path) -> Iterator[Page]:
    with browser(session_folder / "site-browser") as opened:
        yield opened


def test_every_page_of_the_folder_is_there(site):
    pages = {str(path.relative_to(DOCS).with_suffix("")) for path in DOCS.rglob("*.md")}
    built = {str(path.relative_to(site).with_suffix("")) for path in site.rglob("*.html")}
    assert pages | {"search", "genindex"} == built


NOWHERE = {
    "[no such page](missing.md)": "'myst' cross-reference target not found: 'missing.md'",
    "[no such heading](other.md#missing)": "local id not found in doc 'other': 'missing'",
    "[no such heading here](#missing)": "'myst' cross-reference target not found: 'missing'",
    "[no such file](../missing.def)": "'myst' cross-reference target not found: '../missing.def'",
}


def test_what_leads_nowhere_ends_the_build(tmp_path):
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "index.md").write_text("# One\n\n" + "\n\n".join(NOWHERE))
    (docs / "other.md").write_text("# In no list\n")
    (tmp_path / "conf.py").write_text("extensions = ['myst_parser']\nnitpicky = True\nmyst_heading_anchors = 4\n")
    done = build(docs, tmp_path / "site", tmp_path)
    assert done.returncode == 1
    wanted = (*NOWHERE.values(), "other.md: WARNING: document isn't included in any toctree")
    assert [words for words in wanted if words not in done.stderr] == []


@pytest.mark.needs("chromium")
@pytest.mark.parametrize("screen", [DESKTOP, PHONE], ids=["desktop", "phone"])
@pytest.mark.parametrize(
    "path",
    [
        "index.html",
        "tutorial.html",
        "concepts/runtimes.html",
        "reference/commands.html",
        "reference/lint-rules/language.html",
        "reference/site-profiles/perlmutter-gpu.html",
        "parity.html",
    ],
)
def test_a_page_fits_its_screen(page, address, path, screen):
    """Wide tables and long lines scroll by themselves; the page does not."""
    show(page, address + path, screen)
    assert page.value("document.documentElement.scrollWidth <= window.innerWidth")
    assert page.value("document.querySelector('article h1').getBoundingClientRect().width > 200")
    outside = page.value(
        "[...document.querySelectorAll('article p, article li, article h2')].filter(each => !each.closest('td, th') "
        "&& each.getBoundingClientRect().right > window.innerWidth + 1).map(each => each.textContent)"
    )
    assert outside == []


@pytest.mark.needs("chromium")
def test_nothing_is_asked_of_the_network(page, address, site):
    page.asked.clear()
    page.errors.clear()
    for path in ("index.html", "tutorial.html", "search.html?q=pack", "reference/lint-rules/gpu.html"):
        show(page, address + path, DESKTOP)
        assert page.value("performance.getEntriesByType('resource').length") > 3
    assert [asked for asked in page.asked if not asked.startswith((address, "data:"))] == []
    assert page.errors == []


@pytest.mark.needs("chromium")
@pytest.mark.parametrize(
    ("words", "first"),
    [
        ("apt-lists-left", "reference/lint-rules/size.html#apt-lists-left"),
        ("no-test", "reference/lint-rules/tested.html#no-test"),
        ("private registry login", "howto/private-registries.html"),
        ("bind mounts", "reference/bind-mounts.html"),
        ("perlmutter pytorch", "howto/pytorch-perlmutter.html"),
    ],
)
def test_a_search_finds_the_page_first(page, address, words, first):
    show(page, address + "index.html", DESKTOP)
    page.value("document.querySelector('.sidebar-search').focus()")
    page.type(words)
    page.press("Enter", 13)
    until(page, "!!document.querySelector('#search-results .search a')")
    found = page.value("document.querySelector('#search-results .search a').href")
    assert found.removeprefix(address).partition("?")[0].removesuffix("#") == first


@pytest.mark.needs("chromium")
def test_a_search_works_from_the_disk(page, site):
    show(page, f"{site.as_uri()}/search.html?q=shifter", DESKTOP)
    until(page, "document.querySelectorAll('#search-results .search a').length > 3")


@pytest.mark.needs("chromium")
def test_the_sidebar_opens_on_a_phone(page, address):
    show(page, address + "index.html", PHONE)
    place = "document.querySelector('.sidebar-drawer').getBoundingClientRect().left"
    assert page.value(place) < 0
    page.click(".mobile-header label[for=__navigation]")
    until(page, f"{place} === 0")


@pytest.mark.needs("chromium")
def test_it_is_dark_where_the_reader_wants_it(page, address):
    light, dark = (shade(page, address, dark=dark) for dark in (False, True))
    assert light > 600
    assert dark < 200


def shade(page: Page, address: str, *, dark: bool) -> int:
    show(page, address + "index.html", DESKTOP, dark=dark)
    colour = page.value("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).map(Number)")
    return sum(colour)


def show(page: Page, address: str, screen: tuple[int, int], *, dark: bool = False) -> None:
    page.screen(*screen, mobile=screen == PHONE, dark=dark)
    page.open(address)


def until(page: Page, expression: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while not page.value(expression):
        assert time.monotonic() < deadline, expression
        time.sleep(0.05)
