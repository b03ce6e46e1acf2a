"""The front door: `sealift` alone, `--help`, and words that are no command."""

from __future__ import annotations

import contextlib
import sys

import pytest

from sealift import __version__
from sealift.cli.app import COMMANDS, main
from sealift.cli.welcome import GROUPS, welcome_text
from sealift.flows.firststeps import Surroundings
from sealift.system.platforms import what_works
from tests.flows.test_firststeps import LINES


@pytest.fixture(autouse=True)
def empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))


def test_alone_it_says_what_to_type_first_and_ends_as_wrong_use(capsys):
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[:7] == [
        f"Sealift {__version__}: containers that run on the supercomputer",
        "",
        "no recipe and no image is in this folder; a first container of your own:",
        "  sealift new hello                   write hello.def, a recipe to begin with",
        "  sealift build hello.sif hello.def   build it, without root",
        "  sealift run hello.sif you           run it",
        "  sealift new                         other recipes: PyTorch, JAX, MPI …",
    ]


@pytest.mark.parametrize("case", LINES)
def test_it_is_one_screen_and_every_line_is_a_command(case):
    around, _ = LINES[case]
    lines = welcome_text(around).splitlines()
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 100
    typed = [line.strip() for line in lines if line.startswith("  ")]
    assert {line.split()[1] for line in typed} <= {*COMMANDS, "--help"}


@pytest.mark.parametrize(
    ("around", "sentence"),
    [
        (Surroundings(apptainer="/usr/bin/apptainer"), "Apptainer is here, too: both build and run the same files"),
        (Surroundings(apptainer="/opt/singularity"), "Singularity is here, too: both build and run the same files"),
        (Surroundings(site="frontier", title="OLCF Frontier"), "this is OLCF Frontier"),
        (
            Surroundings(site="perlmutter-gpu", title="NERSC Perlmutter", ships=True, apptainer="/usr/bin/apptainer"),
            "this is NERSC Perlmutter; its engines take images from a registry, not SIF files",
        ),
    ],
)
def test_it_says_where_one_is(around, sentence):
    assert welcome_text(around).splitlines()[1] == sentence


def test_the_overview_has_every_command_once(capsys):
    assert main(["--help"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    named = [line.split()[0] for line in out.splitlines() if line.startswith("  ")]
    assert sorted(named) == sorted(COMMANDS)
    assert named == [name for _, names in GROUPS for name in names]
    assert max(map(len, out.splitlines())) <= 100


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["help", "build"], "usage: sealift build "),
        (["help", "exec"], "usage: sealift exec [FLAG …] IMAGE CMD …"),
        (["help"], "usage: sealift COMMAND …"),
        (["-h"], "usage: sealift COMMAND …"),
        (["version"], f"sealift {__version__}\n"),
        (["--version"], f"sealift {__version__}\n"),
    ],
)
def test_other_ways_to_ask(words, expected, capsys):
    with contextlib.suppress(SystemExit):  # argparse's own
        assert main(words) == 0
    assert capsys.readouterr().out.startswith(expected)


@pytest.mark.parametrize(
    ("word", "message", "hint"),
    [
        ("buidl", "there is no command `buidl`", "did you mean `sealift build`?"),
        ("Build", "there is no command `Build`", "did you mean `sealift build`?"),
        ("kernels", "there is no command `kernels`", "did you mean `sealift kernel`?"),
        ("xyzzy", "there is no command `xyzzy`", "all commands: sealift --help"),
        # Apptainer's and Docker's
        (
            "instance",
            "there is no command `instance`: Sealift has no instances",
            "start the program as a job or in the background: sealift run IMAGE &",
        ),
        (
            "overlay",
            "there is no command `overlay`: an overlay is a folder",
            "mkdir changes && sealift exec --overlay changes IMAGE …",
        ),
        (
            "remote",
            "there is no command `remote`: Sealift has no container library",
            "use docker://… or oras://…",
        ),
        ("login", "there is no command `login`", "the logins of Podman and Docker are read: podman login HOST"),
        ("convert", "there is no command `convert`", "sealift build NAME.sif SPEC"),
        # files and images, whose command was left out
        ("my app.def", "`my app.def` is no command", "sealift build 'my app.sif' 'my app.def'"),
        ("./hello.sif", "`./hello.sif` is no command", "sealift run ./hello.sif"),
        ("docker://ubuntu:24.04", "`docker://ubuntu:24.04` is no command", "sealift pull docker://ubuntu:24.04"),
        ("help me", "there is no command `help me`", "all commands: sealift --help"),
    ],
)
def test_a_word_that_is_no_command(word, message, hint, capsys):
    assert main([word, "--flag", "x"]) == 2
    assert capsys.readouterr().err == f"error: {message}\nhint: {hint}\n"


@pytest.mark.parametrize(
    ("words", "hints"),
    [
        (["build", "--forcce", "a", "b"], ["did you mean `--force`?", "sealift build --help"]),
        (["check", "a.sif", "--xyzzy"], ["sealift check --help"]),
        (["kernel", "install", "a.sif", "--displayname", "x"], ["sealift kernel --help"]),
    ],
)
def test_a_flag_that_there_is_not(words, hints, capsys):
    with pytest.raises(SystemExit) as end:
        main(words)
    assert end.value.code == 2
    said = [line.removeprefix("hint: ") for line in capsys.readouterr().err.splitlines() if line.startswith("hint: ")]
    assert said[: len(hints)] == hints


def test_what_is_suggested_exists():
    from sealift.cli.mistyped import _OTHERS
    from sealift.cli.shimverbs import REFUSED

    hints = [*_OTHERS.values(), *(hint.replace("apptainer ", "sealift ") for path, (_, hint) in REFUSED.items())]
    verbs = {hint.partition("sealift ")[2].split(" ")[0] for hint in hints if "sealift " in hint}
    assert verbs - {"--help"} <= set(COMMANDS)
    assert not set(_OTHERS) & set(COMMANDS)


@pytest.mark.parametrize(
    ("platform", "command", "message", "hint"),
    [
        (
            "darwin",
            "build",
            "`sealift build`: it needs Linux, and this is macOS",
            "get one, and Sealift in it: brew install lima && limactl start && lima",
        ),
        (
            "win32",
            "pull",
            "`sealift pull`: it needs Linux, and this is Windows",
            "get one, and Sealift in it: wsl --install",
        ),
        (
            "freebsd14",
            "exec",
            "`sealift exec`: it needs Linux, and this is freebsd14",
            "get one, and Sealift in it: use a Linux machine",
        ),
    ],
)
def test_another_system_is_told_what_it_lacks(platform, command, message, hint, capsys, monkeypatch):
    monkeypatch.setattr(sys, "platform", platform)
    assert main([command, "a.sif", "b"]) == 6
    monkeypatch.setattr(sys, "platform", "linux")
    assert capsys.readouterr().err == f"error: {message}\nhint: {hint}\n"


@pytest.mark.parametrize(
    ("platform", "works", "line"),
    [
        ("darwin", "this is macOS: lint, pull, check work here", "brew install lima && limactl start && lima"),
        ("win32", "this is Windows: lint work here", "wsl --install"),
    ],
)
def test_another_system_is_told_in_one_line_what_works(platform, works, line):
    assert what_works(platform, ("build", "check", "lint", "pull", "run")) == f"{works}; all else in a Linux: {line}"
    shown = [line for line in welcome_text(Surroundings(platform=platform)).splitlines() if line.startswith("this is")]
    assert shown == [what_works(platform, tuple(COMMANDS))]
