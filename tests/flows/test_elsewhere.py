"""Programs in engines that keep images of their own: what is shown, what is refused, and real runs."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests import parts
from tests.ground import services

SCRATCH = "Bootstrap: scratch\n%files\n    {busybox} /bin/busybox\n    {busybox} /bin/sh\n"
RECIPE = (
    SCRATCH
    + "%environment\n    export GREETING='hello there'\n%runscript\n    echo ran \"$@\"\n    exit 9\n%test\n    true\n"
)


def words(line: str) -> list[str]:
    return shlex.split(line)


def call(env: dict[str, str], *arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    argv = [sys.executable, "-m", "sealift", *map(str, arguments)]
    return subprocess.run(argv, input=stdin, capture_output=True, check=False, env=env)


@pytest.fixture
def image(sealift) -> Path:
    """A file that has to be there, and is not looked into by what only shows a command."""
    Path("app.sif").write_bytes(b"")
    return Path("app.sif")


@pytest.mark.parametrize(
    ("arguments", "begin", "end"),
    [
        (
            ("--engine", "podman-hpc", "--site", "perlmutter", "--nv", "docker://me/app:1", "python", "x.py"),
            ["podman-hpc", "run", "--rm", "--gpu"],
            ["--entrypoint", "python", "me/app:1", "x.py"],
        ),
        (
            ("--engine", "podman-hpc", "--site", "perlmutter", "--communication", "mpi", "docker://me/app:1", "./a"),
            ["podman-hpc", "run", "--rm", "--mpi"],
            ["--entrypoint", "env", "me/app:1", "./a"],
        ),
        (
            ("--engine", "shifter", "--site", "perlmutter-cpu", "docker://me/app:1", "./a", "-x"),
            ["shifter", "--image=docker:me/app:1"],
            ["./a", "-x"],
        ),
        (
            ("--engine", "docker", "docker://me/app:1", "./a"),
            ["docker", "run", "--rm", "--interactive"],
            ["--entrypoint", "./a", "me/app:1"],
        ),
        (
            ("--engine", "pyxis", "docker://registry.example.org/me/app:1", "./a"),
            ["--container-image=registry.example.org#me/app:1"],
            ["--no-container-entrypoint", "./a"],
        ),
        (
            ("--engine", "embedded", "--nv", "app.sif", "ls"),
            ["sealift", "exec", "--engine", "embedded", "--nv"],
            ["ls"],
        ),
    ],
)
def test_what_would_be_called_is_shown(
    sealift, image: Path, arguments: tuple[str, ...], begin: list[str], end: list[str]
):
    done = sealift("exec", "--print", *arguments)
    assert (done.code, done.err) == (0, "")
    shown = words(done.out)
    shown = shown[next(number for number, word in enumerate(shown) if word == begin[0]) :]
    assert shown[: len(begin)] == begin
    assert shown[-len(end) :] == end


def test_an_environment_file_is_shown(sealift):
    done = sealift("exec", "--print", "--engine", "edf", "--contain", "docker://ubuntu:24.04", "ls")
    assert done.code == 0
    assert done.out.startswith('image = "ubuntu:24.04"\nwritable = false\nentrypoint = false\n\n[env]\n')


def test_safe_surroundings_are_shown_as_flags(image: Path):
    env = {**os.environ, "PYTHONPATH": "/home/me/lib", "NCCL_DEBUG": "INFO"}
    done = call(env, "exec", "--print", "--safe-env", "--engine", "embedded", image, "ls")
    shown = words(done.stdout.decode())
    assert "--cleanenv" in shown
    assert {"NCCL_DEBUG=INFO", "PYTHONNOUSERSITE=1"} <= set(shown)
    assert not any(word.startswith("PYTHONPATH") for word in shown)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("--engine", "podman-hpc", "docker://me/app:1", "ls"),
            "error: podman-hpc's flags are the site's: which one is it?\nhint: add --site perlmutter\n",
        ),
        (
            ("--engine", "shifter", "--site", "perlmutter", "app.sif", "ls"),
            (
                "error: shifter runs what is in a registry, and `app.sif` is a file\n"
                "hint: sealift build oci-archive:app.tar app.sif\n"
                "hint: skopeo copy oci-archive:app.tar docker://registry.nersc.gov/PROJECT/app:1\n"
                "hint: sealift … --engine shifter docker://registry.nersc.gov/PROJECT/app:1 …\n"
            ),
        ),
        (
            ("--engine", "charliecloud", "app.sif", "ls"),
            "error: charliecloud takes a squashfs, not `app.sif`\nhint: make one: sealift build app.sqfs app.sif\n",
        ),
        (
            ("--engine", "docker", "--overlay", "o", "docker://me/app:1", "ls"),
            (
                "error: Docker cannot do what is asked for: `--overlay` (its images take no overlay)\n"
                "hint: leave out --overlay, or take another --engine\n"
            ),
        ),
        (
            ("--engine", "docker", "--print", "--communication", "mpi", "docker://me/app:1", "ls"),
            (
                "error: Docker cannot do what is asked for: `--communication` (it has no flags for MPI or NCCL; the "
                "site's page tells what to bind: sealift sites NAME)\n"
                "hint: leave out --communication, or take another --engine\n"
            ),
        ),
        (
            ("--engine", "embedded", "--print", "--communication", "nccl", "app.sif", "ls"),
            (
                "error: embedded has no flags for MPI or NCCL: `--communication nccl`\n"
                "hint: leave out --communication; the site's page tells what to bind: sealift sites NAME\n"
            ),
        ),
        (
            ("--engine", "docker", "--print", "--communication", "mpich", "docker://me/app:1", "ls"),
            "error: `--communication mpich` is not known\nhint: one of none, mpi, gpu-mpi, nccl, openmpi\n",
        ),
        (
            ("--engine", "edf", "docker://me/app:1", "ls"),
            "error: an environment file is written, not run\nhint: see it: add --print\n",
        ),
    ],
)
def test_what_is_refused(sealift, image: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], said: str):
    monkeypatch.delenv("NERSC_HOST", raising=False)
    done = sealift("exec", *arguments)
    assert (done.code, done.out, done.err) == (2, "", said)


def test_an_engine_that_is_not_there(sealift, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("PATH", str(tmp_path))
    done = sealift("exec", "--engine", "enroot", "--contain", "docker://me/app:1", "ls")
    assert done.code == 6
    assert done.err.startswith("error: `enroot` is not installed\n")


# Real engines


@pytest.fixture
def built(sealift, open_folder: Path, busybox: str) -> Path:
    os.chdir(open_folder)
    Path("app.def").write_text(RECIPE.format(busybox=busybox))
    done = sealift("build", "app.sif", "app.def")
    assert done.code == 0, done.err
    return open_folder / "app.sif"


@pytest.fixture
def busybox() -> str:
    found = parts.program("busybox")
    assert found is not None
    return found


@pytest.mark.slow
@pytest.mark.needs("root", "docker", "busybox")
def test_docker_runs_a_sif_as_apptainer_does(built: Path, docker: services.Docker, open_folder: Path):
    env = {**os.environ, "DOCKER_HOST": docker.endpoint, "PYTHONPATH": "/x", "NCCL_DEBUG": "INFO"}

    def run(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return call(env, *arguments, stdin=stdin)

    script = "echo $GREETING:$NCCL_DEBUG:$PYTHONPATH:$PYTHONNOUSERSITE; busybox pwd; busybox cat; echo x > made; exit 7"
    done = run("exec", "--engine", "docker", built, "/bin/sh", "-c", script, stdin=b"in\n")
    assert (done.returncode, done.stdout) == (7, f"hello there:INFO::1\n{open_folder}\nin\n".encode()), done.stderr
    assert (open_folder / "made").read_text() == "x\n"
    assert b"giving" in done.stderr
    done = run("run", "--engine", "docker", "-B", f"{open_folder}:/data:ro", built, "a", "b c")
    assert (done.returncode, done.stdout, done.stderr) == (9, b"ran a b c\n", b"")
    done = run("exec", "--engine", "docker", built, "/bin/sh", "-c", "echo > /bin/new")
    assert done.returncode != 0
    assert b"Read-only file system" in done.stderr
    done = run("exec", "--engine", "docker", "--writable-tmpfs", built, "/bin/sh", "-c", "echo > /bin/new")
    assert done.returncode == 0, done.stderr
    assert run("test", "--engine", "docker", built).returncode == 0
    (image,) = docker("image", "ls", "--format", "{{.Repository}}", "localhost/sealift").stdout.split()
    assert image == b"localhost/sealift"


CONTAINERS = """\
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
"""
"""Debian's crun cannot do with machines that have cgroups of both versions."""


