"""Programs that are fed what is made on the way: what they say, and what a failure on either side leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealift.errors import HostError, ToolError
from sealift.system.process import feed


def test_what_is_written_reaches_the_program():
    done = feed(["sh", "-c", "cat; echo said >&2"], lambda file: file.write(b"in\n" * 100_000))
    assert (done.code, done.out, done.err) == (0, b"in\n" * 100_000, b"said\n")


def test_a_program_that_gives_up_early_says_why():
    with pytest.raises(ToolError) as caught:
        feed(["sh", "-c", "echo enough >&2; exit 3"], lambda file: file.write(bytes(10_000_000)))
    assert (caught.value.code, caught.value.tail) == (3, "enough")
    assert caught.value.message == "`sh -c 'echo enough >&2; exit 3'` ended with 3\nenough"


def test_a_writer_that_fails_ends_the_program(tmp_path: Path):
    def write(file):
        file.write(b"some\n")
        file.flush()
        while not (tmp_path / "pid").exists() or not (tmp_path / "pid").read_text().endswith("\n"):
            pass
        raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011 -- it says nothing
        feed(["sh", "-c", f"read line; echo $$ > {tmp_path}/pid; exec sleep 100"], write)
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


def test_a_program_to_feed_that_is_not_there():
    with pytest.raises(HostError) as caught:
        feed(["no-such-program"], lambda file: file.write(b""))
    assert caught.value.message == "`no-such-program` is not installed"
