"""Jobs on a real Slurm of three nodes: generated, sent and run as an ordinary user, with real images and engines."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.ground import users
from tests.ground.slurm import Slurm
from tests.ground.tiny import PROGRAMS, make_tiny_root

pytestmark = [pytest.mark.slow, pytest.mark.needs("root", "slurm", "squashfuse", "subuid-user")]
ENGINES = ("embedded", pytest.param("apptainer", marks=pytest.mark.needs("apptainer")))
RANKS_PROGRAM = Path(__file__).parents[2] / "src/sealift/data/mpi/ranks.py"
TORCHRUN = '#!/bin/sh\nprintf "%s\\n" "$@" >"torchrun-$SLURM_PROCID"\n'
ENVIRONMENT = "export GREETING='hello there'\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """`here` is the user's working folder, where the image lies as app.sif."""

    here: Path
    user: users.AsUser
    slurm: Slurm
    more: Mapping[str, str]

    def __call__(self, *argv: str | Path) -> subprocess.CompletedProcess[bytes]:
        return self.user(argv, cwd=self.here, env={**self.slurm.environment, **self.more})

    def job(self, *words: str) -> subprocess.CompletedProcess[bytes]:
        return self("sealift", "job", "app.sif", "--site", "slurm", *words)

    def submitted(self, *words: str) -> str:
        """The number of a job that was sent."""
        flags, command = words[: words.index("--")], words[words.index("--") :]
        done = self.job(*flags, "--submit", *command)
        assert done.returncode == 0, done.stderr
        return done.stdout.decode().strip()

    def read(self, pattern: str) -> dict[str, str]:
        """The texts of the files that ranks wrote, by name."""
        return {path.name: path.read_text() for path in sorted(self.here.glob(pattern))}

    def processes(self) -> list[str]:
        return [line for _, line in users._processes_of(users.get("subuid").uid)]


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An image with a shell, a few programs, and what stands in for PyTorch's launcher."""
    folder = tmp_path_factory.mktemp("app")
    root = make_tiny_root(folder / "root", (*PROGRAMS, "sleep", "date"))
    (root / "usr/bin/torchrun").write_text(TORCHRUN)
    (root / "usr/bin/torchrun").chmod(0o755)
    recipe = folder / "app.def"
    recipe.write_text(
        f"Bootstrap: localimage\nFrom: {root}\n%environment\n    {ENVIRONMENT}"
        '%runscript\n    echo ran "$@" >ran-$SLURM_PROCID\n'
    )
    subprocess.run(
        [sys.executable, "-m", "sealift", "build", "-q", folder / "app.sif", recipe],
        check=True,
        env={**os.environ, "SEALIFT_CACHE_DIR": str(folder / "cache")},
    )
    return folder / "app.sif"


@pytest.fixture
def site(slurm: Slurm, as_user: users.AsUser, app: Path) -> Site:
    here = as_user.folder() / "here"
    here.mkdir()
    shutil.copy(app, here / "app.sif")
    as_user.give(here)
    return Site(here=here, user=as_user, slurm=slurm, more={})


ALL = "while [ $(ls rank-* | wc -l) != {} ]; do sleep 0.1; done"
# The signal reaches `sleep`, too, and may do so first.
STAYS = "while :; do sleep 600 & wait; done"
SAYS = (
    'printf "%s|" "$SLURM_NODEID" "$GREETING" "$PYTHONNOUSERSITE" "${SECRET-none}" "$MINE" "$PWD" >"rank-$SLURM_PROCID"'
)


