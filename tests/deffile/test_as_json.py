from __future__ import annotations

import json
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given

from sealift.deffile.arguments import BuildArguments
from sealift.deffile.as_json import as_json, nothing_as_json
from sealift.deffile.characters import encode
from sealift.deffile.prepare import check
from sealift.deffile.sniff import other_file

from .shown import HERE
from .test_properties import TEXTS

SCHEMA = json.loads(resources.files("sealift").joinpath("data/parse/schema.json").read_text("utf-8"))
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)

TEXT = """\
Bootstrap: docker
From: alpine:{{ V }}
Stage: one
%arguments
  V=3.20
%files -x
 a b
%apprun z
 \udcff
%labels
 K v w
%post
 # {{ V }}
 {{ W }}
%pots
"""


def at(line: int, column: int, length: int) -> dict[str, int]:
    return {"line": line, "column": column, "length": length}


def section(name: str, heading: dict[str, int], last: int, body: str, **more: Any) -> dict[str, Any]:
    found = {
        "name": name,
        "app": None,
        "arguments": None,
        "body": body,
        "at": heading,
        "lines": [heading["line"], last],
    }
    return found | more


def test_a_whole_answer() -> None:
    checked = check(encode(TEXT), file="x.def", given=BuildArguments(values={"X": "1"}))
    assert as_json(checked, given={"X": "1"}) == {
        "version": 1,
        "file": "x.def",
        "valid": False,
        "stages": [
            {
                "name": "one",
                "lines": [1, 15],
                "header": [
                    {"key": "bootstrap", "value": "docker", "at": at(1, 1, 17)},
                    {"key": "from", "value": "alpine:{{ V }}", "at": at(2, 1, 20)},
                    {"key": "stage", "value": "one", "at": at(3, 1, 10)},
                ],
                "effective_header": {"bootstrap": "docker", "from": "alpine:3.20", "stage": "one"},
                "sections": [
                    section("arguments", at(4, 1, 10), 5, "  V=3.20\n"),
                    section("files", at(6, 1, 9), 7, " a b\n", arguments="-x"),
                    section("apprun", at(8, 1, 9), 9, " \ufffd\n", app="z", arguments="z"),
                    section("labels", at(10, 1, 7), 11, " K v w\n"),
                    section("post", at(12, 1, 5), 14, " # {{ V }}\n {{ W }}\n"),
                    section("pots", at(15, 1, 5), 15, ""),
                ],
                "arguments": [{"name": "V", "value": "3.20", "at": at(5, 3, 6)}],
                "placeholders": [
                    {"name": "V", "value": "3.20", "filled": True, "at": at(2, 14, 7)},
                    {"name": "V", "value": None, "filled": False, "at": at(13, 4, 7)},
                    {"name": "W", "value": None, "filled": False, "at": at(14, 2, 7)},
                ],
                "files": [
                    {
                        "arguments": "-x",
                        "from_stage": None,
                        "ignored": True,
                        "at": at(6, 1, 9),
                        "copies": [{"source": "a", "destination": "b", "at": at(7, 2, 3)}],
                    }
                ],
                "labels": [{"name": "K", "value": "v w", "at": at(11, 2, 5)}],
                "apps": [{"name": "z", "sections": ["apprun"]}],
            }
        ],
        "findings": [
            {
                "severity": "warning",
                "code": "files-ignored",
                "message": "`%files -x` is ignored: its arguments are not `from STAGE`",
                "at": at(6, 1, 9),
                "hints": ["write: %files, or: %files from STAGE"],
                "apptainer": None,
            },
            {
                "severity": "error",
                "code": "undefined-argument",
                "message": "the build argument `{{ W }}` has no value",
                "at": at(14, 2, 7),
                "hints": [
                    "give it: --build-arg W=VALUE, or put W=VALUE below `%arguments` of this stage",
                    "if it is meant for another program, write {{ (W) }}, which Jinja, Go and Helm read alike",
                ],
                "apptainer": "build var W is not defined through either --build-arg (--build-arg-file) "
                "or 'arguments' section",
            },
            {
                "severity": "error",
                "code": "unknown-section",
                "message": "unknown section `%pots`",
                "at": at(15, 1, 5),
                "hints": ["did you mean `%post`?"],
                "apptainer": "invalid section(s) specified: pots",
            },
        ],
    }


def test_what_is_no_definition_file() -> None:
    fault = other_file(b"\x7fELF", name="ls")
    assert fault is not None
    answer = nothing_as_json("ls", fault)
    VALIDATOR.validate(answer)
    assert answer == {
        "version": 1,
        "file": "ls",
        "valid": False,
        "stages": [],
        "findings": [
            {
                "severity": "error",
                "code": "not-a-definition-file",
                "message": "`ls` is a program, not a definition file",
                "at": None,
                "hints": ["see what it is: file ls"],
                "apptainer": None,
            }
        ],
    }


@pytest.mark.parametrize("path", sorted(HERE.glob("*/*.def")), ids=lambda path: path.stem)
def test_the_schema_holds(path: Path) -> None:
    VALIDATOR.validate(as_json(check(path.read_bytes(), file=path.name)))


@given(TEXTS)
def test_the_schema_holds_for_every_text(text: str) -> None:
    VALIDATOR.validate(as_json(check(encode(text), file="x.def")))


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
