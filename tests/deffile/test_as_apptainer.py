"""The rules of the language, one small file each, in the form of Apptainer's own answers."""

from __future__ import annotations

from typing import Any

import pytest

from sealift.deffile.as_apptainer import as_apptainer

HEAD = "Bootstrap: docker\nFrom: a\n"
BAD_KEY = "failed to parse deffile header: invalid header keyword found: "


def brief(stage: dict[str, Any]) -> dict[str, Any]:
    """What a stage holds, its empty parts left out."""
    found: dict[str, Any] = {"header": stage["header"]}
    for scripts in (stage["imageData"]["imageScripts"], stage["buildData"]["buildScripts"]):
        found |= {name: (one["args"], one["script"]) for name, one in scripts.items() if one["args"] or one["script"]}
    if stage["imageData"]["labels"]:
        found["labels"] = stage["imageData"]["labels"]
    if stage["buildData"]["files"]:
        found["files"] = [
            (group["args"], [(one["source"], one["destination"]) for one in group["files"] or []])
            for group in stage["buildData"]["files"]
        ]
    if stage["customData"]:
        found["apps"] = stage["customData"]
    if stage["appOrder"]:
        found["order"] = stage["appOrder"]
    return found


A = {"bootstrap": "docker", "from": "a"}


@pytest.mark.parametrize(
    ("text", "stages"),
    [
        # header
        ("#!/usr/bin/env x\n# c\n\n bootstrap : docker\n\n# c\nFROM: a\n", [{"header": A}]),
        ("Bootstrap: docker\nFrom: r:5/a@sha256:0 # c\n", [{"header": {**A, "from": "r:5/a@sha256:0"}}]),
        ("Bootstrap: docker\nFrom: x\nFrom:\n", [{"header": {**A, "from": ""}}]),
        (
            "Bootstrap: yum\nInclude: a \\ # c\n  b:c \\\n d\nOtherURL12: u\n",
            [{"header": {"bootstrap": "yum", "include": "a b:c d", "otherurl12": "u"}}],
        ),
        ("Bootstrap: yum\nInclude: a\\n\\\nb\n", [{"header": {"bootstrap": "yum", "include": "a\nb"}}]),
        ("Bootstrap: docker\nInclude: \\\nFrom: a\n", [{"header": A}]),
        ("Bootstrap: docker\nFrom: a\nInclude: b \\\n\n", [{"header": A}]),
        ("Bootstrap: docker\nFrom: a\nL\u0130brary: \u3000x\u0085\n", [{"header": {**A, "library": "x"}}]),
        ("\u00a0Bootstrap\u2003: docker\nFrom: \u200ba\x1c\n", [{"header": {**A, "from": "\u200ba\x1c"}}]),
        ("Bootstrap: docker\nFrom: a\notherurl&n: x\n", [{"header": {**A, "otherurl&n": "x"}}]),
        ("Bootstrap: docker\rFrom: a\n", [{"header": {"bootstrap": "docker\rFrom: a"}}]),
        # headings and bodies
        (HEAD + "%%POST -c  x # y \n true\n# c\n\n", [{"header": A, "post": ("-c  x # y ", " true\n# c\n\n")}]),
        (HEAD + "%post", [{"header": A}]),
        (HEAD + "%post\r\n a\r\r\n b\rc", [{"header": A, "post": ("", " a\r\n b\rc\n")}]),
        (HEAD + "%help\n\u200b%a\n\ufeff%b\n\x1f%c\n", [{"header": A, "help": ("", "\u200b%a\n\ufeff%b\n\x1f%c\n")}]),
        (HEAD + "%post\n a\n\r", [{"header": A, "post": ("", " a\n\n")}]),
        (HEAD + "%post x\na\n%post\nb\n%post \nc\n", [{"header": A, "post": ("", "a\nb\nc\n")}]),
        (HEAD + "%help\n \x1c%post\n", [{"header": A, "help": ("", " \x1c%post\n")}]),
        ("%post x\n a \n\n", [{"header": None, "post": ("x", " a")}]),
        (" \t%post\n a\n%help\n b\n", [{"header": None, "post": ("", " a"), "help": ("", " b\n")}]),
        ("\n%post\n a\n\n", [{"header": None, "post": ("", " a\n\n")}]),
        (
            HEAD + "%pre\n1\n%setup\n2\n%test\n3\n%startscript\n4\n%runscript\n5\n%environment\n6\n%arguments\n7=\n",
            [
                {
                    "header": A,
                    "pre": ("", "1\n"),
                    "setup": ("", "2\n"),
                    "test": ("", "3\n"),
                    "startScript": ("", "4\n"),
                    "runScript": ("", "5\n"),
                    "environment": ("", "6\n"),
                    "arguments": ("", "7=\n"),
                }
            ],
        ),
        # stages
        (
            "# c\nBootstrap: docker\nFrom: a\n%post\n b\n  bootstrap: x\nBOOTSTRAP: scratch\n",
            [{"header": A, "post": ("", " b\n  bootstrap: x\n")}, {"header": {"bootstrap": "scratch"}}],
        ),
        ("From: a\nBootstrap: docker\n", [{"header": {"from": "a"}}, {"header": {"bootstrap": "docker"}}]),
        ("Bootstrap: x \\\nBootstrap: docker\nFrom: a\n", [{"header": A}]),
        # files
        (
            HEAD + '%files\n a\tb c\n# c\n \'x 1\' d\n "e f" "g h"\n i"j k"\n l\\ m n\n o # p\n',
            [
                {
                    "header": A,
                    "files": [
                        (
                            "",
                            [
                                ("a", "b"),
                                ("'x 1", "' d"),
                                ("e f", "g h"),
                                ("i", "j k"),
                                ("l\\", "m"),
                                ("o", "#"),
                            ],
                        )
                    ],
                }
            ],
        ),
        (
            HEAD + "%files\na b\n%files from x\nc\n%files  from x\nd\n%files \ne\n%files from x\nf\n",
            [
                {
                    "header": A,
                    "files": [
                        ("", [("a", "b"), ("e", "")]),
                        ("from x", [("c", ""), ("f", "")]),
                        (" from x", [("d", "")]),
                    ],
                }
            ],
        ),
        ("\n%files\n", [{"header": None, "files": [("", [])]}]),
        (HEAD + '%files\n""\n \xa0a\xa0 b\n', [{"header": A, "files": [("", [("", ""), ("a", "b")])]}]),
        # labels
        (
            HEAD + '%labels\n A b  c \n T\tv w\n K=V\n Q "x"\n Only\n # c\n A z\n',
            [{"header": A, "labels": {"A": "z", "T\tv": "w", "K=V": "", "Q": '"x"', "Only": ""}}],
        ),
        # apps
        (
            HEAD + "%apprun b c d\n1\n%APPenv a\n2\n%appenv  x\n3\n",
            None,
        ),
        (
            HEAD + "%apprun b c d\n1\n%appenv a\n2\n%apprun b\n3\n%apprun  x\n4\n",
            [
                {
                    "header": A,
                    "apps": {"apprun b": "1\n3\n", "appenv a": "2\n", "apprun ": "4\n"},
                    "order": ["b", "a", ""],
                }
            ],
        ),
    ],
)
def test_stages(text: str, stages: list[dict[str, Any]] | None) -> None:
    answer = as_apptainer(text.encode())
    assert (answer["stages"] and [brief(stage) for stage in answer["stages"]]) == stages


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (b"", "no stages found in definition file"),
        (b"\n # c\n", "no stages found in definition file"),
        (b"%post", "section %post: could not be split into section name and body"),
        (b"Bootstrap docker\n", "failed to parse deffile header: header key Bootstrap docker had no val"),
        (b"Bootstrap: a\nOtherURL: x\n", "failed to parse deffile header: invalid header keyword found: otherurl"),
        (b"Bootstrap: a\nFrom1: x\n", "failed to parse deffile header: invalid header keyword found: from1"),
        (b"\xef\xbb\xbfFrom: x\n", "failed to parse deffile header: invalid header keyword found: \ufefffrom"),
        (b"boot\xc5\xbftrap: a\n", "failed to parse deffile header: invalid header keyword found: boot\u017ftrap"),
        (b"Bootstrap: a\n%a\n%b c\n%A\n %post\n%\n", "invalid section(s) specified: a, b, "),
        (b"Bootstrap: a\n%post\tx\n", "invalid section(s) specified: post\tx"),
        (b"Bootstrap: a\n%AppRun x\n", "invalid section(s) specified: AppRun x"),
        (
            b"Bootstrap: a\nOtherURL\xd9\xa3: x\n",
            f"{BAD_KEY}otherurl\u0663",
        ),
        (b"Bootstrap: a\n%te\xc5\xbft\n\xc2\xa0%post\n", "invalid section(s) specified: te\u017ft, \u00a0%post"),
        (b"Bootstrap: a\n%POST\xc2\xa0-c\n", "invalid section(s) specified: post\u00a0-c"),
        (b"Bootstrap: a\n%\xce\xa3\xce\x91\xce\xa3\n", "invalid section(s) specified: \u03c3\u03b1\u03c3"),
        (b"Bootstrap: a\n%f\xe2\x82oo\n", "invalid section(s) specified: f\ufffd\ufffdoo"),
        (b"Bootstrap: a\n%b\n\nBootstrap: a\n%c\n", "invalid section(s) specified: b"),
        (b"Bootstrap: a\n:\\n\\\n# c\nx: y\n", "failed to parse deffile header: invalid header keyword found: "),
        (b"Bootstrap: a\n%apprun\n", "app section apprun: could not be split into section name and app name"),
        (b"Bootstrap: a\n%post\n" + b"x" * 65529 + b"\n", "bufio.Scanner: token too long"),
        (b"Bootstrap: a\n%post\n" + b"x" * 65525 + b"\n%tes\n", "bufio.Scanner: token too long"),
        (
            b"Bootstrap: a\n%x\n%apprun\n%post\n",
            "app section apprun: could not be split into section name and app name",
        ),
        (b"x\nBootstrap: a\n%x\n", "failed to parse deffile header: header key x had no val"),
    ],
)
def test_the_first_error_is_apptainers(text: bytes, error: str) -> None:
    assert as_apptainer(text)["allError"] == error


