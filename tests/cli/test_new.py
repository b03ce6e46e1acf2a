"""`sealift new` as a person types it, and what every template promises."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from sealift.cli.app import main
from sealift.flows.templates import template_names, template_text
from tests.docs.blocks import ROOT

NAMES = ["cuda-jax", "cuda-pytorch", "hello", "ml-complete", "mpi-mpich", "mpi-openmpi"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_list(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == NAMES
    assert lines[2] == "hello         The smallest useful image: a base by its release, one package, a program, a test"


def test_a_template_is_the_repositorys_own_file(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert sorted(one.name for one in (ROOT / "templates").iterdir()) == [f"{name}.def" for name in NAMES]
    for name in NAMES:
        text = (ROOT / "templates" / f"{name}.def").read_text("utf-8")
        assert main(["new", name]) == 0
        assert (here / f"{name}.def").read_text("utf-8") == text
        assert capsys.readouterr().err == f"wrote {name}.def; build it: sealift build {name}.sif {name}.def\n"
        assert main(["new", name, "-"]) == 0
        assert capsys.readouterr().out == text


def test_a_file_that_is_there_stays(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "x.def").write_text("mine")
    assert main(["new", "hello", "x.def"]) == 6
    assert capsys.readouterr().err == (
        "error: `x.def` is there already\nhint: replace it: sealift new -F hello x.def\nhint: or name another file\n"
    )
    assert [*here.iterdir()] == [here / "x.def"]
    assert (here / "x.def").read_text() == "mine"
    assert main(["new", "-F", "hello", "x.def"]) == 0
    assert (here / "x.def").read_text("utf-8") == template_text("hello")


def test_names_that_a_shell_would_cut_are_quoted(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "hello", "my first.def"]) == 0
    assert capsys.readouterr().err == "wrote my first.def; build it: sealift build 'my first.sif' 'my first.def'\n"
    assert main(["new", "hello", "my first.def"]) == 6
    assert "hint: replace it: sealift new -F hello 'my first.def'\n" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["hello"], ["-F", "hello"]])
def test_a_folder_is_no_file(here: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(["new", *words, "."]) == 2
    assert capsys.readouterr().err == (
        "error: `.` is a folder\nhint: name a file in it: sealift new hello ./hello.def\n"
    )
    assert [*here.iterdir()] == []


def test_a_name_that_is_none(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, hint in (("hallo", "did you mean `hello`?"), ("../x", "see which there are: sealift new")):
        assert main(["new", name]) == 2
        assert capsys.readouterr().err == f"error: there is no template `{name}`\nhint: {hint}\n"


@pytest.mark.parametrize("name", NAMES)
def test_what_each_promises(name: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing to complain of; every version is an argument, every section that helps is there; shell that is shell."""
    text = template_text(name)
    (here / "x.def").write_text(text)
    assert main(["parse", "x.def"]) == 0
    assert capsys.readouterr().err == ""
    assert main(["lint", "x.def"]) == 0
    said = capsys.readouterr()
    assert (said.out, said.err) == ("", "nothing found; 2 ignored\n")
    sections = re.findall(r"(?m)^%(\w+)", text)
    assert sections == ["arguments", "labels", "help", "environment", "post", "runscript", "test"]
    assert re.findall(r"[=@:]latest|==\d", text) == []
    assert "\nFrom: {{ base }}\n" in text
    assert re.search(r"(?m)^    base=\S+:\S+$", text)
    assert "# Contents: " in text
    script = text.partition("%post\n")[2].partition("%runscript")[0]
    assert subprocess.run(["sh", "-n"], input=script.encode(), check=False).returncode == 0


def test_names_are_sorted() -> None:
    assert [*template_names()] == NAMES
