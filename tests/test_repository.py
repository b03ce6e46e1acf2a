"""What must not stand in the repository, and what must stand in the wheel."""

from __future__ import annotations

import email
import functools
import re
import runpy
import subprocess
import tarfile
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import hatchling.build
import pytest
import trove_classifiers
from markdown_it import MarkdownIt

from tests.ground.install import CHECKOUT, build_wheel


@functools.cache
def tracked() -> tuple[str, ...]:
    listed = subprocess.run(["git", "-C", str(CHECKOUT), "ls-files", "-z"], capture_output=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    names = listed.stdout.decode().split("\0")[:-1]
    return tuple(name for name in names if (CHECKOUT / name).is_file())


def found(pattern: str, names: tuple[str, ...]) -> list[str]:
    """`file:line: text` of every line that matches."""
    wanted = re.compile(pattern)
    hits = []
    for name in names:
        data = (CHECKOUT / name).read_bytes()
        if b"\0" in data:
            continue
        for number, line in enumerate(data.decode("utf-8", "replace").splitlines(), 1):
            if wanted.search(line):
                hits.append(f"{name}:{number}: {line.strip()[:120]}")
    return hits


@functools.cache
def registry_hosts() -> tuple[str, ...]:
    """The hosts that this machine's own package clients use: the machine decides them, never the project."""
    from pip._internal.models.index import PyPI

    hosts = {PyPI.netloc, PyPI.file_storage_domain}
    command = ["apt-get", "indextargets", "--format", "$(REPO_URI)"]
    try:
        listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    except FileNotFoundError:
        listed = ""
    hosts |= {urlsplit(line).hostname or "" for line in listed.splitlines()}
    return tuple(sorted(host for host in hosts if re.fullmatch(r"[a-z0-9.-]+\.[a-z]+", host)))


# The patterns are written so that they do not match themselves.
@pytest.mark.parametrize(
    "pattern",
    [
        pytest.param(r"/[w]ork/(main|shared|steering|\.library)|/[r]oot/|\.\./[s]hared", id="paths of one machine"),
        pytest.param(r"T[O]DO|FI[X]ME|\bX[X]X\b|NotImplemented[E]rror", id="left open"),
        pytest.param(r"# type: [i]gnore($|[^\[])|# n[o]qa($|[^:])", id="silenced without saying what"),
        pytest.param(r"pytest\.mark\.(s[k]ip\b|xf[a]il)", id="skipped for good"),
    ],
)
def test_nothing_of_the_kind_is_tracked(pattern):
    assert found(pattern, tracked()) == []


def test_no_package_registry_is_named():
    hosts = "|".join(re.escape(host) for host in registry_hosts())
    assert found(hosts, tracked()) == []


@pytest.mark.slow
def test_the_wheel_is_pure_and_whole(tmp_path):
    wheel = build_wheel(tmp_path)
    assert wheel.name.endswith("-py3-none-any.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        metadata = {name.rpartition("/")[2]: archive.read(name).decode() for name in names if ".dist-info/" in name}
    package = {name.removeprefix("src/") for name in tracked() if name.startswith("src/sealift/")}
    package |= {f"sealift/data/{name}" for name in tracked() if name.startswith(("templates/", "exercises/"))}
    assert package - names == set()
    assert "Root-Is-Purelib: true" in metadata["WHEEL"].splitlines()
    assert metadata["entry_points.txt"].split() == ["[console_scripts]", "sealift", "=", "sealift.cli.app:main"]


@pytest.mark.slow
def test_an_archive_of_sources_has_all_of_them_and_gives_the_same_wheel(tmp_path, monkeypatch):
    monkeypatch.chdir(CHECKOUT)
    with tarfile.open(tmp_path / hatchling.build.build_sdist(str(tmp_path))) as archive:
        (top,) = {name.partition("/")[0] for name in archive.getnames()}
        files = {member.name.removeprefix(f"{top}/") for member in archive.getmembers() if member.isfile()}
        archive.extractall(tmp_path)
    assert set(tracked()) - files == set()
    wheels = [build_wheel(tmp_path / "from-sources", tmp_path / top), build_wheel(tmp_path / "from-checkout")]
    assert wheels[0].read_bytes() == wheels[1].read_bytes()


@pytest.mark.slow
def test_the_same_checkout_gives_the_same_wheel(tmp_path):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    assert build_wheel(tmp_path / "one").read_bytes() == build_wheel(tmp_path / "two").read_bytes()


def test_files_for_people_are_there():
    for name in ("README.md", "LICENSE", "CHANGELOG.md", "Makefile", "docs/architecture.md"):
        assert Path(CHECKOUT / name).is_file(), name


@pytest.mark.slow
def test_what_the_package_index_shows(tmp_path):
    """Every classifier is one of the index's; the text is rendered, and no link in it leads nowhere."""
    with zipfile.ZipFile(build_wheel(tmp_path)) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    assert set(metadata.get_all("Classifier", [])) - set(trove_classifiers.classifiers) == set()
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert len(metadata["Summary"]) < 512
    text = str(metadata.get_payload())
    assert text.startswith("# Sealift\n")
    assert "pip install sealift" in text
    html = MarkdownIt("commonmark").enable("table").render(text)
    assert re.findall(r'(?:href|src)="(?!https://)[^"]*"', html) == []
    assert "<table>" in html


@pytest.mark.parametrize(
    ("text", "repository", "shown"),
    [
        ("a [page](docs/x.md) b", "", "a page b"),
        ("a [page](docs/x.md) b", "https://example.org/s/", "a [page](https://example.org/s/blob/main/docs/x.md) b"),
        (
            "![a picture](docs/x.svg)\n",
            "https://example.org/s",
            "![a picture](https://example.org/s/raw/main/docs/x.svg)\n",
        ),
        ("a\n\n![a picture](docs/x.svg)\n\nb\n", "", "a\n\nb\n"),
        ("[there](https://example.org) [here](#install)", "", "[there](https://example.org) [here](#install)"),
        ("a\n\n<!-- not run: why -->\n```sh\nb\n```\n", "", "a\n\n```sh\nb\n```\n"),
    ],
)
def test_links_of_the_readme_lead_somewhere_on_an_index(text, repository, shown):
    hook = runpy.run_path(str(CHECKOUT / "tools" / "long_description.py"))
    assert hook["for_an_index"](text, repository) == shown


def test_links_of_the_readme_lead_somewhere_in_the_repository():
    links = re.findall(r"\]\((?!https?://|#)([^)\s#]+)", (CHECKOUT / "README.md").read_text("utf-8"))
    assert links
    assert [link for link in links if not (CHECKOUT / link).is_file()] == []
