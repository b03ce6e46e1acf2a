"""Each wrong solution that a course knows of and that is seen in the learner's files gets the hint meant for it.

Those that are seen in images are in the walk (walking.py), where there are images.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from sealift.flows.learn import Place, solved_files
from sealift.flows.lessons.courses import open_course, write_exercise
from sealift.flows.lessons.desk import Desk
from sealift.flows.lessons.looking import look_at
from sealift.learn.course import Exercise, Mistake, Step
from sealift.learn.progress import Progress
from sealift.learn.vocabulary import KINDS

COURSE = open_course()
MISTAKES = [
    pytest.param(exercise, step, mistake, id=f"{exercise.short}-{step.id}-{number}")
    for exercise in COURSE.course.exercises
    for step in exercise.steps
    for number, mistake in enumerate(
        (each for check in step.checks if not KINDS[check.kind].image for each in check.mistakes), 1
    )
]


@pytest.mark.parametrize(("exercise", "step", "mistake"), MISTAKES)
def test_a_mistake_gets_its_hint(exercise: Exercise, step: Step, mistake: Mistake, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    write_exercise(COURSE, exercise, str(folder))
    place = Place(opened=COURSE, exercise=exercise, folder=str(folder), progress=Progress())
    for name, source in solved_files(place, step).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(Path(COURSE.folder, source).read_bytes())
    assert _hints(exercise, step, folder) == []
    path = folder / mistake.example.file
    right = path.read_text("utf-8")
    assert mistake.example.replace in right
    path.write_text(right.replace(mistake.example.replace, mistake.example.by), encoding="utf-8")
    assert mistake.hint in _hints(exercise, step, folder)


def _hints(exercise: Exercise, step: Step, folder: Path) -> list[str]:
    """The first line that helps, of each wrong check of files that knows of mistakes; others can ask for what only
    commands make, in the walk.
    """
    desk = Desk(folder=str(folder), environment={}, beside=lambda name: COURSE.read(exercise, name))
    found = zip(step.checks, look_at(step, desk, here=lambda _: False), strict=True)
    files = [one for check, one in found if check.mistakes and not KINDS[one.id].image]
    return [one.remedy.partition("\n")[0] for one in files if one.severity == "error"]
