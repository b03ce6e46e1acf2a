"""What runs in a learner's image is shut off from the learner, on either engine; and what it says is judged."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sealift.flows.build import build
from sealift.flows.lessons.desk import Desk
from sealift.flows.lessons.programs import command_words, run_in_image
from sealift.flows.requests import BuildRequest
from sealift.learn.course import Check
from tests.ground import layouts

RECIPE = """\
Bootstrap: oci
From: base

%environment
    export WORD=hello

%runscript
    echo "$WORD $*"

%test
    grep -q right /opt/answer 2>/dev/null
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, shell_tar: bytes) -> Desk:
    top = tmp_path_factory.mktemp("programs")
    layouts.write_layout(top / "base", [shell_tar])
    (top / "app.def").write_text(RECIPE)
    (top / "answer").write_text("right\n")
    (top / "home").mkdir()
    (top / "home" / "secret").write_text("mine")
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(top / "home"),
        "SEALIFT_CACHE_DIR": str(top / "cache"),
        "SECRET": "mine",
    }
    before = os.getcwd()
    os.chdir(top)
    try:
        build(BuildRequest(target="app.sif", spec="app.def", environment=environment, no_test=True))
    finally:
        os.chdir(before)
    return Desk(folder=str(top), environment=environment, beside=lambda name: b"", engine="embedded")


def check(**fields: object) -> Check:
    return Check(kind="run", wants="so", fields={"image": "app.sif", "action": "exec", **fields})


@pytest.mark.slow
@pytest.mark.needs("root", "squashfuse")
@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"action": "run", "command": ("you",), "equals": "hello you"}, ""),
        ({"action": "run", "env": ("WORD=good day",), "equals": "good day"}, ""),
        ({"action": "run", "equals": "bye"}, "it printed:\nhello"),
        ({"action": "run", "contains": "^bye"}, "it printed:\nhello"),
        ({"action": "run", "lacks": "hell"}, "it printed:\nhello"),
        ({"command": ("true",), "contains": "x"}, "it printed nothing"),
        ({"command": ("sh", "-c", "echo no >&2; exit 3")}, "it ended with 3\nno"),
        ({"command": ("sh", "-c", "exit 3"), "code": 3}, ""),
        ({"command": ("sh", "-c", "exit 3"), "fails": True}, ""),
        ({"command": ("true",), "fails": True}, "it ended with 0, as if all were well"),
        ({"command": ("sleep", "30"), "seconds": 1}, "it did not end"),
        ({"action": "test"}, "it ended with 2"),
        ({"action": "test", "binds": ("answer:/opt/answer",)}, ""),
        # Nothing of the learner's is seen or changed but what is bound.
        ({"command": ("sh", "-c", 'echo "${SECRET:-none}"'), "equals": "none"}, ""),
        ({"command": ("sh", "-c", 'cat "$HOME/secret" answer'), "fails": True}, ""),
        ({"command": ("sh", "-c", "echo > /opt/answer"), "binds": ("answer:/opt/answer",), "fails": True}, ""),
    ],
)
def test_what_runs(made: Desk, fields: dict[str, object], wanted: str) -> None:
    seen = run_in_image(check(**fields), made)
    assert (seen.right, seen.seen) == (not wanted, wanted)
    assert Path(made.path("answer")).read_text() == "right\n"


@pytest.mark.slow
@pytest.mark.needs("root", "squashfuse")
def test_the_line_to_type_is_said_without_what_shuts_it_off(made: Desk) -> None:
    fields = {"command": ("a b",), "binds": ("answer:/opt/answer",), "env": ("WORD=good day",)}
    seen = run_in_image(check(action="run", code=9, **fields), made)
    # Apptainer binds by whole paths alone.
    line = """sealift run -B "$PWD/answer:/opt/answer" --env 'WORD=good day' app.sif 'a b'"""
    assert seen.remedy == (f"see it yourself: {line}",)


def test_binds_can_be_of_this_host_s_processor() -> None:
    desk = Desk(folder="/here", environment={}, beside=lambda name: b"", engine="embedded")
    words = command_words(check(command=("true",), binds=("libraries/{machine}/a.so:/opt/a.so",)), desk)
    assert words[words.index("-B") + 1] == f"/here/libraries/{os.uname().machine}/a.so:/opt/a.so:ro"
