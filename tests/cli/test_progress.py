"""What a command draws of its events."""

from __future__ import annotations

import pytest

from sealift.cli.progress import KEPT_LINES, drawn
from sealift.core.event import Began, Ended, Said
from sealift.errors import SealiftError, SectionError, TestFailed


@pytest.mark.parametrize(
    "error",
    [SectionError("`%post` failed", section="post", code=1), TestFailed("`%test` said no")],
    ids=["post", "test"],
)
def test_with_quiet_the_last_lines_of_a_script_that_fails_are_shown(
    error: SealiftError, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(type(error)), drawn(quiet=True) as events:
        events(Began(task="%setup", label="%setup"))
        events(Said(text="of another script", level="output"))
        events(Ended(task="%setup"))
        events(Began(task="%post", label="%post"))
        for number in range(50):
            events(Said(text=f"line {number}", level="output"))
        raise error
    assert capsys.readouterr().err == "".join(f"line {number}\n" for number in range(50 - KEPT_LINES, 50))


def test_with_quiet_nothing_else_is_shown_but_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    with drawn(quiet=True) as events:
        events(Began(task="%post", label="%post"))
        events(Said(text="a line", level="output"))
        events(Said(text="all is well", level="info"))
        events(Said(text="take care", level="warning", hint="look"))
        events(Ended(task="%post"))
    assert capsys.readouterr().err == "warning: take care\nhint: look\n"
