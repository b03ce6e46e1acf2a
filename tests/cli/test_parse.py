"""`sealift parse` as one types it: what goes where, and with which exit code."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import jsonschema
import pytest

from sealift.cli.app import main
from tests.deffile.test_as_json import SCHEMA
from tests.ground import corpus

TEXT = """\
Bootstrap: docker
From: alpine:{{ V }}
Stage: build
%arguments
  # which one
  V=3.20
%post -c /bin/bash
  true

  make

Bootstrap: scratch
%files from build
  /opt/app /app
  /opt/lib
%files
  x
%labels
  Author=me
%files from build
  /more
%apprun foo
  foo
"""

OUTLINE = """\
    stage 1 of 2 `build`
 1  Bootstrap: docker
 2  From: alpine:{{ V }}
 3  Stage: build
 4  %arguments
 6      V=3.20
 7  %post -c /bin/bash    (2 lines)

    stage 2 of 2
12  Bootstrap: scratch
13  %files from build
14      /opt/app -> /app
15      /opt/lib -> the same path
21      /more -> the same path
16  %files
17      x -> the same path
18  %labels
19      Author=me
20  %files from build
22  %apprun foo    (1 line)
"""

CAUTION = """\

warning: `=` does not separate a label from its value: the label's name is `Author=me`
  --> x.def:19:3
19 |   Author=me
   |   ^^^^^^^^^
hint: write a space: Author me
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.def").write_text(TEXT, encoding="utf-8")
    return tmp_path


def type_in(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))


def test_an_outline(capsys):
    assert main(["parse", "x.def"]) == 0
    assert capsys.readouterr() == (OUTLINE, CAUTION)


def test_a_wrong_file_shows_what_could_be_read(folder, capsys):
    (folder / "y.def").write_text("Bootstrap: docker\nFrom: alpine\n%pots\n  true\n%labels\n  K=V\n", encoding="utf-8")
    assert main(["parse", "y.def"]) == 3
    out, err = capsys.readouterr()
    assert out == "1  Bootstrap: docker\n2  From: alpine\n3  %pots    (1 line)\n5  %labels\n6      K=V\n"
    assert [line for line in err.splitlines() if line.startswith(("error", "warning"))] == [
        "error: unknown section `%pots`",
        "warning: `=` does not separate a label from its value: the label's name is `K=V`",
    ]


def test_json_of_a_right_and_a_wrong_file(folder, capsys):
    (folder / "y.def").write_text("%pots\n", encoding="utf-8")
    for name, code in (("x.def", 0), ("y.def", 3)):
        assert main(["parse", "--json", name]) == code
        out, err = capsys.readouterr()
        answer = json.loads(out)
        jsonschema.validate(answer, SCHEMA)
        assert (answer["file"], answer["valid"], err) == (name, code == 0, "")


def test_stdin(monkeypatch, capsys):
    type_in(b"Bootstrap: scratch\n", monkeypatch)
    assert main(["parse", "-"]) == 0
    assert capsys.readouterr() == ("1  Bootstrap: scratch\n", "")
    type_in(b"Bootstrap: scratch\n%pots\n", monkeypatch)
    assert main(["parse", "-"]) == 3
    assert " --> <stdin>:2:1\n" in capsys.readouterr().err
    type_in(b"Bootstrap: scratch\n", monkeypatch)
    assert main(["parse", "--as-apptainer", "-"]) == 0
    assert json.loads(capsys.readouterr().out)["stages"][0]["header"] == {"bootstrap": "scratch"}