@pytest.mark.parametrize("engine", ENGINES)
def test_ranks_run_in_the_image_with_what_belongs_there(site: Site, engine: str) -> None:
    (site.here / "in").mkdir()
    (site.here / "in/file").write_text("data\n")
    done = Site(here=site.here, user=site.user, slurm=site.slurm, more={"SECRET": "of the host"}).job(
        *("--engine", engine, "--nodes", "2", "--tasks-per-node", "2", "--submit", "--wait"),
        *("-B", "in:/data/in:ro", "-B", "$HOME:/outside", "--env", "MINE=job $SLURM_JOB_ID, and more"),
        *("--", "sh", "-c", f"{SAYS}; cat /data/in/file >>rank-$SLURM_PROCID; ! touch /data/in/x"),
    )
    number = done.stdout.decode().strip()
    assert done.returncode == 0, done.stderr
    says = f"hello there|1|none|job {number}, and more|{site.here}|data\n"
    expected = {f"rank-{rank}": f"{rank // 2}|{says}" for rank in range(4)}
    assert site.read("rank-*") == expected
    assert list((site.here / "in").iterdir()) == [site.here / "in/file"]
    assert site.processes() == []


@pytest.mark.parametrize("engine", ENGINES)
def test_when_one_rank_fails_the_others_end_and_its_code_is_the_jobs(site: Site, engine: str) -> None:
    ends = f"[ $SLURM_PROCID != 4 ] || {{ {ALL.format(6)}; exit 7; }}"
    done = site.job(
        *("--engine", engine, "--nodes", "3", "--tasks-per-node", "2", "--submit", "--wait"),
        *("--", "sh", "-c", f"echo >rank-$SLURM_PROCID; {ends}; sleep 600 && echo >late"),
    )
    assert done.returncode == 7, done.stderr
    assert len(site.read("rank-*")) == 6
    assert site.read("late") == {}
    assert site.processes() == []
    # What Slurm itself says of it, and what we make of that
    number = done.stdout.decode().strip()
    shown = site.slurm.shown(number)
    assert (shown["JobState"], shown["ExitCode"]) == ("FAILED", "7:0")
    told = json.loads(site("sealift", "job", "status", number, "--json").stdout)
    assert [(each["id"], each["state"], each["code"], each["nodes"]) for each in told] == [
        (number, "FAILED", 7, "nid[001-003]")
    ]
    assert told[0]["output"] == str(site.here / f"app-{number}.out")


@pytest.mark.parametrize("engine", ENGINES)
def test_it_does_not_matter_what_a_job_was_sent_with(site: Site, engine: str) -> None:
    """No variables, and a PATH without administrators' programs."""
    text = site.job("--engine", engine, "--nodes", "2", "--", "sh", "-c", 'echo "$HOME" >rank-$SLURM_PROCID')
    (site.here / "job.sbatch").write_bytes(text.stdout)
    number = site("sbatch", "--parsable", "--export=NONE", site.here / "job.sbatch").stdout.decode().strip()
    assert site.slurm.wait(number) == "COMPLETED", site.read("app-*.out")
    home = site.user.environment()["HOME"]
    assert site.read("rank-*") == {f"rank-{rank}": f"{home}\n" for rank in (0, 1)}


def test_a_signal_is_an_exit_code_above_128(site: Site) -> None:
    done = site.job("--engine", "embedded", "--submit", "--wait", "--", "sh", "-c", "kill -SEGV $$")
    assert done.returncode == 139, done.stderr


@pytest.mark.parametrize(
    ("engine", "stage", "how"),
    [
        ("embedded", "shared", ()),
        ("embedded", "node", ()),
        ("embedded", "shared", ("--signal=KILL", "--full")),
        ("embedded", "node", ("--signal=KILL", "--full")),
        pytest.param("apptainer", "shared", (), marks=pytest.mark.needs("apptainer")),
        pytest.param("apptainer", "node", (), marks=pytest.mark.needs("apptainer")),
    ],
)
def test_a_cancelled_or_killed_job_leaves_nothing(site: Site, engine: str, stage: str, how: tuple[str, ...]) -> None:
    before = _left()
    nodes = "1" if stage == "node" else "3"  # the nodes of this cluster have one /tmp
    number = site.submitted(
        *("--engine", engine, "--nodes", nodes, "--stage", stage),
        *("--", "sh", "-c", 'trap "exit 0" TERM; echo >rank-$SLURM_PROCID; sleep 600 & wait'),
    )
    _until(lambda: len(site.read("rank-*")) == int(nodes))
    assert _left() - before if stage == "node" and engine != "embedded" else _left() == before
    assert site("scancel", *how, number).returncode == 0
    assert site.slurm.wait(number) in ("CANCELLED", "FAILED")
    _until(lambda: site.processes() == [])
    assert _left() == before


