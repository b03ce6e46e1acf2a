from __future__ import annotations

import pytest

from sealift.engines.plainshell import assignments, expand, read_env_file
from sealift.errors import UsageError

ENV = {"HOME": "/home/u", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("A=1\nB=two words\n", None),
        ("A=1\n\n# comment\n  B=2  # more\n", {"A": "1", "B": "2"}),
        ("export A='as $HOME is'\nB=\"at $HOME\"", {"A": "as $HOME is", "B": "at /home/u"}),
        ("A=${HOME}/x B=${EMPTY:-d} C=${EMPTY-d}; D=${NONE:-n}", {"A": "/home/u/x", "B": "d", "C": "", "D": "n"}),
        ("A=a'b c'\"d\"\\ e", {"A": "ab cd e"}),
        ('A="two\nlines"\nB=$A', {"A": "two\nlines", "B": "two\nlines"}),
        ("A=`date`", None),
        ("A=$(date)", None),
        ("date", None),
        ("A=", {"A": ""}),
        ("", {}),
    ],
)
def test_env_file(text: str, expected: dict[str, str] | None) -> None:
    if expected is None:
        with pytest.raises(UsageError) as caught:
            read_env_file(text, ENV, name="vars")
        assert caught.value.where is not None
        assert caught.value.where.file == "vars"
    else:
        assert read_env_file(text, ENV, name="vars") == expected


def test_the_error_names_the_place() -> None:
    with pytest.raises(UsageError) as caught:
        read_env_file("A=1\nB=2; rm -r x\n", ENV, name="vars")
    where = caught.value.where
    assert where is not None
    assert (where.line, where.column, where.text) == (2, 6, "B=2; rm -r x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('export A="${A:-"d"}"\n', {"A": "d"}),
        ('export HOME="${HOME:-"d"}"\n', {"HOME": "/home/u"}),
        ('[ -n "${A:-}" ] || A=\'q"u\'\nexport A\n', {"A": 'q"u'}),
        ("[ -n \"${HOME:-}\" ] || HOME='x'\n", {}),
        ('if true; then\n  export A=1\nfi\nexport PATH="/x:$PATH"\n', {"A": "1", "PATH": "/x:"}),
        ("export A=$(date)\nls\nA=1 ls\n", {}),
    ],
)
def test_scripts_without_a_shell(text: str, expected: dict[str, str]) -> None:
    assert assignments(text, ENV) == expected


def test_expand() -> None:
    assert expand('$HOME ${HOME} \\$HOME \\"q\\" \\\\ $1 $', ENV) == '/home/u /home/u $HOME "q" \\ $1 $'
