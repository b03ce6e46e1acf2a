from __future__ import annotations

import pytest

from sealift.deffile.arguments import BuildArguments, read_build_arguments
from sealift.deffile.prepare import Prepared, prepare
from sealift.errors import DefinitionError, UsageError

from .shown import shown_error

HEAD = "Bootstrap: docker\nFrom: a\n"


def filled(text: str, **given: str) -> Prepared:
    return prepare(text.encode(), file="x.def", given=BuildArguments(values=given))


@pytest.mark.parametrize(
    ("text", "given", "post"),
    [
        ("%arguments\nA=1\n%post\n{{A}} {{ A }} {{\n\tA\n}}\n", {}, "1 1 1\n"),
        ("%arguments\n A = x=y \n%post\n{{ A }}|\n", {}, "x=y|\n"),
        ("%arguments\nA=1\n%post\n{{ A }}\n", {"A": "2"}, "2\n"),
        ("%post\n{{ A }}\n", {"A": ""}, "\n"),
        ('%arguments\nA="q"\nB=\n%post\n{{ A }}{{ B }}|\n', {}, '"q"|\n'),
        # one level of nesting, also through the command line
        ("%arguments\nA={{ B }}-{{ B }}\nB={{ C }}\nC=1\n%post\n{{ A }}\n", {}, "{{ C }}-{{ C }}\n"),
        ("%arguments\nA={{ B }}\nB=1\n%post\n{{ A }}\n", {"B": "2"}, "2\n"),
        ("%post\n{{ A }}\n", {"A": "{{ X }}"}, "{{ X }}\n"),
        # what is no placeholder
        (
            "%post\n{{ a-b }} {{ .X }} {{ a.b }} {{}} {{ }} { { A } }\n",
            {},
            "{{ a-b }} {{ .X }} {{ a.b }} {{}} {{ }} { { A } }\n",
        ),
        # a `#` before it
        ("%arguments\nA=1\n%post\n # {{ X }}\n a # {{ X }}\n#!/x/{{ A }}\n", {}, " # {{ X }}\n a # {{ X }}\n#!/x/1\n"),
        ('%arguments\nA=1\n%post\n"#a" {{ A }}\n${#x} {{ A }}\n{{ A }}\n', {}, '"#a" {{ A }}\n${#x} {{ A }}\n1\n'),
        ("%arguments\nA=1\n%post\n#{{ A }}\n{{ A }} # {{ A }} {{ A }}\n", {}, "#1\n1 # {{ A }} {{ A }}\n"),
        ("%arguments\nA=#\n%post\n# {{ A }}\n{{ A }} x {{ A }}\n", {}, "# {{ A }}\n# x #\n"),
    ],
)
def test_placeholders(text: str, given: dict[str, str], post: str) -> None:
    assert filled(HEAD + text, **given).definition.stages[0].script("post").text == post


def test_a_whole_file_with_two_stages() -> None:
    text = (
        "# lost\nBootstrap: docker\nFrom: a:{{ V }}\nStage: one\n%arguments\nV=1\n%post -c {{ S }}\n {{ V }}\n"
        "Bootstrap: docker\nFrom: a:{{ V }}\n%arguments\nV=3\n%files from one\n/{{ V }} /b\n"
    )
    prepared = filled(text, S="bash")
    assert prepared.text == (
        "Bootstrap: docker\nFrom: a:1\nStage: one\n%arguments\nV=1\n%post -c bash\n 1\n"
        "Bootstrap: docker\nFrom: a:3\n%arguments\nV=3\n%files from one\n/3 /b\n"
    )
    assert prepared.consumed == {"V", "S"}
    assert [stage.source for stage in prepared.definition.stages] == ["a:1", "a:3"]
    assert prepared.definition.stages[0].script("post").arguments == "-c bash"
    assert prepared.definition.stages[1].files[0].copies[0].source == "/3"


