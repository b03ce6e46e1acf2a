"""`sealift size` as a person types it: whole texts over a small folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sealift.cli.app import main
from tests.evidence.conftest import write_root
from tests.evidence.test_size import CONTENT

TEXT = """\
root: 31.1 kB in 10 files

by package        files      bytes
no package's          9    26.1 kB
dpkg bash 5           1     5.0 kB

by folder            files      bytes
/                       10    31.1 kB
  /usr                   4    23.7 kB
    /usr/lib             2     9.7 kB
    /usr/bin             1     5.0 kB
  /evil\\x1b[31m          2     7.0 kB

what only building needs, and the line for the end of `%post` that removes them
  700 B in 1 file: static libraries, which only linking reads
      find / -xdev -type f -name '*.a' -delete

caches left, and the line for the end of `%post` that removes them
  300 B in 1 file: apt's lists of packages
      rm -rf /var/lib/apt/lists/*

contents that are there several times: 9.0 kB to spare
  2 x 9.0 kB
      /usr/copy
      /usr/lib/libc.so

not read: RPM's database `/var/lib/rpm/Packages` is in the form Berkeley DB, which is not read
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_root(tmp_path / "root", {**CONTENT, "evil\x1b[31m/x": b"9" * 2000, "evil\x1b[31m/y": b"9" * 5001})
    return tmp_path


def sealift(*words: str) -> int:
    try:
        return main(["size", *words])
    except SystemExit as stop:
        return int(stop.code or 0)


def test_the_text(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sealift("root", "--top", "4") == 0
    assert capsys.readouterr().out == TEXT


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["root", "--top", "-1"], 2, "error: argument --top: `-1` is no number of lines\n"),
        (["no.sif"], 5, "error: there is no image `no.sif`\nhint: build it: sealift build no.sif FILE.def\n"),
        (["root/usr/bin/bash"], 5, "error: `root/usr/bin/bash` is no image: neither a SIF nor a squashfs\n"),
        (["root", "--html", "no/x.html"], 6, "error: not found while writing no/x.html: "),
    ],
)
def test_what_is_refused(
    here: Path, capsys: pytest.CaptureFixture[str], words: list[str], code: int, said: str
) -> None:
    assert sealift(*words) == code
    answer = capsys.readouterr()
    assert (answer.out, answer.err[: len(said)]) == ("", said)


def test_json_and_page_and_text_say_the_same(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sealift("root", "--json", "--html", "page.html") == 0
    said = capsys.readouterr()
    assert json.loads(said.out)["size"] == 31089
    assert said.err == "look at it: page.html\n"
    assert (here / "page.html").read_text().startswith("<!doctype html>\n")
