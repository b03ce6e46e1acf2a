"""A notebook's cells run in an image: Jupyter's own client starts what `sealift kernel install` wrote."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from tests.ground import podman_hpc, services, users
from tests.ground.python import make_python_root

pytestmark = [pytest.mark.slow]

DRIVER = Path(__file__).parents[1] / "ground/notebook.py"
SYSTEM = 'NAME="An image for notebooks"\n'
WORK = [
    {"interrupted": "asleep\nKeyboardInterrupt"},
    {"after": "42\n"},
    {"restarted": "NameError"},
    {"restarted": "NameError"},
    {"alive": False},
]


@pytest.fixture(scope="module")
def notebooks(session_folder: Path) -> Iterator[Path]:
    """A folder with `image`, the tree of an image with ipykernel, which all users can read."""
    folder = session_folder / "notebooks"
    folder.mkdir()
    root = make_python_root(folder / "image", "ipykernel")
    (root / "etc/os-release").write_text(SYSTEM)
    script = root / ".singularity.d/env/90-environment.sh"
    script.parent.mkdir(parents=True)
    script.write_text("#!/bin/sh\nexport FROM_THE_IMAGE=yes\n")
    subprocess.run(["chmod", "-R", "a+rX", str(folder)], check=True)
    yield folder
    shutil.rmtree(folder)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """Where one person works with notebooks: `call` runs a program and gives its exit code, `open` starts one."""

    uid: int
    folder: Path
    connections: Path
    """A folder that no container shows by itself."""
    call: Callable[[list[str | Path], Path, dict[str, str]], subprocess.CompletedProcess[bytes]]
    open: Callable[[list[str | Path], Path, dict[str, str]], subprocess.Popen[bytes]]
    sealift: tuple[str, ...]
    python: str
    packages: Path | None = None
    env: dict[str, str] = field(default_factory=dict)
    before: tuple[str, ...] = ()
    """What is typed between the image and the kernel."""
    site: str = ""

    @property
    def jupyter(self) -> dict[str, str]:
        """Jupyter's data in the test's own folder, and the connection files where VS Code has them."""
        return {
            "JUPYTER_DATA_DIR": str(self.folder / "jupyter"),
            "JUPYTER_RUNTIME_DIR": str(self.connections),
            **self.env,
        }

    def type(self, *words: str | Path) -> None:
        done = self.call([*self.sealift, *words], self.folder, self.jupyter)
        assert done.returncode == 0, done.stderr.decode()

    def front_end(self, what: str) -> subprocess.Popen[bytes]:
        """Jupyter's client in another folder than the kernel was made in."""
        shutil.copy(DRIVER, self.folder / "notebook.py")
        more = {"OMP_NUM_THREADS": "3", "NOT_FOR_KERNELS": "1", **self.jupyter}
        more |= {"PYTHONPATH": str(self.packages)} if self.packages else {}
        return self.open([self.python, self.folder / "notebook.py", "notebook", what], self.folder / "cells", more)


@pytest.fixture
def connections(open_folder: Path) -> Iterator[Path]:
    """In /run where one may, as that of VS Code."""
    base = Path("/run") if os.access("/run", os.W_OK) else open_folder
    folder = base / f"sealift-test-{os.getpid()}"
    folder.mkdir()
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def users_desk(as_user: users.AsUser, notebooks: Path, connections: Path) -> Desk:
    (packages,) = (notebooks / "image").glob("usr/local/lib/python3*/*-packages")
    (as_user.folder() / "cells").mkdir()
    as_user.give(as_user.folder() / "cells")
    as_user.give(connections)
    return Desk(
        uid=users.get("subuid").uid,
        folder=as_user.folder(),
        connections=connections,
        call=lambda argv, cwd, env: as_user(argv, cwd=cwd, env=env),
        open=lambda argv, cwd, env: as_user.popen(argv, cwd=cwd, env=env),
        sealift=("sealift",),
        python="python",
        packages=packages,
    )


@pytest.fixture
def roots_desk(open_folder: Path, connections: Path) -> Desk:
    (open_folder / "cells").mkdir()
    pipe = subprocess.PIPE
    return Desk(
        uid=os.getuid(),
        folder=open_folder,
        connections=connections,
        call=lambda argv, cwd, env: subprocess.run(
            argv, cwd=cwd, env=os.environ | env, capture_output=True, check=False
        ),
        open=lambda argv, cwd, env: subprocess.Popen(
            argv, cwd=cwd, env=os.environ | env, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
        ),
        sealift=(sys.executable, "-m", "sealift"),
        python=sys.executable,
    )


