"""Words with values that are known at run time: what bash makes of them."""

from __future__ import annotations

import subprocess

import pytest

from sealift.jobs.words import ARGUMENTS, at_run_time, command, quoted, variables_in, with_variables

ENV = {"SCRATCH": "/pscratch/sd/u/a b", "ID": "42", "EMPTY": "", "PATH": "/usr/bin:/bin"}


@pytest.mark.parametrize(
    ("word", "text", "value"),
    [
        ("plain", "plain", "plain"),
        ("two words", "'two words'", "two words"),
        ("", "''", ""),
        ("$SCRATCH", "'$SCRATCH'", "$SCRATCH"),
        (at_run_time("ID"), '"$ID"', "42"),
        (at_run_time("SCRATCH", path=True), '"$SCRATCH"', "/pscratch/sd/u/a b"),
        (at_run_time("SCRATCH", path=True) + "/x", '"$SCRATCH/x"', "/pscratch/sd/u/a b/x"),
        (f"/tmp/{at_run_time('ID')}/y", '"/tmp/$ID/y"', "/tmp/42/y"),
        (f"/tmp/cache-{at_run_time('ID')}z", '"/tmp/cache-${ID}z"', "/tmp/cache-42z"),
        (f"{at_run_time('ID')}[0]", '"${ID}[0]"', "42[0]"),
        (f'a"b`c\\d$e{at_run_time("ID")}', '"a\\"b\\`c\\\\d\\$e$ID"', 'a"b`c\\d$e42'),
        (f"K={at_run_time('EMPTY')},x", '"K=$EMPTY,x"', "K=,x"),
        (f"{at_run_time('ID')}:{at_run_time('ID')}", '"$ID:$ID"', "42:42"),
        (with_variables("${SCRATCH}/in", path=True), '"$SCRATCH/in"', "/pscratch/sd/u/a b/in"),
        (with_variables("a$ID-${ID}"), '"a$ID-$ID"', "a42-42"),
        (with_variables("5$ and $(id)"), "'5$ and $(id)'", "5$ and $(id)"),
        # A text of an image that looks like a mark
        ("/a\x01x:-$(id)\x02", '"/a\x01x:-\\$(id)\x02"', "/a\x01x:-$(id)\x02"),
    ],
)
def test_a_word_is_what_bash_reads(word: str, text: str, value: str) -> None:
    assert quoted(word) == text
    done = subprocess.run(["bash", "-c", f"printf %s {text}"], env=ENV, capture_output=True, check=True, text=True)
    assert done.stdout == value


def test_a_variable_is_an_absolute_path_until_then() -> None:
    assert at_run_time("SCRATCH", path=True).startswith("/")
    assert not at_run_time("ID").startswith("/")


def test_the_words_of_a_script_are_all_it_was_given() -> None:
    line = command(("echo", "-n", *ARGUMENTS))
    assert line == 'echo -n "$@"'
    assert command((*ARGUMENTS, "x")) == '"$1" "${@:2}" x'
    argv = ["bash", "-c", 'printf "%s|" "$1" "${@:2}"', "x", "a b", "", "c"]
    assert subprocess.run(argv, capture_output=True, check=True, text=True).stdout == "a b||c|"


def test_a_long_line_is_broken_between_options() -> None:
    words = ["program", *(word for number in range(12) for word in ("--option", f"value{number}")), "end"]
    text = command(words, indent=4)
    assert text == (
        "program --option value0 --option value1 --option value2 --option value3 --option value4 \\\n"
        "        --option value5 --option value6 --option value7 --option value8 --option value9 --option value10 \\\n"
        "        --option value11 end"
    )


def test_the_variables_of_texts_are_found() -> None:
    texts = ("plain", at_run_time("B"), f"{at_run_time('A', path=True)}/{at_run_time('B')}", *ARGUMENTS)
    assert variables_in(texts) == ("B", "A")
