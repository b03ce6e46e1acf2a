"""Laws that hold for every text."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from sealift.deffile.arguments import replace_placeholders
from sealift.deffile.as_apptainer import as_apptainer
from sealift.deffile.as_json import as_json
from sealift.deffile.characters import decode, encode, trim
from sealift.deffile.parse import read
from sealift.deffile.prepare import check
from sealift.deffile.source import source_of
from sealift.deffile.tokens import split_stages, split_tokens
from sealift.deffile.values import render
from sealift.errors import Span

PIECES = st.sampled_from(
    [
        *("\n", "\r\n", "\r", " ", "\t", "\u00a0", "\v", "\\", "\\\n", "#", "#!", ":", "=", "%", '"', "'", "{{", "}}"),
        *(
            "{{ A }}",
            "{{B}}",
            "A=1\n",
            "B={{ A }}\n",
            "x",
            "é",
            "\ufeff",
            "\udcff",
            "/a b\n",
            "K v\n",
            "EOF\n",
            "<<EOF\n",
        ),
        *("Bootstrap: docker\n", "From: a\n", "bootstrap:", "Stage: one\n", "Include: \\\n", "OtherURL1: x\n", "# c\n"),
        *(
            "%post\n",
            "%post -c bash\n",
            "%files\n",
            "%files from one\n",
            "%labels\n",
            "%arguments\n",
            "%help\n",
            "  %pre\n",
        ),
        *("%apprun x\n", "%appinstall x\n", "%AppEnv x\n", "%apprun\n", "%runscript\n", "#!/bin/sh\n", "%wheel ALL\n"),
    ]
)
TEXTS = st.lists(PIECES, max_size=40).map("".join) | st.binary(max_size=200).map(decode)


@given(TEXTS)
def test_nothing_is_lost(text: str) -> None:
    assert render(read(text).definition) == text
    assert decode(encode(text)) == text


@given(TEXTS)
def test_tokens_are_the_text(text: str) -> None:
    source = source_of(text, "x.def")
    parts = list(split_stages(source))
    assert "".join(part.text for part in parts) == text
    for part in parts:
        tokens = split_tokens(part.text)
        assert "".join(part.text[token.start : token.end] for token in tokens) == part.text


@given(TEXTS)
def test_every_place_is_in_the_file(text: str) -> None:
    lines = text.split("\n")

    def check(span: Span | None) -> None:
        if span is not None:
            assert 1 <= span.line <= len(lines)
            assert 1 <= span.column <= len(lines[span.line - 1]) + 1
            assert span.length >= 1

    reading = read(text)
    for where in (*(one.where for one in reading.faults), *(one.where for one in reading.cautions)):
        check(where)
    for stage in reading.definition.blocks:
        check(stage.span)
        for span in (*(one.span for one in stage.fields), *(one.span for one in stage.sections)):
            check(span)
        for script in stage.scripts.values():
            assert len(script.lines) == script.text.count("\n") + (not script.text.endswith("\n") and bool(script.text))
            assert all(1 <= line <= len(lines) for line in script.lines)


@given(TEXTS)
def test_the_other_forms_take_every_text(text: str) -> None:
    answer = as_apptainer(encode(text))
    assert ("crash" in answer) or answer["allOK"] == ("allError" not in answer)
    checked = check(encode(text), file="x.def")
    answer = as_json(checked)
    assert answer["valid"] == (not checked.faults)
    assert bool(read(text).faults) <= bool(checked.faults)
    json.dumps(answer, ensure_ascii=False).encode()


@given(TEXTS, st.dictionaries(st.sampled_from("AB"), st.sampled_from(["", "1", "{{ B }}", "\n", "%post\n"])))
def test_filled_text_knows_where_it_comes_from(text: str, values: dict[str, str]) -> None:
    source = source_of(text, "x.def")
    filled = replace_placeholders(source, values, {}).source
    for offset, character in enumerate(filled.text):
        origin = filled.origin(offset)
        assert 0 <= origin < len(text)
        row = next(one for one in filled.segments if one.start <= offset < one.end)
        if row.is_copy:
            assert text[origin] == character
        else:
            assert text[row.origin_start : row.origin_start + 2] == "{{"
            assert origin == row.origin_start


@given(TEXTS)
def test_without_placeholders_filling_changes_nothing(text: str) -> None:
    bare = text.replace("{{", "")
    assert replace_placeholders(source_of(bare, ""), {}, {}).source.text == bare


@given(st.text())
def test_trimming_twice_is_trimming_once(text: str) -> None:
    assert trim(trim(text)) == trim(text)
