"""Small images of the host's own programs, and running plans in them with either engine as ordinary users."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from pathlib import Path

import pytest

from sealift.core.architecture import find_architecture
from sealift.core.launch import Bind, LaunchPlan
from tests.engines import trees
from tests.ground import users

DRIVER = """
import json, sys
from sealift.core.launch import Bind, LaunchPlan
from sealift.engines.start import start
from sealift.errors import SealiftError
from sealift.system.caller import started_with

order = json.loads(sys.argv[1])
plan = order["plan"]
for name, value in plan.items():
    plan[name] = tuple(value) if isinstance(value, list) else value
plan["binds"] = tuple(Bind(**bind) for bind in plan["binds"])
env = started_with()
env["PATH"] += order["path"]
unpacked = order["unpacked"]
def say(event):
    if event.level == "warning":
        sys.stderr.write(f"warning: {event.text}\\n")
        sys.stderr.flush()
try:
    unpack = (lambda image: unpacked) if unpacked else None
    code = start(LaunchPlan(**plan), engine=order["engine"], env=env, unpack=unpack, events=say)
except SealiftError as error:
    sys.stderr.write(f"{type(error).__name__}: {error.message}\\n" + "".join(f"hint: {h}\\n" for h in error.hints))
    code = error.exit_code
sys.exit(code)
"""


def no_squashfuse(uid: int) -> bool:
    """Whether all squashfuse processes of a user end by themselves; they do so right after the last program."""
    for _ in range(500):
        if not any(b"squashfuse" in each for each in processes(uid)):
            return True
        time.sleep(0.01)
    return False


def processes(uid: int) -> list[bytes]:
    """The names of a user's processes, those that ended and wait for their parent included."""
    found = []
    for folder in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            if folder.name.isdigit() and folder.stat().st_uid == uid:
                found.append((folder / "comm").read_bytes().strip())
    return found


def order(plan: LaunchPlan, engine: str, unpacked: str = "", path: str = "") -> str:
    values = {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(plan).items()}
    return json.dumps({"plan": values, "engine": engine, "unpacked": unpacked, "path": path})


RunPlan = Callable[..., subprocess.CompletedProcess[bytes]]


@pytest.fixture
def run_plan(as_user: users.AsUser) -> RunPlan:
    """`run_plan(plan, engine="embedded", user="plain", env=…)` as an ordinary user, or as root with `user="root"`."""

    def call(
        plan: LaunchPlan,
        *,
        engine: str = "embedded",
        user: str = "subuid",
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        input: bytes = b"",
        unpacked: str = "",
        path: str = "",
    ) -> subprocess.CompletedProcess[bytes]:
        argv = [str(as_user.bin / "python"), "-c", DRIVER, order(plan, engine, unpacked, path)]
        if user == "root":
            return subprocess.run(
                argv,
                env={"PATH": "/usr/bin:/bin", **(env or {})},
                cwd=cwd,
                input=input,
                capture_output=True,
                check=False,
            )
        kind: users.Kind = "plain" if user == "plain" else "subuid"
        done = as_user(argv, user=kind, env=env, cwd=cwd, input=input)
        assert no_squashfuse(users.get(kind).uid), "a squashfuse outlived its container"
        return done

    return call


@pytest.fixture
def begin_plan(as_user: users.AsUser) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """The same as `run_plan`, running: the test ends it."""
    begun: list[subprocess.Popen[bytes]] = []

    def call(plan: LaunchPlan, *, user: users.Kind = "subuid") -> subprocess.Popen[bytes]:
        argv = [str(as_user.bin / "python"), "-c", DRIVER, order(plan, "embedded")]
        begun.append(as_user.popen(argv, user=user))
        return begun[-1]

    yield call
    for process in begun:
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):
            assert pipe is not None
            pipe.close()


def plan(image: str | Path, *command: str, action: str = "exec", **more: object) -> LaunchPlan:
    return LaunchPlan(image=str(image), action=action, command=command, **more)  # type: ignore[arg-type]


def bind(source: str | Path, destination: str, *, read_only: bool = False) -> Bind:
    return Bind(source=str(source), destination=destination, read_only=read_only)


@pytest.fixture(scope="session")
def tree(session_folder: Path) -> Path:
    """A root folder with the host's bash, sh and a few tools, and what a definition file leaves in /.singularity.d."""
    return trees.make_tree(session_folder / "engines" / "tree")


@pytest.fixture(scope="session")
def squashfs(tree: Path) -> Path:
    """The tree as a bare squashfs; needs "mksquashfs"."""
    return trees.make_squashfs(tree, tree.with_name("tree.sqfs"))


@pytest.fixture(scope="session")
def sif(squashfs: Path) -> Path:
    """The tree as a SIF."""
    return trees.make_sif(squashfs, squashfs.with_name("tree.sif"))


@pytest.fixture(scope="session")
def plain_sif(session_folder: Path) -> Path:
    """The same tree with environment scripts that need no shell, and Sealift's own beside them."""
    tree = trees.make_tree(session_folder / "engines" / "plain")
    trees.write_plain_environment(tree / ".singularity.d/env")
    return trees.make_sif(trees.make_squashfs(tree, tree.with_suffix(".sqfs")), tree.with_suffix(".sif"))


@pytest.fixture(scope="session")
def foreign_sif(squashfs: Path) -> Path:
    """The same, said to be for another processor."""
    architecture = find_architecture("s390x")
    assert architecture is not None
    return trees.make_sif(squashfs, squashfs.with_name("foreign.sif"), architecture)