@pytest.mark.parametrize(
    "text",
    [
        b"Bootstrap: a\n%post\n" + b"x" * 65528 + b"\n",
        b"Bootstrap: a\n%post\n" + b"x" * 65522 + b"\n%test\n",
    ],
)
def test_the_longest_sections(text: bytes) -> None:
    assert as_apptainer(text)["allOK"] is True


@pytest.mark.parametrize(
    ("text", "crash"),
    [
        (b'Bootstrap: a\n%files\n"\n', "panic: runtime error: index out of range [0] with length 0"),
        (b"Bootstrap: a\nFrom: b \\\n\nStage: c\n", "panic: assignment to entry in nil map"),
        (b"Bootstrap: a\nFrom: b \\\n# c\n", "panic: assignment to entry in nil map"),
        (b"Bootstrap: a\nFrom: \\\nStage: b\n# c\nStage: d\n", "panic: assignment to entry in nil map"),
    ],
)
def test_where_apptainers_parser_dies(text: bytes, crash: str) -> None:
    assert as_apptainer(text) == {"crash": crash}


def test_a_whole_answer() -> None:
    text = b"Bootstrap: docker\nFrom: a:{{ V }}\n%arguments\nV=1\nbad\n=v\n%labels\nK v\n"
    empty = {"args": "", "script": ""}

    def stage(source: str) -> dict[str, Any]:
        return {
            "header": {"bootstrap": "docker", "from": source},
            "imageData": {
                "metadata": None,
                "labels": {"K": "v"},
                "imageScripts": {
                    "help": empty,
                    "environment": empty,
                    "runScript": empty,
                    "test": empty,
                    "startScript": empty,
                },
            },
            "buildData": {
                "files": [],
                "buildScripts": {
                    "pre": empty,
                    "setup": empty,
                    "post": empty,
                    "test": empty,
                    "arguments": {"args": "", "script": "V=1\nbad\n=v\n"},
                },
            },
            "customData": None,
            "raw": None,
            "fullraw": None,
            "appOrder": [],
        }

    assert as_apptainer(text) == {
        "allOK": True,
        "stages": [stage("a:{{ V }}")],
        "singleOK": True,
        "templateOK": True,
        "consumedArgs": ["V"],
        "defaultArgs": [{"V": "1"}],
        "warnings": [
            'Skipping "bad" in \'arguments\' section: "bad" is not a key=value pair',
            'Skipping "=v" in \'arguments\' section: missing key portion in "=v"',
        ],
        "templatedStages": [stage("a:1")],
    }


def test_an_answer_without_templating() -> None:
    assert as_apptainer(b"Bootstrap: a\nFrom: {{ X }}\n\nBootstrap: b\n")["templateOK"] is False
    answer = as_apptainer(b"Bootstrap: a\nFrom: {{ X }}\n\nBootstrap: b\n")
    assert answer["templateError"] == (
        "build var X is not defined through either --build-arg (--build-arg-file) or 'arguments' section"
    )
    assert [brief(stage) for stage in answer["templatedStages"]] == [{"header": {"bootstrap": "b"}}]