@pytest.mark.parametrize("engine", ENGINES)
def test_a_copy_on_the_node_runs_and_goes(site: Site, engine: str) -> None:
    before = _left()
    done = site.job(
        *("--engine", engine, "--stage", "node", "--tasks-per-node", "2", "--submit", "--wait"),
        *("--", "sh", "-c", "echo $APPTAINER_CONTAINER >rank-$SLURM_PROCID"),
    )
    number = done.stdout.decode().strip()
    assert done.returncode == 0, done.stderr
    copy = f"/tmp/sealift-{number}-app.sif\n"
    assert site.read("rank-*") == {"rank-0": copy, "rank-1": copy}
    assert _left() == before


FULL = """\
#!/bin/sh
# As Slurm's own where a node's disk is full: it gives up, and what it wrote stays.
while [ $# -gt 2 ]; do shift; done
head --bytes=4096 "$1" >"$2"
echo "sbcast: error: REQUEST_FILE_BCAST(nid001): No space left on device" >&2
exit 1
"""


@pytest.mark.parametrize("engine", ENGINES)
def test_a_node_without_room_for_the_copy_stops_the_job_and_keeps_no_part(site: Site, engine: str) -> None:
    before = _left()
    (site.here / "bin").mkdir()
    (site.here / "bin/sbcast").write_text(FULL)
    (site.here / "bin/sbcast").chmod(0o755)
    site.user.give(site.here)
    path = f"{site.here}/bin:{site.user.environment()['PATH']}"
    done = dataclasses.replace(site, more={"PATH": path}).job(
        *("--engine", engine, "--stage", "node", "--submit", "--wait", "--", "true")
    )
    assert done.returncode == 1, done.stderr
    (said,) = site.read("app-*.out").values()
    assert said.splitlines()[-1] == "sealift: the image cannot be copied to the nodes"
    assert _left() == before


def test_another_image_stops_the_job(site: Site) -> None:
    text = site.job("--engine", "embedded", "--", "sh", "-c", "echo >rank-0").stdout
    with open(site.here / "app.sif", "ab") as image:
        image.write(b"\0")
    script = site.here / "job.sbatch"
    script.write_bytes(text)
    number = site("sbatch", "--parsable", script).stdout.decode().strip()
    assert site.slurm.wait(number) == "FAILED"
    assert site.read("rank-*") == {}
    said = f"sealift: {site.here}/app.sif is not the image that this job was written for: make the script again\n"
    assert (site.here / f"app-{number}.out").read_text() == said


def test_the_tasks_of_an_array_are_told_apart(site: Site) -> None:
    done = site.job(
        *("--engine", "embedded", "--array", "1-3%2", "--submit", "--wait"),
        *("--", "sh", "-c", "echo $SLURM_ARRAY_TASK_ID; exit $(($SLURM_ARRAY_TASK_ID - 1))"),
    )
    number = done.stdout.decode().strip()
    assert done.returncode in (1, 2), done.stderr
    outputs = {name: text.splitlines() for name, text in site.read("app-*.out").items()}
    assert outputs.keys() == {f"app-{number}_{task}.out" for task in (1, 2, 3)}
    assert all(str(task) in outputs[f"app-{number}_{task}.out"] for task in (1, 2, 3))
    told = json.loads(site("sealift", "job", "status", number, "--json").stdout)
    assert sorted((each["id"], each["state"], each["code"]) for each in told) == [
        (f"{number}_1", "COMPLETED", 0),
        (f"{number}_2", "FAILED", 1),
        (f"{number}_3", "FAILED", 2),
    ]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_warning_reaches_the_ranks_and_the_job_goes_into_the_queue_again(site: Site, engine: str) -> None:
    number = site.submitted(
        *("--engine", engine, "--nodes", "2", "--requeue"),
        *("--", "sh", "-c", 'trap "echo told >rank-$SLURM_PROCID; exit 3" USR1; echo >begun-$SLURM_PROCID; ' + STAYS),
    )
    _until(lambda: len(site.read("begun-*")) == 2)
    # As Slurm does it ahead of the time limit
    assert site("scancel", "--batch", "--signal=USR1", number).returncode == 0
    try:
        _until(lambda: site.slurm.shown(number).get("Restarts") == "1")
    except AssertionError:
        pytest.fail(f"{site.slurm.shown(number)}\n{site.read('*.out')}\n{site.read('rank-*')}")
    assert site.read("rank-*") in ({"rank-0": "told\n", "rank-1": "told\n"}, {"rank-0": "told\n"}, {"rank-1": "told\n"})
    assert site("scancel", number).returncode == 0
    assert site.slurm.wait(number) == "CANCELLED"


