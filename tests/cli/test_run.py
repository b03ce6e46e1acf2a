"""The command lines of `run`, `exec`, `shell` and `test`, and the launch plans that they mean."""

from __future__ import annotations

import pytest

from sealift.cli.flags import FlagError, parse
from sealift.cli.run import help_text, launch_plan
from sealift.cli.runflags import ACTIONS, RUN_FLAGS
from sealift.core.launch import Bind, LaunchPlan


def plan_of(line: str) -> LaunchPlan:
    verb, *words = line.split()
    return launch_plan(verb, parse(RUN_FLAGS, words, verb=verb))


@pytest.mark.parametrize(
    ("line", "plan"),
    [
        ("exec x.sif true", LaunchPlan(image="x.sif", action="exec", command=("true",))),
        ("exec x.sif -- -x", LaunchPlan(image="x.sif", action="exec", command=("--", "-x"))),
        ("run x.sif --help", LaunchPlan(image="x.sif", action="run", command=("--help",))),
        ("test x.sif", LaunchPlan(image="x.sif", action="test")),
        (
            "shell -s /bin/zsh -ec x.sif -c env",
            LaunchPlan(
                image="x.sif", action="shell", shell="/bin/zsh", clean_env=True, contain=True, command=("-c", "env")
            ),
        ),
        (
            "exec --nv -B /a:/b:ro,/c -B /d --env A=1,B=2 --env-file e,f -C --no-home -H /h:/i --pwd /w x.sif python",
            LaunchPlan(
                image="x.sif",
                action="exec",
                command=("python",),
                nv=True,
                binds=(
                    Bind(source="/a", destination="/b", read_only=True),
                    Bind(source="/c", destination="/c"),
                    Bind(source="/d", destination="/d"),
                ),
                env={"A": "1", "B": "2"},
                env_files=("e", "f"),
                contain_all=True,
                no_home=True,
                home="/h:/i",
                pwd="/w",
            ),
        ),
        (
            "run -f -u -w -p -i -n --uts --hostname h --network none --dns 1.1.1.1 --compat x.sif",
            LaunchPlan(
                image="x.sif",
                action="run",
                fakeroot=True,
                userns=True,
                writable=True,
                pid=True,
                ipc=True,
                net=True,
                uts=True,
                hostname="h",
                network="none",
                dns="1.1.1.1",
                compat=True,
            ),
        ),
        (
            "exec -o a:ro,b --overlay c -S /s -W /w --no-mount tmp,home --mount type=bind,src=/a,dst=/b x.sif true",
            LaunchPlan(
                image="x.sif",
                action="exec",
                command=("true",),
                overlays=("a:ro", "b", "c"),
                scratch=("/s",),
                workdir="/w",
                no_mount=("tmp", "home"),
                mounts=("type=bind,src=/a,dst=/b",),
            ),
        ),
        (
            "exec --cpus 2 --nvccli --sharens --no-oci -q --engine embedded --disable-cache x.sif true",
            LaunchPlan(
                image="x.sif",
                action="exec",
                command=("true",),
                engine_options=("--cpus=2", "--nvccli"),
                engine_hints=("--sharens",),
            ),
        ),
    ],
)
def test_a_line_means_a_plan(line, plan):
    assert plan_of(line) == plan


@pytest.mark.parametrize(
    ("line", "message", "hint"),
    [
        ("exec", "exec wants IMAGE CMD …", "sealift exec --help"),
        ("run --nv", "run wants IMAGE [ARG …]", "sealift run --help"),
        ("exec x.sif", "exec takes a command", "sealift exec x.sif ls /"),
        (
            "exec -e x.sif --nv python",
            "`--nv` stands behind the image, where it would be the program; flags stand before it",
            "sealift exec --cleanenv --nv x.sif …",
        ),
    ],
)
def test_what_is_missing_is_said(line, message, hint):
    with pytest.raises(FlagError) as caught:
        plan_of(line)
    assert (caught.value.message, caught.value.hints) == (message, (hint,))


def test_every_field_is_one_of_the_plan_or_a_known_word():
    words = {"engine", "site", "safe", "print", "verbose", "quiet", "help", "authfile", "cache"}
    words |= {"insecure", "engine option", "hint", "nothing"}
    fields = {flag.field for flag in RUN_FLAGS}
    assert fields - words <= set(LaunchPlan.__dataclass_fields__)
    assert len({flag.name for flag in RUN_FLAGS}) == len(RUN_FLAGS)


@pytest.mark.parametrize("verb", ACTIONS)
def test_help_fits_a_terminal(verb):
    lines = help_text(verb).splitlines()
    assert max(map(len, lines)) <= 110
    assert ("--shell" in help_text(verb)) == (verb == "shell")
