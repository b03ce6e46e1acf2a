from __future__ import annotations

import pytest

from sealift.shell.follow import UNKNOWN, follow
from sealift.shell.parse import parse

U = UNKNOWN
RUNS = {
    "A='b c'\nx $A \"$A\"\n": ["x|b|c|b c"],
    "A=1; x$A ${A}y ${A:-2} ${B:-2} $B\n": [f"x1|1y|1|2|{U}"],
    "x a$(date)b `date`\n": ["date", "date", f"x|a{U}b|{U}"],
    "for p in a b; do x $p; done\n": ["x|a", "x|b"],
    "L='a b'\nfor p in $L; do x ${p}1; done\n": ["x|a1", "x|b1"],
    "for p in $(ls); do x $p; done\n": ["ls", f"x|{U}"],
    'i() { x -y "$@"; }\ni a b\n': ["i|a|b", "x|-y|a|b"],
    "f() { x; }\n": [],
    "A=1; if t; then A=2; fi; x $A\n": ["t", f"x|{U}"],
    "A=1; if t; then A=2; else A=2; fi; x $A\n": ["t", "x|2"],
    "A=1; t || A=2; x $A\n": ["t", f"x|{U}"],
    "A=1; case $B in a) A=2;; esac; x $A\n": [f"x|{U}"],
    "A=1; (A=2; x $A); x $A\n": ["x|2", "x|1"],
    "export A=1 B=2; x $A$B\n": ["export|A=1|B=2", "x|12"],
    "a=(1 '2 3'); a+=(4); x ${a[@]}\n": ["x|1|2|3|4"],
    "bash -c 'x a && y'\n": ["bash|-c|x a && y", "x|a", "y"],
    'sudo -E bash -c "x $A"\n': [f"sudo|-E|bash|-c|x {U}", f"x|{U}"],
    "eval x a\n": ["eval|x|a", "x|a"],
    "sh <<'E'\nx a\nE\n": ["sh", "x|a"],
    "cat > f <<'E'\nx a\nE\n": ["cat"],
    "A=1 x $A\n": [f"x|{U}"],
    "unset A; A=; x ${A:-3} ${A-4}\n": ["unset|A", "x|3"],
    "set -- a b; x $2 $#\n": ["set|--|a|b", "x|b|2"],
    "while read -r l; do x $l; done < f\n": ["read|-r|l", f"x|{U}"],
    "f() { f; }\nf\n": ["f"] * 7,
}


@pytest.mark.parametrize(("script", "wanted"), RUNS.items(), ids=range(len(RUNS)))
def test_commands_have_the_values_that_they_would_run_with(script: str, wanted: list[str]) -> None:
    runs = follow(parse(script).script)
    assert ["|".join(run.texts) for run in runs if run.fields] == wanted


def test_a_command_knows_where_it_stands() -> None:
    text = "a | b && c || d\nif e; then f; fi\nsh -c g\n"
    rows = [
        (run.name, run.place, run.pipe_length, run.operator, run.certain, run.is_inner, text[run.start : run.end])
        for run in follow(parse(text).script)
    ]
    assert rows == [
        ("a", 0, 2, "", True, False, "a"),
        ("b", 1, 2, "", True, False, "b"),
        ("c", 0, 1, "&&", True, False, "c"),
        ("d", 0, 1, "||", False, False, "d"),
        ("e", 0, 1, "", True, False, "e"),
        ("f", 0, 1, "", False, False, "f"),
        ("sh", 0, 1, "", True, False, "sh -c g"),
        ("g", 0, 1, "", True, True, "g"),
    ]


def test_what_comes_behind_a_test_is_not_certain() -> None:
    text = '[ -w /x ] && a && b\nc\n[[ -n $X ]] && d; e\ntest -f y && { f; }\n[ -z "$X" ] || g\nh && i\n'
    certain = [run.name for run in follow(parse(text).script, dialect="bash") if run.certain]
    assert certain == ["[", "c", "e", "test", "[", "h", "i"]


INNER = {
    "bash -c 'a; b'\n": ["bash -c 'a; b'", "a", "b"],
    'sh -c "a \\"b\\"; c"\n': ['sh -c "a \\"b\\"; c"'] * 3,
    'sh -c "a $B; c"\n': ['sh -c "a $B; c"'] * 3,
    "sh <<'E'\na\n  b c\nE\n": ["sh <<'E'", "a", "b c"],
    "sh <<-E\n\t\ta\n\tb\n\tE\n": ["sh <<-E", "a", "b"],
    "eval 'a b'\n": ["eval 'a b'", "a b"],
    "eval a b\n": ["eval a b"] * 2,
    "f() { a; }\nbash -c 'f; b'\n": ["bash -c 'f; b'", "f", "a", "b"],
    "bash -c 'sh -c \"a; b\"'\n": ["bash -c 'sh -c \"a; b\"'", 'sh -c "a; b"', "a", "b"],
}


@pytest.mark.parametrize(("script", "wanted"), INNER.items(), ids=range(len(INNER)))
def test_a_command_within_a_command_stands_where_it_is_written(script: str, wanted: list[str]) -> None:
    assert [script[run.start : run.end] for run in follow(parse(script).script)] == wanted


def test_a_loop_without_bounds_is_bounded() -> None:
    nested = "for a in 1 2 3 4 5 6 7 8 9; do " * 8 + "x;" + " done;" * 8
    assert 1000 < len(follow(parse(nested).script)) < 10_000