def test_a_fault_behind_a_placeholder_stands_where_it_was_written() -> None:
    with pytest.raises(DefinitionError) as caught:
        filled(HEAD + "%arguments\nLONG=abc\n%post\ntrue\n%files from {{ LONG }}{{ LONG }}\n a b\n")
    assert shown_error(caught.value) == (
        "error: stage `abcabc` was not found\n"
        " --> x.def:7:1\n"
        "7 | %files from {{ LONG }}{{ LONG }}\n"
        "  | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n"
        "hint: name the earlier stage: Stage: abcabc\n"
    )


@pytest.mark.parametrize("value", ["%oops", "%123456", "%o o\nb", "a\n%b", " %c"])
def test_a_heading_that_a_value_makes(value: str) -> None:
    with pytest.raises(DefinitionError) as caught:
        filled(HEAD + "%post\n{{ A }}\n true\n", A=value)
    where = caught.value.where
    assert where is not None
    assert (where.line, where.column, where.length, where.text) == (4, 1, 7, "{{ A }}")
    assert caught.value.others == ()


def test_places_behind_a_placeholder_are_the_files() -> None:
    text = HEAD + "%arguments\nA=1\nLONG=abc\ndef\n%files\n {{ LONG }} x {{\nA\n}} 'y\n%labels\n K {{ LONG }}\n"
    stage = filled(text).definition.stages[0]
    assert [(one.source, one.span.line, one.span.column, one.span.length) for one in stage.files[0].copies] == [
        ("abc", 8, 2, 15),
    ]
    assert stage.sections[-1].span.line == 11


def test_lines_of_a_script_are_those_of_the_file() -> None:
    text = HEAD + "%arguments\nA=1\n%post\na {{\nA\n}}\nb\n%runscript\nx\n%post\nc\n"
    script = filled(text).definition.stages[0].script("post")
    assert (script.text, script.lines) == ("a 1\nb\nc\n", (6, 9, 13))


def test_a_value_may_bring_a_heading() -> None:
    prepared = filled(HEAD + "%help\n h\n{{ MORE }}\n", MORE="%post\n true")
    assert prepared.definition.stages[0].script("post").text == " true\n"


def test_a_value_brings_no_stage() -> None:
    prepared = filled(HEAD + "%help\n h\n{{ MORE }}\n", MORE="Bootstrap: x")
    assert len(prepared.definition.stages) == 1


def test_unused_arguments() -> None:
    with pytest.raises(DefinitionError) as caught:
        filled(HEAD + "%arguments\nVERSION=1\n%post\n{{ VERSION }}\n", VERSON="2")
    assert shown_error(caught.value) == (
        "error: build argument `VERSON` is used nowhere in x.def\n"
        "hint: did you mean `VERSION`?\n"
        "hint: leave it out, or: --warn-unused-build-args\n"
    )
    with pytest.raises(DefinitionError) as caught:
        filled(HEAD + "%post\n# {{ A }}\n", A="1", B="2")
    assert caught.value.message == "build arguments `A`, `B` are used nowhere in x.def"
    allowed = prepare(HEAD.encode(), given=BuildArguments(values={"A": "1"}), allow_unused=True)
    assert allowed.consumed == frozenset()


def test_arguments_from_a_file_and_the_command_line() -> None:
    file = b"A=1\r\n# no\n B = 2 \nnothing\n=3\nC=\xff\n\nA=0\n"
    found = read_build_arguments(("B=x=y", " D = "), file=file)
    assert found == BuildArguments(values={"A": "0", "B": "x=y", "C": "\udcff", "D": ""}, skipped=("nothing", "=3"))


@pytest.mark.parametrize(
    ("text", "hint"),
    [("A", "write: --build-arg A=VALUE"), ("=1", "write: --build-arg 1=VALUE"), ("", "write: --build-arg NAME=VALUE")],
)
def test_a_wrong_argument(text: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_build_arguments((text,))
    assert caught.value.message == f"build argument `{text}` is not of the form `key=value`"
    assert caught.value.hints == (hint,)