def test_jobs_that_run_are_listed(site: Site) -> None:
    number = site.submitted("--engine", "embedded", "--", "sh", "-c", "echo >rank-0; sleep 600")
    _until(lambda: len(site.read("rank-*")) == 1)

    def row() -> str:
        header, *rows = site("sealift", "job", "status").stdout.decode().splitlines()
        assert header.split() == ["JOB", "NAME", "STATE", "CODE", "REASON", "NODES", "TIME", "OUTPUT"]
        (found,) = (each for each in rows if each.split()[0] == number)  # beside those of other tests, which ended
        return found

    rest = rf"nid001 +\d\d:\d\d:\d\d +{site.here}/app-{number}\.out"
    assert re.fullmatch(rf"{number} +app +RUNNING +{rest}", row())
    assert site("scancel", number).returncode == 0
    assert site.slurm.wait(number) == "CANCELLED"
    assert re.fullmatch(rf"{number} +app +CANCELLED +143 +{rest}", row())


def test_a_job_that_slurm_never_had(site: Site) -> None:
    done = site("sealift", "job", "status", "999999")
    assert (done.returncode, done.stdout, done.stderr.decode()) == (
        6,
        b"",
        "error: Slurm knows no job 999999 any more\nhint: what is there: sealift job status\n",
    )


def test_tasks_of_jax_have_a_coordinator(site: Site) -> None:
    done = site.job(
        *("--engine", "embedded", "--kind", "jax", "--nodes", "2", "--gpus-per-node", "1", "--submit", "--wait"),
        *(
            "--",
            "sh",
            "-c",
            'echo "$JAX_COORDINATOR_ADDRESS $SLURM_PROCID $SLURM_NTASKS $SLURM_LOCALID" >rank-$SLURM_PROCID',
        ),
    )
    assert done.returncode == 0, done.stderr
    where = f"nid001:{10000 + int(done.stdout) % 20000}"
    assert site.read("rank-*") == {f"rank-{rank}": f"{where} {rank} 2 0\n" for rank in (0, 1)}


def test_torchrun_is_started_once_a_node(site: Site) -> None:
    done = site.job(
        *("--engine", "embedded", "--kind", "pytorch", "--nodes", "2", "--gpus-per-node", "4", "--submit", "--wait"),
        *("--", "train.py", "--epochs", "3"),
    )
    assert done.returncode == 0, done.stderr
    number = int(done.stdout)
    words = (
        f"--nnodes=2\n--nproc-per-node=4\n--rdzv-id={number}\n--rdzv-backend=c10d\n"
        f"--rdzv-endpoint=nid001:{10000 + number % 20000}\ntrain.py\n--epochs\n3\n"
    )
    assert site.read("torchrun-*") == {"torchrun-0": words, "torchrun-1": words}