def test_build_arguments(folder, capsys):
    (folder / "y.def").write_text("Bootstrap: docker\nFrom: a:{{ A }}{{ B }}\n", encoding="utf-8")
    (folder / "args").write_text("A=1\nB=2\nnothing\n", encoding="utf-8")
    assert main(["parse", "y.def"]) == 3
    assert main(["parse", "--build-arg", "A=1", "--build-arg", "B=2", "--build-arg", "C=3", "y.def"]) == 3
    assert "build argument `C` is used nowhere in y.def" in capsys.readouterr().err
    arguments = ["parse", "--build-arg", "A=0", "--build-arg", "C=3", "--warn-unused-build-args"]
    assert main([*arguments, "--build-arg-file", "args", "--json", "y.def"]) == 0
    assert json.loads(capsys.readouterr().out)["stages"][0]["effective_header"]["from"] == "a:02"
    assert main([*arguments, "--build-arg-file", "args", "y.def"]) == 0
    assert capsys.readouterr().err == "\nwarning: `nothing` is not K=V and is skipped\n"
    assert main(["parse", "--build-arg", "A", "y.def"]) == 2
    assert main(["parse", "--build-arg-file", "none", "y.def"]) == 2


WRONG = [
    ("folder", None, 2, "`folder` is a folder, not a definition file", "ls folder"),
    ("y.def", None, 2, "there is no definition file or image `y.def`", "did you mean `x.def`?"),
    ("empty", b"", 3, "`empty` is empty", "Bootstrap: docker"),
    ("a.sif", b"#!/usr/bin/env run-singularity\n\0SIF_MAGIC\0", 3, "`a.sif` is a finished image", "inspect --deffile"),
    ("Dockerfile", b"FROM alpine\nRUN true\n", 3, "`Dockerfile` is a Dockerfile", "docker-archive"),
    ("a.yml", b"services:\n  a: b\n", 3, "`a.yml` is YAML", "Bootstrap: docker"),
    ("program", b"\x7fELF\2\1", 3, "`program` is a program", "hint: "),
    ("noise", b"\0\1\2", 3, "`noise` is not text", "file noise"),
    ("large", b"# c\n" * (4 << 20) + b"x", 3, "`large` is larger than 16 MiB", "file large"),
]


@pytest.mark.parametrize(("name", "data", "code", "message", "hint"), WRONG, ids=[row[0] for row in WRONG])
def test_what_is_no_definition_file(folder, capsys, name, data, code, message, hint):
    (folder / "folder").mkdir()
    if data is not None:
        (folder / name).write_bytes(data)
    assert main(["parse", name]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error: {message}")
    assert hint in err


def test_a_file_that_may_not_be_read(folder, capsys):
    (folder / "loop").symlink_to("loop")
    assert main(["parse", "loop"]) == 2
    assert capsys.readouterr().err.startswith("error: `loop` cannot be read: ")


def test_very_many_findings(folder, capsys):
    (folder / "notes").write_text("some words\n" * 50, encoding="utf-8")
    assert main(["parse", "notes"]) == 3
    err = capsys.readouterr().err
    assert err.count("error: ") == 20
    assert err.endswith("\n\n… and 30 more\nhint: see them all: sealift parse --json notes\n")


def test_a_long_line_is_shown_in_part(folder, capsys):
    (folder / "y.def").write_text(f"Bootstrap: scratch\n%post\n {'x' * 500}{{{{ V }}}}{'y' * 500}\n", encoding="utf-8")
    assert main(["parse", "y.def"]) == 3
    line, marks = capsys.readouterr().err.splitlines()[3:5]
    assert len(line) < 140
    assert line[marks.index("^") : marks.rindex("^") + 1] == "{{ V }}"


def test_wide_characters_are_marked_where_they_are(folder, capsys):
    (folder / "y.def").write_text("Bootstrap: scratch\n%post\n 漢e\u0301 {{ V }}\n", encoding="utf-8")
    assert main(["parse", "y.def"]) == 3
    assert "3 |  漢e\u0301 {{ V }}\n  |      ^^^^^^^\n" in capsys.readouterr().err


@corpus.needed
def test_the_command_agrees_with_apptainer(capsys):
    for _, definition, answer in corpus.answers():
        wanted = json.loads(answer.read_bytes())
        del wanted["file"]
        code = main(["parse", "--as-apptainer", str(definition)])
        assert json.loads(capsys.readouterr().out) == wanted, definition
        assert code == (0 if wanted.get("templateOK") else 3)
