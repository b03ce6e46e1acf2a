from __future__ import annotations

from sealift.deffile.as_json import as_json
from sealift.deffile.parse import read


def test_a_whole_answer() -> None:
    text = b"Bootstrap: docker\n%files -x\n a b\n%apprun z\n \xff\n%labels\n K v\n%pots\n"
    assert as_json(read(text, file="x.def")) == {
        "file": "x.def",
        "valid": False,
        "stages": [
            {
                "at": {"line": 1, "column": 1, "length": 17},
                "header": [{"key": "bootstrap", "value": "docker", "at": {"line": 1, "column": 1, "length": 17}}],
                "sections": [
                    {
                        "name": "files",
                        "app": None,
                        "arguments": "-x",
                        "body": " a b\n",
                        "at": {"line": 2, "column": 1, "length": 9},
                    },
                    {
                        "name": "apprun",
                        "app": "z",
                        "arguments": "z",
                        "body": " \ufffd\n",
                        "at": {"line": 4, "column": 1, "length": 9},
                    },
                    {
                        "name": "labels",
                        "app": None,
                        "arguments": None,
                        "body": " K v\n",
                        "at": {"line": 6, "column": 1, "length": 7},
                    },
                    {
                        "name": "pots",
                        "app": None,
                        "arguments": None,
                        "body": "",
                        "at": {"line": 8, "column": 1, "length": 5},
                    },
                ],
                "files": [
                    {
                        "arguments": "-x",
                        "from_stage": None,
                        "ignored": True,
                        "copies": [{"source": "a", "destination": "b", "at": {"line": 3, "column": 2, "length": 3}}],
                    }
                ],
                "labels": {"K": "v"},
                "apps": ["z"],
            }
        ],
        "faults": [
            {
                "message": "unknown section `%pots`",
                "at": {"line": 8, "column": 1, "length": 5},
                "hints": ["did you mean `%post`?"],
                "apptainer": "invalid section(s) specified: pots",
            }
        ],
        "cautions": [
            {
                "id": "files-ignored",
                "message": "`%files -x` is ignored: its arguments are not `from STAGE`",
                "at": {"line": 2, "column": 1, "length": 9},
                "hints": ["write: %files, or: %files from STAGE"],
            }
        ],
    }
