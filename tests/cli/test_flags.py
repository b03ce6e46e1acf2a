"""How flags are read: as Go's pflag does, which Apptainer uses."""

from __future__ import annotations

import pytest

from sealift.cli.flags import Flag, FlagError, parse

FLAGS = (
    Flag("nv", "switch", "nv"),
    Flag("cleanenv", "switch", "clean_env", short="e"),
    Flag("contain", "switch", "contain", short="c"),
    Flag("bind", "texts", "binds", short="B", metavar="SRC:DST"),
    Flag("env", "pairs", "env"),
    Flag("env-file", "list", "env_files"),
    Flag("pwd", "text", "pwd"),
    Flag("pids-limit", "number", "pids"),
    Flag("shell", "text", "shell", short="s", verbs=("shell",)),
    Flag("help", "switch", "help", short="h"),
)


@pytest.mark.parametrize(
    ("words", "values", "rest"),
    [
        ("x.sif true", {}, "x.sif true"),
        ("--nv x.sif --nv", {"nv": True}, "x.sif --nv"),
        ("--nv=false x.sif", {"nv": False}, "x.sif"),
        ("--nv --nv=F x.sif", {"nv": False}, "x.sif"),
        ("-ec x.sif -h", {"clean_env": True, "contain": True}, "x.sif -h"),
        ("-e=false x.sif", {"clean_env": False}, "x.sif"),
        ("-ecB/a:/b x.sif", {"clean_env": True, "contain": True, "binds": ("/a:/b",)}, "x.sif"),
        ("-B /a -B=/b -B/c,/d x.sif", {"binds": ("/a", "/b", "/c,/d")}, "x.sif"),
        ("--bind /a --bind=/b=c x.sif", {"binds": ("/a", "/b=c")}, "x.sif"),
        ("--bind --nv x.sif", {"binds": ("--nv",)}, "x.sif"),
        ("--env A=1,2 x.sif", {"env": {"A": "1,2"}}, "x.sif"),
        ("--env A=1,B=2 --env B=3 x.sif", {"env": {"A": "1", "B": "3"}}, "x.sif"),
        ('--env "A=1,2",B=3 x.sif', {"env": {"A": "1,2", "B": "3"}}, "x.sif"),
        ("--env A= x.sif", {"env": {"A": ""}}, "x.sif"),
        ("--env-file a,b --env-file c x.sif", {"env_files": ("a", "b", "c")}, "x.sif"),
        ("--pwd /a --pwd /b x.sif", {"pwd": "/b"}, "x.sif"),
        ("--pids-limit -1 x.sif", {"pids": -1}, "x.sif"),
        ("-- x.sif -- --nv", {}, "x.sif -- --nv"),
        ("--nv -- --cleanenv", {"nv": True}, "--cleanenv"),
        ("- --nv", {}, "- --nv"),
        ("--help --unknown", {"help": True}, ""),
    ],
)
def test_flags_end_at_the_first_word(words, values, rest):
    parsed = parse(FLAGS, words.split(), verb="exec")
    assert {use.flag.field: parsed.value(use.flag.field) for use in parsed.uses} == values
    assert parsed.rest == tuple(rest.split())


@pytest.mark.parametrize(
    ("words", "values", "rest"),
    [
        ("x.sif --nv y", {"nv": True}, "x.sif y"),
        ("x.sif -- --nv y", {}, "x.sif --nv y"),
        ("a --pwd b c -", {"pwd": "b"}, "a c -"),
    ],
)
def test_mixed_flags_may_stand_behind_words(words, values, rest):
    parsed = parse(FLAGS, words.split(), verb="build", mixed=True)
    assert {use.flag.field: parsed.value(use.flag.field) for use in parsed.uses} == values
    assert parsed.rest == tuple(rest.split())


@pytest.mark.parametrize(
    ("words", "message", "hints"),
    [
        ("--nvv x", "`sealift exec` has no flag `--nvv`", ("did you mean `--nv`?", "sealift exec --help")),
        ("--xyzzy x", "`sealift exec` has no flag `--xyzzy`", ("sealift exec --help",)),
        ("-ez x", "`sealift exec` has no flag `-z` (in `-ez`)", ("sealift exec --help",)),
        (
            "-bind /a x",
            "`sealift exec` has no flag `-b` (in `-bind`)",
            ("did you mean `--bind`?", "sealift exec --help"),
        ),
        ("--shell /bin/sh x", "`sealift exec` has no flag `--shell`", ("sealift exec --help",)),
        ("--bind", "`--bind` wants a value", ("--bind SRC:DST",)),
        ("-eB", "`-B` wants a value", ("-B SRC:DST",)),
        ("--nv=maybe x", "`--nv` is a switch, and `maybe` is neither true nor false", ("--nv",)),
        ("--pids-limit many x", "`--pids-limit` wants a whole number, not `many`", ("--pids-limit 1",)),
        ("--env A x", "`A` of `--env` is not K=V", ("--env THREADS=4",)),
        ("--env A=1,B=2,C x", "`C` of `--env` is not K=V", ("--env THREADS=4",)),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(words, message, hints):
    with pytest.raises(FlagError) as caught:
        parse(FLAGS, words.split(), verb="exec")
    assert (caught.value.message, caught.value.hints) == (message, hints)
