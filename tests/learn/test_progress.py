"""Progress is read back as it was written, and doubted where it was not."""

from __future__ import annotations

import pytest

from sealift.learn.progress import Progress, Record, read_record, write_record

FULL = Record(
    exercises={
        "a/ex01-x": Progress(folder="/home/é\udcff", done=("one",), hints={"two": 2, "one": 1}, solutions=("two",)),
        "a/ex02-y": Progress(folder="/y", course="/course", done=("p", "q"), finished=True),
    },
    current="a/ex02-y",
)


@pytest.mark.parametrize("record", [Record(), FULL], ids=["empty", "full"])
def test_what_is_written_is_read(record):
    assert read_record(write_record(record)) == record


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b'{"schema": 2, "current": "", "exercises": {}}',
        b'{"schema": 1}',
        b'{"schema": 1, "current": "", "exercises": []}',
        b'{"schema": 1, "current": "", "exercises": {"a/b": {"folder": "/x"}}}',
        b'{"schema": 1, "current": "", "exercises": {"a/b": 3}}',
        write_record(FULL)[:-40],
        write_record(FULL).replace(b'"done": [', b'"done": 7, "x": ['),
    ],
)
def test_anything_else_is_refused(data):
    with pytest.raises(ValueError, match=r".+"):
        read_record(data)


def test_hints_and_solutions_only_grow():
    progress = Progress().with_hint("a", 2).with_hint("a", 1).with_solution("a").with_solution("a")
    assert (progress.hints, progress.solutions) == ({"a": 2}, ("a",))
