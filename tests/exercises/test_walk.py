"""Every exercise is done as its README says: by Sealift alone, and with Apptainer."""

from __future__ import annotations

from pathlib import Path

import pytest

from sealift.flows.lessons.courses import open_course
from tests.exercises import ground
from tests.exercises.walking import Walk
from tests.ground import services, users

COURSE = open_course()
NEEDS = ("root", "registry", "skopeo", "mmdebstrap", "mirror", "squashfuse", "subuid-user")


WALKS = [
    *((one.name, "embedded") for one in COURSE.course.exercises),
    # What ex04 types in containers, ex03 has typed.
    *(
        pytest.param(one.name, "apptainer", marks=pytest.mark.needs("apptainer"))
        for one in COURSE.course.exercises
        if one.short != "ex04"
    ),
]

UNTIL = {("ex02-gpu-in-container", "apptainer"): "jax"}
"""What follows there are images of some hundred megabytes, and commands that were typed before."""


@pytest.mark.slow
@pytest.mark.parametrize(("name", "engine"), WALKS)
@pytest.mark.needs(*NEEDS)
def test_an_exercise_from_beginning_to_end(
    name: str,
    engine: str,
    debian_tree: Path,
    registry: services.Registry,
    course_wheels: str,
    session_folder: Path,
    open_folder: Path,
    as_user: users.AsUser,
) -> None:
    """Both share a cache: the second need not build what the first did."""
    exercise = COURSE.course.find(name)
    assert exercise is not None
    with_apptainer = engine == "apptainer"
    made = ground.make(debian_tree, registry, open_folder / "ground", apptainer=with_apptainer, wheels=course_wheels)
    here = as_user.folder()
    cache = session_folder / "exercises-cache"
    if not cache.exists():
        cache.mkdir()
        as_user.give(cache)
    env = {
        "SEALIFT_CACHE_DIR": str(cache),
        "CONTAINERS_REGISTRIES_CONF": str(made.conf),
        "XDG_STATE_HOME": str(here / "state"),
        "XDG_CONFIG_HOME": str(here / "config"),
        "APPTAINER_CACHEDIR": str(here / "apptainer-cache"),
        "PYTHONUNBUFFERED": "1",
    }
    if not with_apptainer:
        env["PATH"] = str(_without_apptainer(as_user, here))

    def run(command: str) -> tuple[int, str]:
        folder = here / name if (here / name).exists() else here
        done = as_user(["sh", "-c", f"exec 2>&1\n{command}"], cwd=folder, env=env)
        return done.returncode, done.stdout.decode()

    code, said = run(f"sealift learn start {exercise.short}")
    assert code == 0, said
    Walk(opened=COURSE, exercise=exercise, ground=made, folder=here / name, run=run).go(UNTIL.get((name, engine), ""))


def _without_apptainer(as_user: users.AsUser, here: Path) -> str:
    """A PATH on which neither Apptainer nor Singularity is."""
    folder = here / "bin"
    folder.mkdir()
    for place in reversed(as_user.environment()["PATH"].split(":")):
        for path in Path(place).iterdir() if Path(place).is_dir() else ():
            link = folder / path.name
            link.unlink(missing_ok=True)
            if path.name not in ("apptainer", "singularity"):
                link.symlink_to(path)
    return str(folder)
