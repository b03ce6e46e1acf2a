from __future__ import annotations

import os
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealift.engines.embedded.exports import read_exports, read_words

FORMS = {
    "dash": ("export A='it'\"'\"'s'\nexport B=''\n", {"A": "it's", "B": ""}),
    "bash": (
        'declare -x A="a \\"b\\" \\$c \\`d\\` \\\\e"\ndeclare -rx B="x"\ndeclare -x OLDPWD\n',
        {"A": 'a "b" $c `d` \\e', "B": "x"},
    ),
    "bash-ansi": ("declare -x A=$'tab\\there\\x41\\101\\u00e9\\'q\\n'\n", {"A": "tab\thereAAé'q\n"}),
    "ksh": ("typeset -x A=plain\nexport B='x y'\n", {"A": "plain", "B": "x y"}),
    "lines": ("export A='one\nexport B=no\ntwo'\nexport C='x'\n", {"A": "one\nexport B=no\ntwo", "C": "x"}),
    "nothing": ("", {}),
}


@pytest.mark.parametrize("form", FORMS)
def test_forms(form: str) -> None:
    text, expected = FORMS[form]
    assert read_exports(text) == expected


def test_what_is_no_export() -> None:
    with pytest.raises(ValueError, match="`rm` is not how a shell prints its exports"):
        read_exports("rm -r /\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [('a \'b c\' "d\\"e" f\\ g', ["a", "b c", 'd"e', "f g"]), ("", []), ("  ", []), ("''", [""])],
)
def test_words(text: str, expected: list[str]) -> None:
    assert read_words(text) == expected


SHELLS = [path for name in ("dash", "bash", "busybox", "ksh", "mksh") if (path := shutil.which(name))]
"""zsh is nobody's /bin/sh, and what it prints is not always one value: `\\M-\\C-A` may be one byte or three."""


@pytest.mark.parametrize("shell", SHELLS)
@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.from_regex("[A-Z][A-Z0-9]{3,6}X", fullmatch=True), st.binary().filter(lambda b: 0 not in b)))
def test_every_shell_of_this_host_is_understood(shell: str, values: dict[str, bytes]) -> None:
    """Any bytes but NUL, through the shell's own printing."""
    argv = [shell, *(["sh"] if shell.endswith("busybox") else []), "-c", "export -p"]
    env: dict[bytes, bytes] = {name.encode(): value for name, value in values.items()}
    said = subprocess.run(argv, env=env, capture_output=True, check=True).stdout.decode("utf-8", "surrogateescape")
    found = read_exports(said)
    assert {name: os.fsencode(value) for name, value in found.items() if name in values} == values