@pytest.mark.slow
@pytest.mark.needs("root", "podman", "busybox")
def test_podman_runs_a_sif_for_an_ordinary_user(built: Path, open_folder: Path, as_user, session_folder: Path):
    (open_folder / "containers.conf").write_text(CONTAINERS)
    as_user.give(open_folder)
    # With a longer path to its socket, conmon keeps podman waiting for twenty seconds.
    with tempfile.TemporaryDirectory(prefix="run-", dir=session_folder.parent) as runtime:
        as_user.give(Path(runtime))
        env = {
            "XDG_RUNTIME_DIR": runtime,
            "CONTAINERS_CONF": str(open_folder / "containers.conf"),
            "NCCL_DEBUG": "INFO",
        }

        def run(*arguments: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
            done: subprocess.CompletedProcess[bytes] = as_user(
                ["sealift", *arguments], cwd=open_folder, env=env, input=stdin
            )
            return done

        try:
            script = "echo $GREETING:$NCCL_DEBUG; busybox id -u; busybox cat; echo x > made; exit 7"
            done = run("exec", "--engine", "podman", built, "/bin/sh", "-c", script, stdin=b"in\n")
            uid = (open_folder / "app.sif").stat().st_uid
            assert (done.returncode, done.stdout) == (7, f"hello there:INFO\n{uid}\nin\n".encode()), done.stderr
            assert (open_folder / "made").stat().st_uid == uid
            done = run("run", "--engine", "podman", "--contain", built, "a", "b c")
            assert (done.returncode, done.stdout, done.stderr) == (9, b"ran a b c\n", b"")
        finally:
            as_user(["podman", "system", "reset", "--force"], env=env)