def cells_run_and_leave_nothing(desk: Desk, notebooks: Path, engine: str) -> None:
    """A whole day with a notebook, and one that ends with the front end's sudden death."""
    desk.type("build", "notebook.sif", notebooks / "image")
    if desk.before:
        desk.type(*desk.before)
    site = ("--site", desk.site) if desk.site else ()
    desk.type("kernel", "install", "notebook.sif", "--engine", engine, *site, "--env", "ORDERED=a, b")
    looked = {
        "looked": {
            "system": SYSTEM,
            "folder": str(desk.folder / "cells"),
            "image": "yes",
            "ordered": "a, b",
            "threads": "3",
            "kept out": None,
            "user site": "1",
        }
    }
    process = desk.front_end("work")
    out, err = process.communicate(timeout=300)
    assert process.returncode == 0, err.decode()
    assert [json.loads(line) for line in out.splitlines()] == [looked, *WORK]
    nothing_is_left(desk)
    process = desk.front_end("wait")
    assert process.stdout is not None
    assert json.loads(process.stdout.readline()) == looked
    process.kill()
    process.wait()
    nothing_is_left(desk)
    process.communicate()
    desk.type("kernel", "remove", "notebook")
    assert list((desk.folder / "jupyter/kernels").iterdir()) == []


def nothing_is_left(desk: Desk) -> None:
    """What watches a kernel looks once a second: wait until it saw that all is gone."""
    deadline = time.monotonic() + 60
    while left := processes_of(desk.uid, str(desk.folder)):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


def processes_of(uid: int, mark: str) -> list[str]:
    """The living processes of a user that carry `mark` in their command line or environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and entry.stat().st_uid == uid:
                line = (entry / "cmdline").read_bytes()
                pause = line.rstrip(b"\0").endswith(b"podman")  # keeps Podman's user namespace from run to run
                if line and not pause and mark.encode() in line + (entry / "environ").read_bytes():
                    found.append(line.replace(b"\0", b" ").decode())
        except OSError:
            continue
    return found


@pytest.mark.needs("subuid-user", "squashfuse")
def test_embedded(users_desk: Desk, notebooks: Path) -> None:
    cells_run_and_leave_nothing(users_desk, notebooks, "embedded")


@pytest.mark.needs("apptainer")
def test_apptainer(users_desk: Desk, notebooks: Path) -> None:
    cells_run_and_leave_nothing(users_desk, notebooks, "apptainer")


@pytest.mark.needs("docker", "root")
def test_docker(roots_desk: Desk, notebooks: Path, docker: services.Docker) -> None:
    desk = replace(roots_desk, env={"DOCKER_HOST": docker.endpoint})
    cells_run_and_leave_nothing(desk, notebooks, "docker")
    assert docker("ps", "--all", "--quiet").stdout == b""


@pytest.fixture
def rootless(users_desk: Desk, as_user: users.AsUser, open_folder: Path) -> Iterator[Desk]:
    """The user's desk with rootless Podman."""
    with services.podman(open_folder, as_user, network="host") as env:
        yield replace(users_desk, env=env)


@pytest.mark.needs("podman")
def test_podman(rootless: Desk, notebooks: Path, as_user: users.AsUser) -> None:
    desk = replace(rootless, env=rootless.env | {"STORAGE_DRIVER": "overlay"})
    cells_run_and_leave_nothing(desk, notebooks, "podman")
    assert as_user(["podman", "ps", "--all", "--quiet"], env=desk.env).stdout == b""


@pytest.mark.needs("podman-hpc", "podman")
def test_podman_hpc(rootless: Desk, notebooks: Path, as_user: users.AsUser) -> None:
    """The real program over rootless Podman, with Perlmutter's flags; the image is pushed into its store first."""
    push = ("push", "notebook.sif", "podman-hpc:notebook:1")
    with podman_hpc.store(as_user, rootless.env) as env:
        desk = replace(rootless, env=env, before=push, site="perlmutter-cpu")
        cells_run_and_leave_nothing(desk, notebooks, "podman-hpc")
        assert as_user(["podman-hpc", "ps", "--all", "--quiet"], env=env).stdout == b""
