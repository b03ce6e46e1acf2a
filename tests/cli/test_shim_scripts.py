"""Scripts made for Apptainer give the same with the commands of `sealift shim install`: output, files, exit codes."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from tests import parts
from tests.ground import tiny, users

SCRIPTS = Path(__file__).parent / "scripts"
NAMES = ("apptainer", "singularity", "run-singularity")
PROGRAMS = (*tiny.PROGRAMS, "printenv", "sleep", "pwd", "echo")


@pytest.fixture(scope="module")
def without_apptainer(session_folder: Path) -> Path:
    """A folder with all of the host's programs but Apptainer's."""
    folder = session_folder / "without-apptainer"
    folder.mkdir()
    for place in ("/usr/sbin", "/usr/bin"):
        for program in Path(place).iterdir():
            link = folder / program.name
            if not program.name.startswith(NAMES) and not link.is_symlink():
                link.symlink_to(program)
    return folder


@pytest.fixture(scope="module")
def root(session_folder: Path) -> Path:
    return tiny.make_tiny_root(session_folder / "shim-root", PROGRAMS)


@pytest.fixture
def places(as_user: users.AsUser, without_apptainer: Path, root: Path) -> dict[str, dict[str, str]]:
    """For each of the two: the environment in which `singularity` is it."""
    commands = {}
    for name in ("real", "ours"):
        bin_folder = as_user.folder() / f"{name}-bin"
        bin_folder.mkdir()
        as_user.give(bin_folder)
        work = as_user.folder() / name
        work.mkdir()
        shutil.copytree(root, work / "root", symlinks=True)
        for path in SCRIPTS.iterdir():
            shutil.copy(path, work)
        as_user.give(work)
        commands[name] = {"PATH": f"{bin_folder}:{as_user.bin}:{without_apptainer}"}
    found = {name: parts.program(name) for name in NAMES[:2]}
    for name, program in found.items():
        assert program is not None, f"{name} is not installed"
        (as_user.folder() / "real-bin" / name).symlink_to(program)
    starter = as_user.folder() / "real-bin" / "run-singularity"
    starter.symlink_to(parts.program("run-singularity") or parts.program("run-singularity.apptainer") or "/none")
    done = as_user(["sealift", "shim", "install", str(as_user.folder() / "ours-bin")], env=commands["ours"])
    assert done.returncode == 0, done.stderr.decode()
    return commands


@pytest.mark.slow
@pytest.mark.needs("apptainer", "squashfuse", "make")
@pytest.mark.parametrize("script", sorted(path.name for path in SCRIPTS.glob("*.sh")))
def test_a_script_runs_the_same(script, places, as_user):
    results = {}
    for name, env in places.items():
        folder = as_user.folder() / name
        if script not in ("build.sh", "make.sh"):
            built = as_user(["singularity", "build", "image.sif", "base.def"], env=env, cwd=folder)
            assert built.returncode == 0, built.stderr.decode()
        done = as_user(["sh", script], env=env, cwd=folder, timeout=120)
        files = sorted(os.listdir(folder))
        results[name] = (done.stdout.decode().replace(str(folder), "WORK"), done.returncode, files)
    assert results["ours"] == results["real"]
    assert results["ours"][0]
