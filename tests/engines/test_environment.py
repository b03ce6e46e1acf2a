from __future__ import annotations

import pytest

from sealift.engines import environment as rules

OWN = {"NAME": "i.sif", "CONTAINER": "/x/i.sif", "BIND": "/a,/b", "APPNAME": ""}
OF_US = {f"{family}_{key}": value for family in ("APPTAINER", "SINGULARITY") for key, value in OWN.items()}
ALWAYS = {**OF_US, "HOME": "/home/u", "PATH": rules.DEFAULT_PATH}
USER_PATH = ":/bin:/usr/bin:/sbin:/usr/sbin:/usr/local/bin:/usr/local/sbin"


@pytest.mark.parametrize(
    ("caller", "ordered", "clean", "host", "orders"),
    [
        ({}, {}, False, {"USER_PATH": USER_PATH}, {}),
        ({}, {}, True, {"LANG": "C"}, {}),
        (
            {"A": "1", "PATH": "/x", "HOME": "/h", "LD_LIBRARY_PATH": "/l"},
            {},
            False,
            {"A": "1", "USER_PATH": "/x" + USER_PATH},
            {},
        ),
        (
            {"A": "1", "TERM": "t", "https_proxy": "p", "LANG": "de"},
            {},
            True,
            {"TERM": "t", "https_proxy": "p", "LANG": "C"},
            {},
        ),
        ({"APPTAINER_X": "1", "SINGULARITY_Y": "2"}, {}, False, {"USER_PATH": USER_PATH}, {}),
        ({"APPTAINERENV_A": "1", "A": "2"}, {}, False, {"USER_PATH": USER_PATH}, {"A": "1"}),
        ({"APPTAINERENV_A": "1", "SINGULARITYENV_A": "2"}, {}, False, {"USER_PATH": USER_PATH}, {"A": "1"}),
        ({"APPTAINERENV_A": "1"}, {"A": "3"}, False, {"USER_PATH": USER_PATH}, {"A": "3"}),
        ({"APPTAINERENV_LANG": "fr"}, {}, True, {}, {"LANG": "fr"}),
        (
            *({"APPTAINERENV_PATH": "/p", "APPTAINERENV_PREPEND_PATH": "/a"}, {"APPEND_PATH": "/z"}, True),
            {"LANG": "C"},
            {
                "SING_USER_DEFINED_PATH": "/p",
                "SING_USER_DEFINED_PREPEND_PATH": "/a",
                "SING_USER_DEFINED_APPEND_PATH": "/z",
            },
        ),
        ({"APPTAINERENV_LD_LIBRARY_PATH": "/l"}, {}, True, {"LANG": "C"}, {"LD_LIBRARY_PATH": "/l"}),
        ({"APPTAINERENV_": "x"}, {}, True, {"LANG": "C"}, {}),
    ],
)
def test_voices(
    caller: dict[str, str], ordered: dict[str, str], clean: bool, host: dict[str, str], orders: dict[str, str]
) -> None:
    found = rules.voices(caller, ordered=ordered, clean=clean, home="/home/u", own=OWN)
    assert found == rules.Voices(host={**ALWAYS, **host}, orders=orders)


def test_what_cannot_be_ordered() -> None:
    found = rules.voices({"APPTAINERENV_HOME": "/x"}, ordered={"APPTAINER_SHELL": "/y"}, clean=True, home="/h", own={})
    assert found.orders == {}
    assert found.warnings == (
        "`HOME` cannot be set with `--env` or `APPTAINERENV_HOME`",
        "`APPTAINER_SHELL` cannot be set with `--env` or `APPTAINERENV_APPTAINER_SHELL`",
    )


def test_order_lines() -> None:
    orders = {"A": 'say "x" $HOME', "UID": "0", "no-name": "x", "LD_LIBRARY_PATH": "/l", "EMPTY": ""}
    assert rules.order_lines(rules.Voices(host={}, orders=orders)) == [
        'export A="say \\"x\\" $HOME"',
        'export LD_LIBRARY_PATH="/l:/.singularity.d/libs"',
        'export EMPTY=""',
    ]


SETTLED = {
    "APPTAINER_COMMAND": "exec",
    "APPTAINER_ENVIRONMENT": "/.singularity.d/env/91-environment.sh",
    "SINGULARITY_ENVIRONMENT": "/.singularity.d/env/91-environment.sh",
    "PS1": "Apptainer> ",
    "PROMPT_COMMAND": 'PS1="Apptainer> "; unset PROMPT_COMMAND',
}


@pytest.mark.parametrize(
    ("host", "exported", "known", "expected"),
    [
        ({"A": "host"}, {}, [], {"A": "host"}),
        ({"A": "host"}, {"A": "image"}, ["A"], {"A": "image"}),
        ({"A": "host"}, {"A": ""}, ["A"], {}),
        ({"A": ""}, {}, [], {"A": ""}),
        ({"A": "host"}, {}, ["A"], {}),
        ({}, {"A": ""}, [], {"A": ""}),
        ({"a.b": "x", "BASH_FUNC_f%%": "() { :; }"}, {}, [], {"a.b": "x", "BASH_FUNC_f%%": "() { :; }"}),
        ({"APPTAINER_NAME": "i.sif"}, {"APPTAINER_NAME": "no"}, [], {"APPTAINER_NAME": "i.sif"}),
        (
            {"PS1": "$ "},
            {"PS1": "Mine> "},
            ["PS1"],
            {"PS1": "Mine> ", "PROMPT_COMMAND": 'PS1="Mine> "; unset PROMPT_COMMAND'},
        ),
        (
            *({"PROMPT_COMMAND": "date"}, {}, []),
            {
                "PROMPT_COMMAND": 'date; PROMPT_COMMAND="${PROMPT_COMMAND%%; PROMPT_COMMAND=*}"; PS1="Apptainer> "',
            },
        ),
        ({"APPTAINER_ENVIRONMENT": "/e"}, {}, [], {"APPTAINER_ENVIRONMENT": "/e", "SINGULARITY_ENVIRONMENT": "/e"}),
    ],
)
def test_settle(host: dict[str, str], exported: dict[str, str], known: list[str], expected: dict[str, str]) -> None:
    found = rules.settle(host=host, exported=exported, known=frozenset(known), command="exec")
    assert found == {**SETTLED, **expected}
    assert list(found) == sorted(found)