def test_each_task_of_pytorch_finds_the_others(site: Site) -> None:
    names = "RANK LOCAL_RANK WORLD_SIZE LOCAL_WORLD_SIZE GROUP_RANK MASTER_ADDR MASTER_PORT CUDA_VISIBLE_DEVICES"
    done = site.job(
        *(
            "--engine",
            "embedded",
            "--kind",
            "pytorch-tasks",
            "--nodes",
            "2",
            "--gpus-per-node",
            "2",
            "--submit",
            "--wait",
        ),
        *("--", "sh", "-c", f'for name in {names}; do eval echo "$name=\\$$name"; done >rank-$SLURM_PROCID'),
    )
    assert done.returncode == 0, done.stderr
    port = 10000 + int(done.stdout) % 20000
    assert site.read("rank-*") == {
        f"rank-{rank}": (
            f"RANK={rank}\nLOCAL_RANK={rank % 2}\nWORLD_SIZE=4\nLOCAL_WORLD_SIZE=2\nGROUP_RANK={rank // 2}\n"
            f"MASTER_ADDR=nid001\nMASTER_PORT={port}\nCUDA_VISIBLE_DEVICES=0,1\n"
        )
        for rank in range(4)
    }


def test_the_runscript_runs_where_no_program_is_named(site: Site) -> None:
    done = site.job("--engine", "embedded", "--submit", "--wait")
    assert (done.returncode, site.read("ran-*")) == (0, {"ran-0": "ran\n"}), done.stderr


def test_slurm_takes_the_header(site: Site) -> None:
    """Asked of Slurm's own parser, of all that can stand there."""
    text = site.job(
        *("--engine", "apptainer", "--nodes", "2", "--kind", "gpu-mpi", "--mpi-model", "container"),
        *("--gpus-per-node", "4", "--tasks-per-node", "4", "--cpus-per-task", "2", "--time", "0:20:00"),
        *("--signal", "USR1@60", "--requeue", "--constraint", "gpu&cpu", "--name", "a name", "--", "./app"),
    )
    assert text.returncode == 2  # there is no MPI in it
    text = site.job(
        *("--engine", "apptainer", "--nodes", "2", "--gpus-per-node", "4", "--tasks-per-node", "4"),
        *("--cpus-per-task", "2", "--time", "0:20:00", "--signal", "USR1@60", "--requeue", "--array", "1-4%2"),
        *("--constraint", "gpu&cpu", "--name", "a name", "--partition", "all", "--", "./app"),
    )
    script = site.here / "job.sbatch"
    script.write_bytes(text.stdout)
    done = site("sbatch", "--test-only", script)
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(
        rb"sbatch: Job \d+ to start at \S+ using 16 processors on nodes \S+ in partition all\n", done.stderr
    )


def _left() -> set[str]:
    """What jobs can leave on the nodes, which are this machine."""
    mounts = [line for line in Path("/proc/self/mountinfo").read_text().splitlines() if "squashfuse" in line]
    return {str(path) for path in Path("/tmp").glob("sealift-[0-9]*")} | set(mounts)


def _until(true: Callable[[], bool], seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.1)


# MPI


RANKS = "library=libmpich.so.12 path=libmpich.so.12 world=0x44000000 byte=0x4c00010d int64=0x4c00083a sum=0x58000003"
# The nodes of this cluster are one machine, and UCX finds memory of other nodes' ranks there.
ONE_MACHINE = ("--env", "UCX_POSIX_USE_PROC_LINK=n")


