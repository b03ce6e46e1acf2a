"""Environment files: what they set, what they may not do, and the same under Apptainer."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealift.engines.envfiles import evaluate
from sealift.errors import UsageError
from tests.engines.conftest import RunPlan, plan

ENV = {"HOME": "/home/u", "PATH": "/bin:/usr/bin", "HOSTV": "host", "USER": "u"}

SETS: dict[str, tuple[str, dict[str, str]]] = {
    "plain": ("A=1\nB=two\n", {"A": "1", "B": "two"}),
    "comments": ("# c\nA=1 # tail\n#B=2\nC=3#x\n", {"A": "1", "C": "3#x"}),
    "quotes": ("A='a b'\nB=\"c $HOSTV\"\nC='$HOSTV'\n", {"A": "a b", "B": "c host", "C": "$HOSTV"}),
    "export": ('export A=1\nexport B="$A x"\nC=1\nexport C\n', {"A": "1", "B": "1 x", "C": "1"}),
    "no end": ("A=1\nB=2", {"A": "1", "B": "2"}),
    "carriage returns": ("A=1\r\nB=2\r\n", {"A": "1\r", "B": "2\r"}),
    "defaults": ("A=$NOPE\nB=${NOPE:-dflt}\n", {"A": "", "B": "dflt"}),
    "substitution": ("A=$(echo hi)\nB=`echo ho`\n", {"A": "hi", "B": "ho"}),
    "lines": ('A="l1\nl2"\nB=2\n', {"A": "l1\nl2", "B": "2"}),
    "one line": ("A=1; B=2\nC=3 D=4\n", {"A": "1", "B": "2", "C": "3", "D": "4"}),
    "chain": ("A=1\nA=2\nB=$A$A\nA+=x\n", {"A": "2x", "B": "22"}),
    "path": ("PATH=/x:$PATH\nSHELL=/bin/none\n", {"PATH": "/x:/bin:/usr/bin", "SHELL": "/bin/none"}),
    "tilde and stars": ("A=*\nB=~/x\nC={a,b}\n", {"A": "*", "B": "/home/u/x", "C": "{a,b}"}),
    "arithmetic": ("A=$((1+2))\n", {"A": "3"}),
    "statements": ("f() { A=1; }\nf\nif true; then B=2; fi\n", {"A": "1", "B": "2"}),
    "escapes": ('A="a\\"b"\nB=$\'a\\tb\'\nC=a\\\nb\n', {"A": 'a"b', "B": "a\tb", "C": "ab"}),
    "same as the host": ("HOSTV=host\nA=1\n", {"A": "1"}),
    "its own words": ("A='my PATH'\nSEALIFTED=1\n", {"A": "my PATH", "SEALIFTED": "1"}),
    "zero bytes": ("A=a\0b\n", {"A": "ab"}),
    "empty": ("", {}),
}
REFUSED = {
    "a program": ("A=1\nfoo\nB=2\n", "cannot run foo"),
    "blanks around `=`": ("A = 1\n", "cannot run A"),
    "a blank in a value": ("A=one two\n", "cannot run two"),
    "no name": ("1A=1\n", "cannot run 1A=1"),
    "a path": ("A=$(/bin/ls)\n", "/bin/ls: restricted: cannot specify `/' in command names"),
    "a file": ("echo x >/tmp/no\n", "/tmp/no: restricted: cannot redirect output"),
    "an end": ("A=1\nexit 3\n", "it ended with 3"),
    "a quote": ('A="1\n', "unexpected EOF while looking for matching `\"'"),
}


@pytest.mark.parametrize("case", SETS)
def test_what_a_file_sets(case: str) -> None:
    text, expected = SETS[case]
    assert evaluate(text, ENV, name="vars") == expected


@pytest.mark.parametrize("case", REFUSED)
def test_what_a_file_may_not_do(case: str) -> None:
    text, expected = REFUSED[case]
    with pytest.raises(UsageError) as caught:
        evaluate(text, ENV, name="vars")
    assert caught.value.message == f"`--env-file vars`: {expected}"


def test_what_it_prints_is_printed(capfd: pytest.CaptureFixture[str]) -> None:
    assert evaluate("echo hello\nA=$(echo 1)\n", ENV, name="vars") == {"A": "1"}
    assert capfd.readouterr().out == "hello\n"


@pytest.mark.slow
@pytest.mark.needs("apptainer", "subuid-user", "squashfuse", "mksquashfs")
def test_the_same_under_apptainer(run_plan: RunPlan, sif: Path, open_folder: Path) -> None:
    """What each of some files sets; and what is refused there is so here."""
    cases = ("comments", "quotes", "carriage returns", "substitution", "path", "statements", "escapes", "its own words")
    for number, text in enumerate(SETS[case][0] for case in cases):
        (open_folder / str(number)).write_text(text, newline="")
        names = sorted(evaluate(text, ENV, name=""))
        wanted = plan(
            sif, "/bin/bash", "-c", 'for n; do echo "$n=${!n}"; done', "bash", *names,
            env_files=(str(open_folder / str(number)),),
        )  # fmt: skip
        theirs = run_plan(wanted, engine="apptainer", env={"HOSTV": "host"})
        ours = run_plan(wanted, env={"HOSTV": "host"})
        assert (ours.returncode, ours.stdout) == (theirs.returncode, theirs.stdout), (text, ours.stderr)
    for text in (REFUSED[case][0] for case in ("a program", "a file", "an end")):
        (open_folder / "wrong").write_text(text)
        wanted = plan(sif, "true", env_files=(str(open_folder / "wrong"),))
        assert run_plan(wanted, engine="apptainer").returncode == 255
        assert run_plan(wanted).returncode == 2
