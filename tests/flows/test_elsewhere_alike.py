"""Programs under Docker and Podman beside Apptainer and the embedded engine, where a table of answers does not reach:
signals, terminals, what is left when somebody is killed, and what is said when there is no daemon.
"""

from __future__ import annotations

import os
import pty
import select
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests import parts
from tests.flows.test_elsewhere import RECIPE
from tests.ground import install, layouts, services, session, users
from tests.packs import layers

pytestmark = [pytest.mark.slow, pytest.mark.needs("root", "apptainer", "squashfuse", "docker", "podman", "busybox")]

ENGINES = ("apptainer", "embedded", "docker", "podman")
PATIENCE = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """An ordinary user who has all engines, and `app.sif` in the folder `at`."""

    at: Path
    as_user: users.AsUser
    env: dict[str, str]

    def run(self, *argv: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
        return self.as_user(["sealift", *argv], cwd=self.at, env=self.env | (env or {}))

    def begin(self, *argv: str | Path) -> subprocess.Popen[bytes]:
        return self.as_user.popen(["sealift", *argv], cwd=self.at, env=self.env)


@pytest.fixture(scope="module")
def world(session_folder: Path, docker: services.Docker) -> Iterator[World]:
    folder = session_folder / "alike"
    folder.mkdir()
    folder.chmod(0o755)
    as_user = users.AsUser(bin=install.installed(), base=folder)
    at = as_user.folder()
    (at / "app.def").write_text(RECIPE.format(busybox=parts.program("busybox")))
    os.chmod(docker.endpoint.removeprefix("unix://"), 0o666)
    with services.podman(folder, as_user) as env:
        found = World(at=at, as_user=as_user, env={**env, "DOCKER_HOST": docker.endpoint})
        done = found.run("build", "app.sif", "app.def")
        assert done.returncode == 0, done.stderr
        for engine in ENGINES:
            assert found.run("exec", "--engine", engine, "app.sif", "/bin/sh", "-c", ":").returncode == 0
        yield found
    session.remove(folder)


HEARS = """
trap 'heard=yes; echo awake' CONT
for name in INT TERM HUP USR1; do trap "echo got $name; exit 3" $name; done
echo up
while read line || [ "$heard" ]; do heard=; done
exit 9
"""
"""A signal that is heard ends `read`, too."""


def lines_of(process: subprocess.Popen[bytes]) -> Iterator[str | None]:
    """What the program says, line by line; None where it says nothing for a while."""
    assert process.stdout is not None
    said = b""
    while True:
        readable, _, _ = select.select([process.stdout], [], [], 0.2)
        if not readable:
            yield None
            continue
        part = os.read(process.stdout.fileno(), 4096)
        said += part
        while b"\n" in said:
            line, _, said = said.partition(b"\n")
            yield line.decode()
        if not part:
            return


@pytest.mark.parametrize("engine", ENGINES)
def test_signals_reach_the_program(world: World, engine: str) -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        process = world.begin("exec", "--engine", engine, "app.sif", "/bin/sh", "-c", HEARS)
        said = lines_of(process)
        assert next(line for line in said if line is not None) == "up"
        # Podman begins to pass signals on a moment after the program begins; until then none may be missed or hit it.
        process.send_signal(signal.SIGCONT)
        while next(said) is None:
            process.send_signal(signal.SIGCONT)
        process.send_signal(number)
        # Standard input stays open: at its end `read` would come back by itself.
        assert [line for line in said if line not in (None, "awake")] == [f"got {number.name[3:]}"], (engine, number)
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 3, (engine, number)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_program_that_a_signal_ends_ends_so(world: World, engine: str) -> None:
    """As a shell would call it: by the signal itself, or 128 and its number."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        done = world.run("exec", "--engine", engine, "app.sif", "/bin/sh", "-c", f"kill -{number.value} $$")
        assert done.returncode in (128 + number, -number), (engine, number)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_comes_in_and_goes_out_is_whole(world: World, engine: str) -> None:
    """Also of a program that ends before its input does, and where nothing is said."""
    data = os.urandom(3_000_000)
    echo = ["sealift", "exec", "--engine", engine, "app.sif", "/bin/busybox", "cat"]
    assert world.as_user(echo, cwd=world.at, env=world.env, input=data).stdout == data
    for _ in range(3):
        done = world.as_user(
            [*echo[:-2], "/bin/sh", "-c", "echo e; echo f >&2"], cwd=world.at, env=world.env, input=data
        )
        assert (done.returncode, done.stdout, done.stderr.splitlines()[-1:]) == (0, b"e\n", [b"f"])


@pytest.mark.parametrize("engine", ENGINES)
def test_a_terminal_is_one_inside(world: World, engine: str) -> None:
    argv = ["sealift", "exec", "--engine", engine, "app.sif", "/bin/sh", "-c", TERMINAL]
    who = users.get("subuid")
    env = world.as_user.environment() | world.env
    child, master = pty.fork()
    if child == 0:
        os.setgroups([who.gid])
        os.setgid(who.gid)
        os.setuid(who.uid)
        os.chdir(world.at)
        os.execvpe(argv[0], argv, env)
    said = b""
    with os.fdopen(master, "r+b", buffering=0) as terminal:
        while b"name?" not in said:
            said += terminal.read(1024)
        terminal.write(b"me\n")
        while True:
            try:
                part = terminal.read(1024)
            except OSError:  # Linux says so when the last of the other side is gone
                break
            if not part:
                break
            said += part
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 4
    assert said.decode().replace("\r\n", "\n").rpartition("name?")[2].split() == ["me", "terminal", "hello", "me"]


TERMINAL = "printf 'name?'; read name; [ -t 0 ] && [ -t 1 ] && echo terminal; echo hello $name; exit 4"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--env-file", "file"], "of a file in HOME:hello there:HERE:HOME"),
        (["--compat"], "unset:hello there:HOME:HOME"),
        (["--pid", "--network", "none", "--env", "E=$GREETING"], "hello there:hello there:HERE:HOME"),
        (["--no-home", "--no-eval", "--env", "E=$GREETING"], "$GREETING:hello there:HERE:HOME"),
    ],
)
def test_flags_do_the_same_everywhere(world: World, engine: str, flags: list[str], said: str) -> None:
    (world.at / "file").write_text('E="of a file in $HOME"\n')
    argv = ("exec", "--safe-env", "--engine", engine, *flags, "app.sif", "/bin/sh", "-c", ANSWER)
    done = world.run(*argv)
    home, here = str(users.get("subuid").home), str(world.at)
    assert done.stdout.decode().strip().replace(home, "HOME").replace(here, "HERE") == said, done.stderr


ANSWER = 'echo "${E-unset}:$GREETING:$(busybox pwd):$HOME"'


# Giving


def test_an_image_is_given_once_also_to_many_at_once(world: World) -> None:
    at = world.at
    (at / "many.def").write_text((at / "app.def").read_text() + "    # another image\n")
    assert world.run("build", "many.sif", "many.def").returncode == 0
    for engine in ("docker", "podman"):
        started = [
            world.begin("exec", "--engine", engine, "many.sif", "/bin/sh", "-c", "echo $GREETING") for _ in range(3)
        ]
        ends = [process.communicate(timeout=PATIENCE) for process in started]
        assert [(process.returncode, out) for process, (out, _) in zip(started, ends, strict=True)] == [
            (0, b"hello there\n")
        ] * 3
        talk = b"".join(err for _, err in ends)
        assert talk.count(b"giving many.sif") == 1, talk
    assert list((at / "tmp").iterdir()) == []


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("engine", ["docker", "podman"])
def test_giving_is_broken_off_without_a_trace(world: World, engine: str, how: signal.Signals) -> None:
    name = f"{engine}-{how.name.lower()}"
    at = world.at
    (at / f"{name}.bin").write_bytes(os.urandom(20_000_000))
    (at / f"{name}.def").write_text(f"{(at / 'app.def').read_text()}%files\n    {name}.bin /data\n")
    done = world.run("build", f"{name}.sif", f"{name}.def")
    assert done.returncode == 0, done.stderr
    process = world.begin("exec", "--engine", engine, f"{name}.sif", "/bin/sh", "-c", "echo ran")
    assert process.stderr is not None
    assert b"giving" in process.stderr.readline()
    process.send_signal(how)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == (130 if how == signal.SIGINT else -how)
    assert [each for each in (at / "tmp").iterdir() if "sealift" in each.name] == []
    done = world.run("exec", "--engine", engine, f"{name}.sif", "/bin/sh", "-c", "echo ran")
    assert (done.returncode, done.stdout) == (0, b"ran\n"), done.stderr


def test_a_daemon_that_is_not_there_is_said_before_any_work(world: World) -> None:
    done = world.run("exec", "--engine", "docker", "app.sif", "/bin/sh", env={"DOCKER_HOST": "unix:///no/such"})
    assert (done.returncode, done.stdout) == (6, b"")
    assert done.stderr.decode() == (
        "error: Docker's daemon cannot be spoken to: Cannot connect to the Docker daemon at unix:///no/such. "
        "Is the docker daemon running?\n"
        "hint: is it running, and may you use it? see: docker info\n"
        "hint: run it without: --engine embedded\n"
    )


def test_an_image_of_the_same_files_and_another_configuration_has_another_name(world: World) -> None:
    """The working directory, ports and user of an OCI image are in no file."""
    names = []
    for number, config in enumerate(({"WorkingDir": "/opt"}, {"WorkingDir": "/bin", "User": "33"})):
        # Under one name, for the image's labels tell it.
        layout = world.at / "layout"
        shutil.rmtree(layout, ignore_errors=True)
        layouts.write_layout(layout, [LAYER], config={"Env": ["PATH=/bin"], **config})
        world.as_user.give(layout)
        done = world.run("build", f"same{number}.sif", "oci:layout")
        assert done.returncode == 0, done.stderr
        shown = world.run("exec", "--print", "--engine", "docker", f"same{number}.sif", "x").stdout.decode()
        names += [word for word in shown.split() if word.startswith("localhost/sealift:")]
    first, second = names
    assert first.partition("-")[0] == second.partition("-")[0]
    assert first != second


LAYER = layers.tar([layers.folder("bin"), layers.file("bin/sh", b"no shell", mode=0o755)])