@pytest.mark.needs("mirror", "mmdebstrap")
@pytest.mark.parametrize(
    ("engine", "nodes", "tasks", "more"),
    [
        pytest.param("apptainer", 3, 2, (), marks=pytest.mark.needs("apptainer")),
        ("embedded", 3, 2, ONE_MACHINE),
        pytest.param("embedded", 1, 3, ("--mpi-model", "bind"), marks=pytest.mark.needs("mpich")),
        # All in one container, and one user namespace: shared memory as without containers
        ("embedded", 1, 4, ()),
    ],
)
def test_ranks_of_mpi_find_each_other(
    site: Site, mpich_image: Path, engine: str, nodes: int, tasks: int, more: tuple[str, ...]
) -> None:
    shutil.copy(mpich_image, site.here / "app.sif")
    shutil.copy(RANKS_PROGRAM, site.here / "ranks.py")
    number = nodes * tasks
    done = site.job(
        *("--engine", engine, "--kind", "mpi", "--nodes", str(nodes), "--tasks-per-node", str(tasks), *more),
        *("--submit", "--wait", "--", "sh", "-c", f"python3 ranks.py tasks={number} {RANKS} >rank-$SLURM_PROCID"),
    )
    assert done.returncode == 0, (done.stderr, site.read("app-*.out"))
    told = [json.loads(line) for text in site.read("rank-*").values() for line in text.splitlines()]
    ranks = [(each["rank"], each["size"]) for each in told if each["kind"] == "rank"]
    assert ranks == [(rank, number) for rank in range(number)]
    where = "/opt/sealift-host-mpi/libmpich.so.12" if "bind" in more else "/usr/lib/x86_64-linux-gnu/libmpich.so.12."
    assert all(each["library"].startswith(where) for each in told if each["kind"] == "rank")
    assert [each["found"] == each["expected"] for each in told if each["kind"] == "allreduce"] == [True]
    job, ranks_files = done.stdout.decode().strip(), {f"rank-{rank}" for rank in range(number)}
    assert {path.name for path in site.here.iterdir()} == {"app.sif", "ranks.py", f"app-{job}.out", *ranks_files}


@pytest.mark.needs("mirror", "mmdebstrap")
def test_ranks_that_would_be_alone_stop_the_job(site: Site, mpich_image: Path) -> None:
    shutil.copy(mpich_image, site.here / "app.sif")
    text = site.job(
        *("--engine", "embedded", "--kind", "mpi", "--nodes", "2", "--tasks-per-node", "1", *ONE_MACHINE),
        *("--", "sh", "-c", "echo >rank-$SLURM_PROCID"),
    ).stdout.decode()
    script = site.here / "job.sbatch"
    script.write_text(text.replace("--mpi=pmi2", "--mpi=none"))
    number = site("sbatch", "--parsable", script).stdout.decode().strip()
    assert site.slurm.wait(number) == "FAILED"
    assert site.read("rank-*") == {}
    said = [line for line in (site.here / f"app-{number}.out").read_text().splitlines() if line.startswith("sealift")]
    assert said == [
        "sealift: 2 tasks came up as 2 worlds of size 1: the launcher speaks pmi2, the image's MPICH 4.0.2 speaks PMI-1"
    ]
    assert {path.name for path in site.here.iterdir()} == {"app.sif", "job.sbatch", f"app-{number}.out"}


# Engines that are not here: programs that stand in for them, the script's shell and Slurm are real.

PODMAN_HPC = """\
#!/bin/bash
# Knows an image once it was pulled; runs what stands behind the image, here.
store=$SCRATCH/pulled
case $1 in
    image) echo "inspect $5" >>"$SCRATCH/calls"; [[ -e $store ]] && echo 0123 ;;
    images)
        echo "true sha256:ff sha256:4567"
        [[ ! -e $store ]] || echo "$(cat "$store") sha256:other sha256:0123"
        ;;
    pull)
        echo "pull $2" >>"$SCRATCH/calls"
        echo "${SQUASHES-true}" >"$store"
        [[ ! -e $SCRATCH/late ]] || kill -USR1 "$PPID"  # as Slurm does it ahead of the time limit
        ;;
    run)
        echo "run" >>"$SCRATCH/calls"
        while [[ $1 != 0123 ]]; do shift; done
        echo "$PPID $CUDA_VISIBLE_DEVICES" >"rank-$SLURM_PROCID"
        shift
        exec "$@"
        ;;
esac
"""
SHIFTER = """\
#!/bin/bash
echo "$PPID $CUDA_VISIBLE_DEVICES $*" >"rank-$SLURM_PROCID"
while [[ $1 == --* ]]; do shift; done
exec "$@"
"""
IMAGE = "registry.example.org/m1234/app"
PINNED = f"{IMAGE}@sha256:{'ab' * 32}"


