from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealift.engines.embedded.exports import read_exports
from sealift.engines.plainshell import NotPlain, Variables, read_env_file, run_plain
from sealift.errors import UsageError

ENV = {"HOME": "/home/u", "EMPTY": "", "BLANKS": "a b", "STAR": "*"}
SHELLS = [path for name in ("dash", "bash") if (path := shutil.which(name))]
DATA = Path(__file__).parents[2] / "src/sealift/data"

UNDERSTOOD = {
    "nothing": ("", {}),
    "assigned": ("A=1\nB=2", {}),
    "exported": ("A=1; export A B=2 C; C=3", {"A": "1", "B": "2", "C": "3"}),
    "comments": ("# one\nexport A=1 # two\n  # three\nexport B=a#b", {"A": "1", "B": "a#b"}),
    "quotes": (
        "export A='as $HOME is' B=\"at $HOME\" C=a' b'\"c\"\\ d",
        {"A": "as $HOME is", "B": "at /home/u", "C": "a bc d"},
    ),
    "escapes": ('export A="\\$HOME \\"q\\" \\\\ \\n \\`"', {"A": '$HOME "q" \\ \\n `'}),
    "defaults": (
        'export A="${NONE:-d $HOME}" B="${EMPTY:-e}" C="${EMPTY-c}" D="${HOME:-x}" E="${NONE-"q"}"',
        {"A": "d /home/u", "B": "e", "C": "", "D": "/home/u", "E": "q"},
    ),
    "alternatives": (
        'export A="${HOME:+yes}" B="${EMPTY:+yes}" C="${EMPTY+yes}" D="${NONE+yes}"',
        {"A": "yes", "B": "", "C": "yes", "D": ""},
    ),
    "unquoted defaults": (
        "export A=${NONE:-d}:${EMPTY-e} B=${HOME:+yes}${NONE:+no}; C=${NONE:-$HOME/x}; export C",
        {"A": "d:", "B": "yes", "C": "/home/u/x"},
    ),
    "exported at once": ('export A=1 B="$A." C; export C="$A$B"', {"A": "1", "B": ".", "C": "1."}),
    "own-default": ('export A="${A:-"v"}"\nexport A="${A:-"w"}"', {"A": "v"}),
    "lines": ("export A='one\ntwo' \\\n  B=3", {"A": "one\ntwo", "B": "3"}),
    "unset": ("export A=1 B=2; unset A NONE", {"B": "2"}),
    "bare": ("A=$BLANKS; export A B=x$HOME", {"A": "a b", "B": "x/home/u"}),
    "if": (
        'if [ -z "$NONE" ]; then export A=1; elif test -n "$HOME"; then export A=2; else export A=3; fi',
        {"A": "1"},
    ),
    "elif": ('if [ -n "$NONE" ]; then export A=1\nelif test -n "$HOME"\nthen export A=2; else A=3; fi', {"A": "2"}),
    "else": ('if [ "$HOME" = /x ]; then\n  export A=1\nelse\n  export A=3\nfi\nexport B=1', {"A": "3", "B": "1"}),
    "nested": ("if true; then if [ -d /no ]; then export A=1; else export A=2; fi; fi", {"A": "2"}),
    "not-taken": ('if [ -d /no/such ]; then echo "x $1"; exit 1; . /none "$@"; fi\nexport A=1', {"A": "1"}),
    "loops-not-taken": (
        'if [ -d /no ]; then\n for a in "$@" b; do\n  while x; do y; done; break; done\nfi\nexport A=1',
        {"A": "1"},
    ),
    "lists": ('[ -n "$NONE" ] || export A=1\n[ -n "$HOME" ] && export B=1; [ -f / ] && C=1', {"A": "1", "B": "1"}),
    "and-or": ("[ -z x ] && export A=1 || export A=2; ! test -d / || export B=1", {"A": "2", "B": "1"}),
    "tests": ('[ "$HOME" != x ] && [ ! -e /no ] && [ x ] && [ -x /bin/sh ] && [ -r / ] && export A=1', {"A": "1"}),
    "path": ('PATH="/x:$PATH"; export PATH', {"PATH": "/x:"}),
    "dollar": ('export A="a $" B=$', {"A": "a $", "B": "$"}),
    "colon": (": nothing; true; export A=1", {"A": "1"}),
}  # fmt: skip

REFUSED = [
    "date", "A=$(date)", "A=`date`", "export A=~", "export A=*", "export A=$BLANKS", "export A=$STAR", "export A={a,b}",
    'export A="$(date)"', "export A=${HOME#/}", "export A=${#HOME}", "A=1 date",
    "f() { :; }", "for a in b; do :; done",
    "case x in x) ;; esac", "while true; do :; done", "[[ -n x ]]", "echo x | cat", "date > x", "date &", "export A=$1",
    "export A=$$", "export A=$RANDOM", "IFS=x", "export A='open", 'export A="open', "if true; then export A=1",
    "[ -n a -a -n b ]", "[ a -nt b ]", "test 1 -eq 1", "unset $HOME", ". relative", "source /x", "readonly A=1",
    "set -e", "umask 077", "eval A=1", "export -n A", "[ $NONE = x ]", "then", "export A=a;;",
    "export A=<x", "(A=1)", "{ A=1; }",
    "declare -x A=1", "A+=1", "a-b=1", "alias a=b", "$HOME", "'A'=1", "export A=$'x'", 'export A=$"x"', "~", "A=~/x",
]  # fmt: skip


