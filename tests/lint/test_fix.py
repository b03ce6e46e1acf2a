"""Fixes keep everything else byte for byte."""

from __future__ import annotations

import difflib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sealift.deffile.as_apptainer import as_apptainer
from sealift.lint.catalogue import RULES
from sealift.lint.check import lint
from sealift.lint.fix import fix
from sealift.lint.values import Settings
from tests.ground import corpus

HEAD = "Bootstrap: docker\nFrom: ubuntu:24.04\n\n%post\n"
LINES = (
    "apt update && apt install -y gcc",
    "apt-get update",
    "apt-get install gcc",
    "sudo apt-get install \\\n        -y make \\\n        # no comment here\n        cmake",
    "for p in a b; do apt-get install -y $p; done",
    "if true; then apt-get install -y g++; fi",
    "for p in a b; do sudo apt install $p; done",
    "pip install numpy==1.0",
    "pip3 install -r requirements.txt  # why",
    "python3 -m pip install .",
    "$PIP install numpy",
    "conda install numpy=1.0",
    "yum install gcc",
    "cat <<EOF\n  pip install x\nEOF",
    "sudo -u me pip install x",
    "",
    "\t# apt install x",
)
OTHERS = (
    "\n%environment\n    A=1\n    export B=2\n    C=$A\n",
    "\n%runscript\n    python3 $@\n",
    "\n%runscript\n    exec prog $*\n\n",
    "\n%test\n    true\n",
)
RECIPES = st.tuples(
    st.lists(st.sampled_from(LINES), max_size=6).map(lambda lines: "".join(f"    {line}\n" for line in lines)),
    st.lists(st.sampled_from(OTHERS), max_size=3).map("".join),
    st.sampled_from(("\n", "\r\n")),
    st.booleans(),
).map(lambda parts: _text(*parts))


def _text(post: str, rest: str, newline: str, ends: bool) -> bytes:
    text = HEAD + post + rest
    return (text if ends else text.rstrip("\n")).replace("\n", newline).encode()


def check(data: bytes) -> None:
    """The laws of a fix, for any file."""
    before = lint(data).findings
    fixed = fix(data)
    assert fix(fixed.data).data == fixed.data
    after = lint(fixed.data).findings
    assert [one for one in after if one.edits] == []
    assert {one.rule for one in fixed.mended} <= {rule for rule in RULES if rule.fixes}
    assert {one.rule for one in after} <= {one.rule for one in before}
    changed = changed_lines(data, fixed.data)
    named = {line for one in fixed.mended for line in lines_of_edits(data, one.edits)} if changed else set()
    assert changed <= named | {line + 1 for line in named}
    # What the file says otherwise is the same: header, labels, files, and how often each command stands there.
    old, new = as_apptainer(data), as_apptainer(fixed.data)
    assert old["allOK"] == new["allOK"]
    assert [stage["header"] for stage in old["stages"] or ()] == [stage["header"] for stage in new["stages"] or ()]
    assert words(fixed.data) >= words(data) - {b"apt", b"sudo", b"$@", b"$*", b"${@}", b"${*}"}


def lines_of_edits(data: bytes, edits) -> set[int]:
    text = data.decode("utf-8", "surrogateescape")
    return {text.count("\n", 0, edit.start) for edit in edits}


def changed_lines(old: bytes, new: bytes) -> set[int]:
    matcher = difflib.SequenceMatcher(None, old.split(b"\n"), new.split(b"\n"), autojunk=False)
    return {
        line
        for tag, start, end, _, _ in matcher.get_opcodes()
        if tag != "equal"
        for line in range(start, max(end, start + 1))
    }


def words(data: bytes) -> set[bytes]:
    return {word.strip(b"'") for word in data.replace(b'"', b" ").split()}


@settings(max_examples=25, deadline=None)
@given(data=RECIPES)
def test_a_fix_is_a_fix(data: bytes) -> None:
    check(data)


@pytest.mark.parametrize(
    ("given_line", "wanted"),
    [
        ("apt install -y gcc", "apt-get install -y gcc"),
        ("apt-get install gcc", "apt-get install -y gcc"),
        ("sudo mkdir /opt/a", "mkdir /opt/a"),
        ("sudo -E mkdir /opt/a", "sudo -E mkdir /opt/a"),
        ("pip install a==1  # why", "pip install --no-cache-dir a==1  # why"),
        ("pip$V install a==1", "pip$V install a==1"),
        ("bash -c 'pip install a==1'", "bash -c 'pip install a==1'"),
        ("apk add gcc", "apk add --no-cache gcc"),
        ("pip3 install --no-cache-dir a>=1,<2 b==1 c[d]>=3", "pip3 install --no-cache-dir 'a>=1,<2' b==1 'c[d]>=3'"),
        ("pip install --no-cache-dir a==1 > log 2>&1", "pip install --no-cache-dir a==1 > log 2>&1"),
        ("cp a \\ \t\n    b", "cp a \\\n    b"),
        ("echo 'a \\ \n    b'", "echo 'a \\ \n    b'"),
        ("pacman -Sy git", "pacman -Sy --noconfirm git\n    pacman -Scc --noconfirm"),
        ("pacman -Ss git", "pacman -Ss git"),
        ("conda create -n x a=1", "conda create -y -n x a=1\n    conda clean -afy"),
        ("if true; then conda install -y a=1; fi", "if true; then conda install -y a=1; fi"),
        ("dnf -y install gcc && \\\n    true", "dnf -y install gcc && \\\n    true"),
        ("true && \\\n    dnf -y install gcc", "true && \\\n    dnf -y install gcc\n    dnf clean all"),
    ],
    ids=range(18),
)
def test_a_line_is_mended(given_line: str, wanted: str) -> None:
    data = f"Bootstrap: docker\nFrom: base:1\n\n%post\n    {given_line}\n"
    assert fix(data.encode()).data.decode() == data.replace(given_line, wanted)


def test_lists_are_removed_behind_the_last_installation() -> None:
    data = HEAD + "    apt-get update\n    apt-get install -y \\\n      gcc\n    apt-get install -y make\n    true\n"
    wanted = data.replace("-y make\n", "-y make\n    rm -rf /var/lib/apt/lists/*\n")
    assert fix(data.encode()).data.decode() == wanted


def test_what_is_ignored_is_not_mended() -> None:
    data = f"{HEAD}    # sealift: ignore=apt-front-end that is how we write it\n    apt update\n".encode()
    assert fix(data).data == data
    assert fix(data, settings=Settings(select=frozenset({"size"}))).data == data


def test_a_file_that_is_refused_stays_as_it_is() -> None:
    data = f"{HEAD}    pip install a\n%oops\n    true\n".encode()
    assert fix(data).data == data


@pytest.mark.slow
@corpus.needed
def test_real_files_are_mended_by_the_same_laws() -> None:
    for path in corpus.definitions():
        check(path.read_bytes())