@pytest.fixture
def perlmutter(slurm: Slurm, as_user: users.AsUser) -> Site:
    """As seen by a script: two programs, and the variables that the site sets."""
    here = as_user.folder() / "here"
    programs, scratch = here / "bin", here / "scratch"
    for folder in (here, programs, scratch):
        folder.mkdir()
    for name, text in (
        ("podman-hpc", PODMAN_HPC),
        ("shifter", SHIFTER),
        ("shifterimg", '#!/bin/sh\necho "$@" >looked-up\n'),
    ):
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    as_user.give(here)
    path = f"{programs}:{as_user.environment()['PATH']}"
    return Site(here=here, user=as_user, slurm=slurm, more={"PATH": path, "SCRATCH": str(scratch), "CFS": str(scratch)})


def sent(site: Site, *words: str) -> tuple[str, str]:
    """Generate, take out what only Shifter's plugin understands, send and wait: the state and the exit code."""
    text = site("sealift", "job", *words).stdout.decode()
    script = site.here / "job.sbatch"
    script.write_text(re.sub(r"^#SBATCH --(image|volume|module)=.*\n", "", text, flags=re.MULTILINE))
    done = site("sbatch", "--parsable", script)
    number = done.stdout.decode().strip()
    assert number, done.stderr
    return site.slurm.wait(number), site.slurm.shown(number)["ExitCode"]


GPU_RANKS = ("--nodes", "2", "--tasks-per-node", "4", "--cpus-per-task", "2", "--time", "5")


def test_podman_hpc_pulls_once_and_ranks_of_a_node_have_one_parent(perlmutter: Site) -> None:
    words = (f"docker://{PINNED}", "--site", "perlmutter", "--kind", "gpu-mpi", *GPU_RANKS)
    ends = f"{ALL.format(8)}; exit $((SLURM_PROCID == 5 ? 9 : 0))"
    assert sent(perlmutter, *words, "--", "sh", "-c", ends) == ("FAILED", "9:0")
    calls = (perlmutter.here / "scratch/calls").read_text().splitlines()
    assert calls == [f"pull {PINNED}", f"inspect {PINNED}", *["run"] * 8]
    ranks = [text.split() for text in perlmutter.read("rank-*").values()]
    assert [gpu for _, gpu in ranks] == ["3", "2", "1", "0"] * 2
    parents = [parent for parent, _ in ranks]
    # podman-hpc names a node's container by it
    assert len(set(parents[:4])) == len(set(parents[4:])) == 1
    assert parents[0] != parents[4]


def test_an_image_that_is_not_squashed_stops_the_job(perlmutter: Site) -> None:
    perlmutter = dataclasses.replace(perlmutter, more={**perlmutter.more, "SQUASHES": "false"})
    words = (f"docker://{PINNED}", "--site", "perlmutter", *GPU_RANKS, "--name", "app")
    assert sent(perlmutter, *words, "--", "true") == ("FAILED", "1:0")
    assert perlmutter.read("rank-*") == {}
    calls = (perlmutter.here / "scratch/calls").read_text().splitlines()
    assert calls == [f"pull {PINNED}", f"inspect {PINNED}"]
    (said,) = perlmutter.read("app-*.out").values()
    assert said == f"sealift: {PINNED} is not squashed as it was, so that other nodes do not see it\n"


