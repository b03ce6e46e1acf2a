from __future__ import annotations

import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealift.oci.config import parse_config
from sealift.sections.oci_environment import environment_script, oci_config_json, quoted, runscript, with_usual_folders

SHELLS = [shell for shell in ("/bin/dash", "/bin/bash") if shutil.which(shell)]

USUAL = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@pytest.mark.parametrize(
    ("env", "text"),
    [
        ((), ""),
        (("PATH=/a:/b",), f'export PATH="/a:/b:{USUAL}"\n'),
        (("PATH=/usr/bin:/a:/bin",), 'export PATH="/usr/bin:/a:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin"\n'),
        ((f"PATH={USUAL}",), f'export PATH="{USUAL}"\n'),
        (("A=1", "B=x y"), 'export A="${A:-"1"}"\nexport B="${B:-"x y"}"\n'),
        (("A=",), 'export A="${A:-""}"\n'),
        (("A",), 'export A="${A:-}"\n'),
        (("A=b=c#d",), 'export A="${A:-"b=c#d"}"\n'),
        (("A=$B",), "[ -n \"${A:-}\" ] || A='$B'\nexport A\n"),
        (("A=it's",), "[ -n \"${A:-}\" ] || A='it'\"'\"'s'\nexport A\n"),
        (("A=a}b",), "[ -n \"${A:-}\" ] || A='a}b'\nexport A\n"),
        (("PATH=/a:$HOME/b",), f"export PATH='/a:$HOME/b:{USUAL}'\n"),
        (("a-b=1",), "# not a name that a shell can hold: 'a-b'\n"),
        (("=1",), "# not a name that a shell can hold: ''\n"),
        (("a\nexport X;=1",), "# not a name that a shell can hold: 'a export X;'\n"),
    ],
)
def test_lines(env: tuple[str, ...], text: str) -> None:
    assert environment_script(env) == ("#!/bin/sh\n" + text).encode()


def test_bytes_that_are_not_utf8() -> None:
    assert environment_script(("A=\udcff",)) == b'#!/bin/sh\nexport A="${A:-"\xff"}"\n'


VALUES = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=20)


def said_by(shell: str, script: bytes, name: str, **env: str) -> str:
    command = script.decode() + f'\nprintf "%s|" "${name}"\n'
    done = subprocess.run([shell, "-c", command], env={"PATH": "/bin", **env}, capture_output=True, check=True)
    return done.stdout.decode()[:-1]


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=40, deadline=None)
@given(value=VALUES | st.sampled_from(["a\\", "`id`", "$(id)", "${A}", '"', "'", "}", "\n\n", "*", "~", "a  b"]))
def test_every_value_arrives(shell: str, value: str) -> None:
    script = environment_script((f"A={value}", f"PATH={value}"))
    assert said_by(shell, script, "A") == value
    assert said_by(shell, script, "PATH") == with_usual_folders(value)
    assert said_by(shell, script, "A", A="set") == "set"
    assert said_by(shell, script, "A", A="") == value


def test_quoting() -> None:
    assert quoted("a'b") == "'a'\"'\"'b'"


def run(entrypoint: tuple[str, ...], cmd: tuple[str, ...], *arguments: str, **env: str) -> str:
    script = runscript(entrypoint, cmd).decode()
    done = subprocess.run(
        ["/bin/sh", "-c", script, "run", *arguments],
        env={"PATH": "/usr/bin:/bin", **env},
        capture_output=True,
        check=True,
    )
    return done.stdout.decode()


ENTRYPOINT = ("printf", "[%s]")


@pytest.mark.parametrize(
    ("entrypoint", "cmd", "arguments", "said"),
    [
        (ENTRYPOINT, ("a b", "c"), (), "[a b][c]"),
        (ENTRYPOINT, ("a b", "c"), ("x", "y z"), "[x][y z]"),
        ((), ("printf", "(%s)", "c"), (), "(c)"),
        ((), ("printf", "(%s)", "c"), ("printf", "<%s>", "x"), "<x>"),
        (ENTRYPOINT, (), ("x",), "[x]"),
        (ENTRYPOINT, (), (), "[]"),
        (ENTRYPOINT, ("$X", "`id`", '"', "'", "\\", "*"), (), "[$X][`id`][\"]['][\\][*]"),
        ((), (), (), ""),
        # A caller's words are evaluated once more by default, as Apptainer does it.
        (ENTRYPOINT, (), ("$X", "a\\\\b", "*"), "[x y][a\\b][*]"),
    ],
)
def test_what_runs(entrypoint: tuple[str, ...], cmd: tuple[str, ...], arguments: tuple[str, ...], said: str) -> None:
    assert run(entrypoint, cmd, *arguments, X="x y") == said


@pytest.mark.parametrize("name", ["SINGULARITY_NO_EVAL", "APPTAINER_NO_EVAL"])
def test_words_as_they_are_where_the_caller_says_so(name: str) -> None:
    assert run(ENTRYPOINT, ("a $X",), **{name: "1"}) == "[a $X]"
    assert run(ENTRYPOINT, ("c",), "$X", '"', "a  b", **{name: "1"}) == '[$X]["][a  b]'
    assert run((), ("printf", "(%s)", "c"), **{name: "1"}) == "(c)"
    assert run((), (), "printf", "<%s>", "$X", **{name: "1"}) == "<$X>"


@settings(max_examples=30, deadline=None)
@given(st.lists(VALUES, min_size=1, max_size=3).map(tuple))
def test_cmd_arrives_whatever_it_is(cmd: tuple[str, ...]) -> None:
    assert run(("printf", "%s|"), cmd) == "".join(word + "|" for word in cmd)
    assert run(("printf", "%s|"), cmd, APPTAINER_NO_EVAL="1") == "".join(word + "|" for word in cmd)


def test_the_config_for_the_sif() -> None:
    raw = b'{"architecture":"amd64","os":"linux","config":{"User":"","Env":["A=<1>"],"Cmd":["x"],"Labels":null}}'
    assert oci_config_json(parse_config(raw)) == b'{"Cmd":["x"],"Env":["A=\\u003c1\\u003e"]}'
