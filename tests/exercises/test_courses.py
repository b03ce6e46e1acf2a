"""What every exercise promises before anything is run, and what docs/learning.md says of the form."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sealift.flows.lessons.courses import MARKER, open_course
from sealift.flows.lessons.looking import LOOKS
from sealift.learn.course import Exercise, Step
from sealift.learn.readme import read_readme
from sealift.learn.vocabulary import KINDS
from tests.docs.blocks import ROOT
from tests.exercises.walking import told_by
from tests.exercises.write_page import PAGE, rewritten

COURSE = open_course()
EXERCISES = COURSE.course.exercises
STEPS = [pytest.param(one, step, id=f"{one.short}-{step.id}") for one in EXERCISES for step in one.steps]


def test_the_course_is_the_folder_at_the_top_of_the_repository() -> None:
    top = ROOT / "exercises"
    assert Path(COURSE.folder).resolve() == top
    assert sorted(path.name for path in top.iterdir() if path.is_dir()) == sorted(one.name for one in EXERCISES)


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda one: one.short)
def test_solutions_are_those_of_its_steps(exercise: Exercise) -> None:
    folder = Path(COURSE.folder, exercise.name, "solution")
    assert {path.name for path in folder.iterdir()} <= {step.id for step in exercise.steps}
    assert MARKER not in COURSE.files(exercise)


@pytest.mark.parametrize(("exercise", "step"), STEPS)
def test_the_readme_promises_what_the_checker_says_at_first(exercise: Exercise, step: Step) -> None:
    """With the whole sentence of a check of this step that is wrong."""
    part = read_readme(COURSE.read(exercise, "README.md").decode()).steps[step.number - 1]
    promises = [
        told or ""
        for fence, told in told_by(part)
        if fence.before and fence.commands[-1].startswith("sealift learn check")
    ]
    lines = {line for promise in promises for line in promise.splitlines()}
    assert lines & {f"✗ {check.wants}" for check in step.checks}


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda one: one.short)
def test_the_readme_reads_well_as_it_is(exercise: Exercise) -> None:
    """No line is too long for a terminal, and each fence says what it is."""
    text = COURSE.read(exercise, "README.md").decode()
    outside = re.sub(r"(?ms)^```.*?^```$", "", text)
    assert [line for line in outside.splitlines() if len(line) > 120 and not line.startswith(("|", "<!--"))] == []
    fences = [fence for part in read_readme(text).parts for fence in part.fences]
    assert {fence.language for fence in fences} <= {"sh", "text", "def", "toml", "python"}
    assert [fence.reason for fence in fences if fence.reason and len(fence.reason) < 10] == []


def test_each_kind_has_its_look() -> None:
    assert list(LOOKS) == list(KINDS)


def test_the_documentation_has_the_whole_vocabulary() -> None:
    text = PAGE.read_text("utf-8")
    assert text == rewritten(text), "write it anew: python -m tests.exercises.write_page"