def plain(text: str) -> dict[str, str]:
    variables = Variables(ENV)
    run_plain(text, variables)
    return {name: value for name, value in variables.environment().items() if ENV.get(name) != value}


def by_shell(shell: str, text: str) -> dict[str, str]:
    said = subprocess.run(
        [shell, "-c", "unset PATH\n" + text + "\nexport -p"], env=ENV, capture_output=True, check=True, cwd="/"
    ).stdout.decode("utf-8", "surrogateescape")
    own = ("PWD", "OLDPWD", "SHLVL", "_")
    return {name: value for name, value in read_exports(said).items() if name not in own and ENV.get(name) != value}


@pytest.mark.parametrize("case", UNDERSTOOD)
def test_understood(case: str) -> None:
    text, expected = UNDERSTOOD[case]
    assert plain(text) == expected
    for shell in SHELLS:
        assert by_shell(shell, text) == expected, shell


@pytest.mark.parametrize("text", REFUSED)
def test_refused(text: str) -> None:
    with pytest.raises(NotPlain):
        plain(text)


@pytest.mark.parametrize("path", sorted((DATA / "singularity.d/env").glob("*.sh")), ids=lambda path: path.name)
def test_our_own_scripts_are_plain(path: Path) -> None:
    text = path.read_text()
    found = plain(text)
    for shell in SHELLS:
        assert by_shell(shell, "unset PS1\n" + text) == found


names = st.sampled_from(["A", "B", "HOME", "EMPTY", "BLANKS", "STAR", "NONE"])
bare = st.text("ab/:.-=,@%+#!^é", max_size=4)
single = st.text("ab $\"`\\*~ \n'", max_size=5).map(lambda text: "'" + text.replace("'", "'\\''") + "'")


def parameter(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        names.map(lambda name: f"${name}"),
        names.map(lambda name: "${" + name + "}"),
        st.builds(lambda n, o, w: "${" + n + o + w + "}", names, st.sampled_from([":-", "-", ":+", "+"]), inner),
    )


text_in_quotes = st.text("ab *~#;&|", max_size=4)
in_quotes = st.lists(
    st.one_of(text_in_quotes, parameter(text_in_quotes), st.sampled_from(["\\$", '\\"', "\\\\", "\\a", "\n", "'"])),
    max_size=4,
).map("".join)
double = in_quotes.map(lambda text: f'"{text}"')
word = st.lists(st.one_of(bare, single, double, parameter(bare)), max_size=3).map("".join)
assignment = st.builds("{}={}".format, names, word)
condition = st.one_of(
    st.builds("[ {} {} ]".format, st.sampled_from(["-n", "-z"]), double),
    st.builds("test {} {} {}".format, double, st.sampled_from(["=", "!="]), double),
    st.just("true"),
)
simple = st.one_of(
    assignment,
    st.builds("export {}".format, assignment),
    st.builds("export {}".format, names),
    st.builds("unset {}".format, names),
)
statement = st.one_of(
    simple,
    st.builds("{} && {}".format, condition, simple),
    st.builds("{} || {}".format, condition, simple),
    st.builds("if {}; then {}; else {}; fi".format, condition, simple, simple),
    st.builds("if {}\nthen\n{}\nelif ! {}; then {}\nfi # end".format, condition, simple, condition, simple),
)
scripts = st.lists(statement, max_size=5).map("\n".join)


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=300, deadline=None)
@given(scripts)
def test_what_is_understood_means_what_it_means_to_a_shell(shell: str, text: str) -> None:
    try:
        found = plain(text)
    except NotPlain:
        return
    assert by_shell(shell, text) == found


@given(st.text("ab$\"'`\\ \n;&|<>(){}[]#!=~*:-+if then fi", max_size=60))
def test_any_text_is_understood_or_refused(text: str) -> None:
    position = 0
    try:
        plain(text)
    except NotPlain as refused:
        position = refused.position
    assert 0 <= position <= len(text)


def test_sourcing(tmp_path: Path) -> None:
    (tmp_path / "more.sh").write_text("export MORE=$HOME\n")
    (tmp_path / "date.sh").write_text("export MORE=1\ndate\n")
    assert plain(f'export A=1\n. "{tmp_path}/more.sh"') == {"A": "1", "MORE": "/home/u"}
    with pytest.raises(NotPlain):
        plain(f". {tmp_path}/date.sh")
    with pytest.raises(NotPlain):
        plain(f". {tmp_path}/none.sh")
    assert os.listdir(tmp_path)


def test_env_file() -> None:
    text = 'ONE=1\nTWO="at $HOME"\nHOME=/other\nTHREE=$ONE$HOME\n# end\n'
    assert read_env_file(text, ENV, name="vars") == {
        "ONE": "1",
        "TWO": "at /home/u",
        "HOME": "/other",
        "THREE": "1/other",
    }


def test_the_error_of_an_env_file_names_the_place() -> None:
    with pytest.raises(UsageError) as caught:
        read_env_file("A=1\nB=2; rm -r x\n", ENV, name="vars")
    where = caught.value.where
    assert where is not None
    assert (where.file, where.line, where.column, where.text) == ("vars", 2, 6, "B=2; rm -r x")