def test_a_warning_that_comes_while_the_image_is_pulled_is_not_lost(perlmutter: Site) -> None:
    (perlmutter.here / "scratch/late").touch()
    words = (f"docker://{PINNED}", "--site", "perlmutter", *GPU_RANKS, "--tasks-per-node", "1", "--requeue", "--submit")
    done = perlmutter("sealift", "job", *words, "--", "sh", "-c", STAYS)
    number = done.stdout.decode().strip()
    assert number, done.stderr
    _until(lambda: perlmutter.slurm.shown(number).get("Restarts") == "1")
    calls = (perlmutter.here / "scratch/calls").read_text().splitlines()
    # The ranks were told as soon as they were there, whether they became the engine before or not
    assert [call for call in calls if call != "run"] == [f"pull {PINNED}", f"inspect {PINNED}"]
    assert perlmutter("scancel", number).returncode == 0
    assert perlmutter.slurm.wait(number) == "CANCELLED"


def test_shifters_ranks_run(perlmutter: Site) -> None:
    words = (f"docker://{IMAGE}:1@sha256:{'ab' * 32}", "--site", "perlmutter", "--engine", "shifter")
    assert sent(perlmutter, *words, *GPU_RANKS, "--kind", "jax", "--", "sh", "-c", "exit 4") == ("FAILED", "4:0")
    assert (perlmutter.here / "looked-up").read_text() == f"lookup docker:{IMAGE}:1\n"
    ranks = [text.split() for text in perlmutter.read("rank-*").values()]
    assert ranks
    assert {rank[1] for rank in ranks} == {"3,2,1,0"}
    assert not [word for rank in ranks for word in rank if word.startswith(("--image", "--volume", "--module"))]


LDCONFIG = """\
#!/bin/sh
cat <<'END'
5 libs found in cache `/etc/ld.so.cache'
	libother.so.1 (libc6,x86-64) => {0}/libother.so.1
	libcuda.so.1 (libc6,x86-64) => {0}/libcuda.so.1
	libcuda.so.1 (libc6,x86-64) => {0}/libother.so.1
	libcuda.so.1 (libc6) => {0}/none
	libnvidia-ml.so.1 (libc6,x86-64, OS ABI: Linux 2.6.32) => {0}/libnvidia-ml.so.580
END
"""


def test_a_made_up_driver_is_found_as_the_nodes_loader_finds_it(site: Site) -> None:
    driver = site.here / "driver"
    driver.mkdir()
    for name in ("libother.so.1", "libcuda.so.1", "libnvidia-ml.so.580"):
        (driver / name).write_text(f"{name}\n")
    for name, text in (("ldconfig", LDCONFIG.format(driver)), ("nvidia-smi", "#!/bin/sh\necho it works\n")):
        (driver / name).write_text(text)
        (driver / name).chmod(0o755)
    path = f"{driver}:{site.user.environment()['PATH']}"
    done = dataclasses.replace(site, more={"PATH": path}).job(
        *("--engine", "embedded", "--gpus-per-node", "2", "--submit", "--wait", "--", "sh", "-c"),
        "cd /.singularity.d/libs && { for file in *; do echo $file; cat $file; done; nvidia-smi; } >$OLDPWD/rank-0",
    )
    assert done.returncode == 0, done.stderr
    assert site.read("rank-*") == {
        "rank-0": "libcuda.so.1\nlibcuda.so.1\nlibnvidia-ml.so.1\nlibnvidia-ml.so.580\nit works\n"
    }


@pytest.mark.needs("mirror", "mmdebstrap")
@pytest.mark.parametrize(("nodes", "tasks"), [(3, 1), (1, 4)])
def test_ranks_of_open_mpi_find_each_other(site: Site, openmpi_image: Path, nodes: int, tasks: int) -> None:
    """By PMIx, in one container a node; the two ranks that try it first say so."""
    shutil.copy(openmpi_image, site.here / "app.sif")
    done = site.job(
        *("--engine", "embedded", "--kind", "mpi", "--nodes", str(nodes), "--tasks-per-node", str(tasks)),
        *("--submit", "--wait", "--", "sh", "-c", 'echo "$PMIX_RANK" >rank-$SLURM_PROCID'),
    )
    assert done.returncode == 0, (done.stderr, site.read("app-*.out"))
    assert site.read("rank-*") == {f"rank-{rank}": f"{rank}\n" for rank in range(nodes * tasks)}
