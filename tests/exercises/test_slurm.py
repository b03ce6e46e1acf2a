"""What the exercise on MPI says of Slurm, on a real one of three nodes."""

from __future__ import annotations

import json
import shutil
import zipfile
from pathlib import Path

import pytest

from sealift.flows.lessons.courses import open_course
from sealift.learn.readme import read_readme
from tests.exercises import ground, wheels
from tests.exercises.walking import Run, alike, told_by
from tests.ground import services
from tests.ground.slurm import Slurm
from tests.ground.users import AsUser

COURSE = open_course()
NAME = "ex03-mpi-container"
README = read_readme((Path(COURSE.folder) / NAME / "README.md").read_text("utf-8"))
SOLUTIONS = Path(COURSE.folder) / NAME / "solution"


@pytest.fixture
def learner(
    slurm: Slurm,
    debian_tree: Path,
    registry: services.Registry,
    course_wheels: str,
    open_folder: Path,
    as_user: AsUser,
) -> Run:
    """`learner("sbatch --wait job.sbatch")`: exit code and both streams, in the folder where all but Slurm is done."""
    made = ground.make(debian_tree, registry, open_folder / "ground", apptainer=False, wheels=course_wheels)
    here = as_user.folder()
    env = {
        **slurm.environment,
        "CONTAINERS_REGISTRIES_CONF": str(made.conf),
        "XDG_STATE_HOME": str(here / "state"),
    }

    def run(command: str) -> tuple[int, str]:
        folder = here / NAME if (here / NAME).exists() else here
        done = as_user(["sh", "-c", f"exec 2>&1\n{command}"], cwd=folder, env=env, timeout=300)
        return done.returncode, done.stdout.decode()

    assert run("sealift learn start ex03")[0] == 0
    for step in ("image", "abi"):
        lay(step, here / NAME)
    for command in ("sealift build base.sif base.def", "sealift build mpi.sif mpi.def"):
        code, said = run(command)
        assert code == 0, said
    return run


def lay(step: str, folder: Path) -> None:
    for path in (SOLUTIONS / step).iterdir():
        shutil.copyfile(path, folder / path.name)


def findings(said: str) -> dict[str, str]:
    """What is wanted, and how it is."""
    return {one["what"]: one["severity"] for one in json.loads(said)["steps"][0]["findings"]}


@pytest.mark.slow
@pytest.mark.needs(
    "root", "slurm", "registry", "skopeo", "mmdebstrap", "mirror", "squashfuse", "subuid-user", "apptainer"
)
def test_its_jobs_on_three_nodes(learner: Run, as_user: AsUser) -> None:
    folder = as_user.folder() / NAME
    wanted = "`job.out` has what four ranks of a job said, one world of them: sbatch --wait job.sbatch"

    # As it begins: four worlds, no error, and the checker does not take it.
    assert learner("sbatch --wait job.sbatch")[0] == 0
    assert (folder / "job.out").read_text().count("by 1 ranks with MPICH 3.4.3") == 4
    assert findings(learner("sealift learn check --json slurm")[1])[wanted] == "error"

    # With the program of step 2 it is an error.
    lay("singletons", folder)
    assert learner("sbatch --wait job.sbatch")[0] == 1
    assert "4 tasks were started, and this one sees a world of 1" in (folder / "job.out").read_text()
    assert findings(learner("sealift learn check --json slurm")[1])[wanted] == "error"

    lay("slurm", folder)
    told = next(text for fence, text in told_by(README.steps[3]) if fence.commands[0] == "sbatch --wait job.sbatch")
    code, said = learner("sbatch --wait job.sbatch && cat job.out")
    assert code == 0, said
    assert told is not None
    assert alike(told, said.partition("\n")[2]), said
    assert set(findings(learner("sealift learn check --json slurm")[1]).values()) <= {"ok", "note"}

    # The script that Sealift writes does the same.
    lay("job", folder)
    code, said = learner("sh make-job.sh && sbatch --wait ours.sbatch && cat mpi-*.out")
    assert (code, said.count("of 4 on"), "by 4 ranks with MPICH 3.4.3" in said) == (0, 4, True), said

    # A host's own MPICH takes the place of the image's, since mpi4py and all others ask for it by its name.
    host = as_user.folder() / "host"
    with zipfile.ZipFile(next(wheels.kept().glob("mpich-4.*.whl"))) as wheel:
        wheel.extractall(host)
    as_user.give(host)
    library = next(host.rglob("libmpi.so.12"))
    check = "salloc --quiet --nodes=2 sealift mpi check mpi.sif --mpi-model bind --tasks-per-node 1 --json"
    code, said = learner(f"LD_LIBRARY_PATH={library.parent} {check} 2>/dev/null")
    assert code == 0, said
    ranks = [(one["version"], one["library"], one["size"]) for one in json.loads(said)["said"]["ranks"]]
    assert ranks == [("MPICH 4.3.2", "/opt/sealift-host-mpi/libmpi.so.12", 2)] * 2
