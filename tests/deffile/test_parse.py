"""What a reading holds beside the meaning: places, raw text, and faults in the order of the file."""

from __future__ import annotations

import pytest

from sealift.deffile.parse import parse, read
from sealift.deffile.values import App, Definition, Field, FileCopy, FileGroup, Script, Section, Stage, render
from sealift.deffile.whole_image import text_of_reference
from sealift.errors import DefinitionError, Span

TEXT = """# lead

Bootstrap: docker
From: a \\
   :1

%post -c bash
  b

%files
 a "b c" # x
%labels
 K v
%apprun x y
 1
%post
 c
"""


def span(line: int, column: int, length: int, text: str) -> Span:
    return Span(file="x.def", line=line, column=column, length=length, text=text)


def test_a_whole_value() -> None:
    post, more = span(7, 1, 13, "%post -c bash"), span(16, 1, 5, "%post")
    files, labels, app = span(10, 1, 6, "%files"), span(12, 1, 7, "%labels"), span(14, 1, 11, "%apprun x y")
    first = Field(key="bootstrap", value="docker", span=span(3, 1, 17, "Bootstrap: docker"))
    second = Field(key="from", value="a :1", span=span(4, 1, 9, "From: a \\"))
    assert parse(TEXT.encode(), file="x.def") == Definition(
        file="x.def",
        blocks=(
            Stage(head="# lead\n\n", fields=(), sections=(), span=span(1, 1, 6, "# lead")),
            Stage(
                head="Bootstrap: docker\nFrom: a \\\n   :1\n\n",
                fields=(first, second),
                header={"bootstrap": "docker", "from": "a :1"},
                sections=(
                    Section(name="post", heading="%post -c bash\n", body="  b\n\n", span=post, arguments="-c bash"),
                    Section(name="files", heading="%files\n", body=' a "b c" # x\n', span=files),
                    Section(name="labels", heading="%labels\n", body=" K v\n", span=labels),
                    Section(name="apprun", heading="%apprun x y\n", body=" 1\n", span=app, arguments="x y", app="x"),
                    Section(name="post", heading="%post\n", body=" c\n", span=more),
                ),
                span=span(3, 1, 17, "Bootstrap: docker"),
                scripts={
                    "post": Script(
                        name="post",
                        arguments="-c bash",
                        text="  b\n\n c\n",
                        spans=(post, more),
                        lines=(8, 9, 17),
                    )
                },
                files=(
                    FileGroup(
                        arguments="",
                        copies=(FileCopy(source="a", destination="b c", span=span(11, 2, 11, ' a "b c" # x')),),
                        span=files,
                    ),
                ),
                labels={"K": "v"},
                apps=(App(name="x", sections={"apprun": " 1\n"}, spans={"apprun": app}),),
            ),
        ),
    )


def test_looking_things_up() -> None:
    definition = parse(b"Bootstrap: a\nStage: x\nStage: y\n\nBootstrap: b\nStage: y\n%files from y\n/a\n")
    first, second = definition.stages
    assert (first.name, first.bootstrap, first.source, first.script("post").text) == ("y", "a", "", "")
    assert first.field("stage") == first.fields[2]
    assert first.field("from") is None
    assert definition.find_stage("y") == 0
    assert definition.find_stage("x") is None
    assert second.files[0].from_stage == "y"


@pytest.mark.parametrize(
    ("arguments", "words", "stage", "host", "ignored"),
    [
        ("", None, None, True, False),
        ("# c", None, None, True, False),
        (" ", (), None, False, True),
        (" # c", (), None, False, True),
        ("from x", ("from", "x"), "x", False, False),
        ("  From\tx # c", ("From", "x"), "x", False, False),
        ("-x", ("-x",), None, False, True),
        ("from x y", ("from", "x", "y"), None, False, True),
    ],
)
def test_arguments_of_files(
    arguments: str, words: tuple[str, ...] | None, stage: str | None, host: bool, ignored: bool
) -> None:
    definition = parse(f"Bootstrap: a\n%files {arguments}\n/a\n".encode())
    group = definition.stages[0].files[0]
    assert (group.words, group.from_stage, group.from_host, group.is_ignored) == (words, stage, host, ignored)


def test_all_faults_at_once_in_the_order_of_the_file() -> None:
    with pytest.raises(DefinitionError) as caught:
        parse(b"Bootstrap: a\nFrom a\n%b\n%apprun\n\nBootstrap: a\n%c\n")
    found = (caught.value, *caught.value.others)
    assert [(one.message, one.where.line if one.where else 0) for one in found] == [
        ("header line `From a` has no colon", 2),
        ("unknown section `%b`", 3),
        ("`%apprun` names no app", 4),
        ("unknown section `%c`", 7),
    ]


def test_nothing_is_lost_where_the_file_is_wrong() -> None:
    text = "x\n%y\r\n \n %z\nBootstrap\n%"
    reading = read(text)
    assert reading.faults
    assert render(reading.definition) == text


def test_the_terminal_is_not_steered() -> None:
    with pytest.raises(DefinitionError) as caught:
        parse(b"Bootstrap: a\n%\x1b[31mx\x9b\xc2\x9b\n")
    assert caught.value.message == "unknown section `%␛[31mx\ufffd\ufffd`"
    assert caught.value.where is not None
    assert caught.value.where.text == "%␛[31mx\ufffd\ufffd"


def test_a_reference_as_a_definition() -> None:
    stage = parse(text_of_reference("docker", "ubuntu:24.04").encode()).stages[0]
    assert stage.header == {"bootstrap": "docker", "from": "ubuntu:24.04"}
