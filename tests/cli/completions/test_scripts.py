"""What real shells complete with the scripts of `sealift completion`, and that the scripts know every flag."""

from __future__ import annotations

import contextlib
import re
import shlex

import pytest

from sealift.cli.app import COMMANDS, main
from sealift.cli.completion import SHELLS, known
from sealift.cli.grammar import _BY_METAVAR, _BY_NAME, _OF_COMMAND, all_commands, commands_of
from sealift.cli.learn import _VERBS
from sealift.engines.choose import CLEAN_ENGINES, ENGINES
from sealift.flows import kernel, sites
from sealift.jobs import job
from tests.cli.completions.shells import ask_by_hand, ask_fish
from tests.docs.commands import parser_of

FILES = ("hello.def", "hello.sif", "base.sqfs", "notes.txt", "my.toml", "two words.sif", "sub/deep.sif")
IMAGES = ["base.sqfs", "hello.sif", "sub", "two words.sif"]
ALL = [*IMAGES, "hello.def", "my.toml", "notes.txt"]
CASES: dict[str, list[str]] = {
    "chec": ["check"],
    "xyz ": [],
    # files with the endings that fit, folders, and names with spaces
    "build hel": ["hello.sif"],
    "build x.sif ": [*IMAGES, "hello.def"],
    "build ./su": ["./sub"],
    "lint ": ["hello.def", "sub"],
    "lint hello.def hel": ["hello.def"],
    "run ": IMAGES,
    "run tw": ["two words.sif"],
    "run --nv sub/": ["sub/deep.sif"],
    "inspect he": ["hello.sif"],
    # behind the image stands the program, whose flags and files are not Sealift's
    "exec hello.sif ": ALL,
    "exec hello.sif --n": [],
    "exec --nv hello.sif notes": ["notes.txt"],
    # binds
    "exec -B /us": ["/usr"],
    "exec -B /usr:/us": ["/usr:/usr"],
    # flags, and what they take
    "build --ti": [],
    "check --prob": ["--probe"],
    "inspect --no-": ["--no-https"],
    "push hello.sif docker://x --si": ["--site"],
    "pull docker://ubuntu:24.04 --forc": ["--force"],
    "build --layers ": ["one", "steps"],
    "build --layers=": ["--layers=one", "--layers=steps"],
    "check --fail-on no": ["note"],
    "run --engine ench": [],
    "run --engine ap": ["apptainer"],
    # names that Sealift knows, and those that the user made
    "check --site perlmutter-": ["perlmutter-cpu", "perlmutter-gpu", "perlmutter-gpu80"],
    "check --site=polar": ["--site=polaris"],
    "sites my": ["my.toml", "mycluster"],
    "sites ad": ["add"],
    "learn st": ["start"],
    "learn start ex01": ["ex01"],
    "new mpi": ["mpi-mpich", "mpi-openmpi"],
    "lint --explain apt-k": ["apt-key"],
    "kernel remove ": ["analysis", "torch"],
    # commands below commands
    "kernel rem": ["remove"],
    "kernel install --na": ["--name"],
    "job sta": ["status"],
    "job status --js": ["--json"],
    "job hello.sif --nod": ["--nodes"],
    "job --kind gp": ["gpu-mpi"],
    "cache ver": ["verify"],
    "completion ": list(SHELLS),
}


@pytest.mark.slow
@pytest.mark.parametrize(
    "shell",
    [
        pytest.param("bash", marks=pytest.mark.needs("bash")),
        pytest.param("zsh", marks=pytest.mark.needs("zsh")),
        pytest.param("fish", marks=pytest.mark.needs("fish")),
    ],
)
def test_a_shell_completes(shell, tmp_path, capsys):
    folder, work = tmp_path / "folder", tmp_path / "home"
    for name in FILES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()
    own = work / ".config" / "sealift" / "sites"
    own.mkdir(parents=True)
    (own / "mycluster.toml").touch()
    assert main(["completion", shell]) == 0
    script = tmp_path / "script"
    script.write_text(capsys.readouterr().out, encoding="utf-8")
    if shell == "fish":
        answers = [[one.rstrip("/") for one in found] for found in ask_fish(script, list(CASES), folder, work)]
        found = {line: sorted(answer) for line, answer in zip(CASES, answers, strict=True)}
        assert found == {line: sorted(wanted) for line, wanted in CASES.items()}
        return
    for (line, wanted), words in zip(CASES.items(), ask_by_hand(shell, script, list(CASES), folder, work), strict=True):
        typed = shlex.split(line)
        before = typed if line.endswith(" ") or not wanted else typed[:-1]
        # Readline's words end at `=`, and the first one is added to what was typed.
        parted = [one.rpartition("=")[2] if shell == "bash" else one for one in words[len(before) :]]
        assert words[: len(before)] == before
        assert sorted(parted) == sorted(one.rpartition("=")[2] if shell == "bash" else one for one in wanted), line


def test_every_flag_that_help_shows_is_known(capsys):
    for command in all_commands():
        with contextlib.suppress(SystemExit):
            main([*command.words, "--help"])
        entries = re.findall(r"^  (?:    )?(-.*?)(?:  |$)", capsys.readouterr().out, re.MULTILINE)
        shown = {name for entry in entries for name in re.findall(r"(?:^| )(--?[A-Za-z][\w-]*)", entry)}
        given = {name for option in command.options for name in option.names} | {"-h", "--help"}
        assert shown - given == REFUSED.get(command.words[0], set()), command.words
        assert given - shown == set(), command.words
    assert [command.words[0] for command in all_commands() if len(command.words) == 1] == list(COMMANDS)


_ENCRYPTION = {"-e", "--encrypt", "--passphrase", "--pem-path", "--library"}
REFUSED = {"build": _ENCRYPTION, "pull": _ENCRYPTION, "push": {"--library"}}
"""Flags that only say why there is no such thing."""


def test_what_is_said_of_a_flag_or_a_place_is_of_one_that_there_is():
    there = {
        (" ".join(command.words), name)
        for command in all_commands()
        for name in (
            *(long.lstrip("-") for option in command.options for long in option.names),
            *_fields(command.words),
        )
    }
    assert set(_OF_COMMAND) - there == set()
    assert set(_BY_NAME) <= {name for _, name in there}
    of_flags = {option.metavar for command in all_commands() for option in command.options}
    of_places = {place.metavar for command in all_commands() for place in command.places}
    assert set(_BY_METAVAR) <= of_flags | of_places


def _fields(words: tuple[str, ...]) -> set[str]:
    if COMMANDS[words[0]][0] == "run":
        return set()
    return {action.dest for action in parser_of(words).actions() if not action.option_strings}


def test_what_is_written_down_twice_is_the_same(tmp_path):
    """The command line may not import these, and what it offers must not go behind what they know."""
    every = tuple(name for name in ENGINES if name != "auto") + CLEAN_ENGINES
    assert _values("exec", "--engine") == {"auto", *every}
    assert _values("check", "--engine") == set(every)
    assert _values("job", "--engine") == {"auto", *job.ENGINES}
    assert _values("kernel install", "--engine") == set(kernel.ENGINES)
    assert _values("job", "--kind") == set(job.KINDS)
    assert set(_VERBS) <= set(_place("learn", 0))
    shipped = sites.all_sites({"XDG_CONFIG_HOME": str(tmp_path)}, today="")
    assert set(known().names["site"]) == {name for site in shipped for name in (site.name, *site.aliases)}


def _place(command: str, number: int) -> tuple[str, ...]:
    return commands_of(command)[0].places[number].values.words


def _values(command: str, flag: str) -> set[str]:
    (found,) = (each for each in commands_of(command.split(maxsplit=1)[0]) if each.words == tuple(command.split()))
    (option,) = (each for each in found.options if flag in each.names)
    return set(option.values.words)
