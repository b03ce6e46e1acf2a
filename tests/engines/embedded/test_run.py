"""The embedded engine alone: how a run ends, what it leaves, and what it does where host or image lack something."""

from __future__ import annotations

import contextlib
import os
import pty
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from sealift.core.launch import LaunchPlan
from tests.engines import trees
from tests.engines.conftest import DRIVER, RunPlan, bind, no_squashfuse, order, plan, processes
from tests.ground import users

pytestmark = [pytest.mark.slow, pytest.mark.needs("subuid-user", "plain-user", "squashfuse", "mksquashfs")]
Begin = Callable[..., "subprocess.Popen[bytes]"]


def ready(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"


CATCH = "trap 'echo caught; exit 5' {name}; echo ready; while :; do sleep 0.05; done"


@pytest.mark.parametrize("contain_all", [False, True], ids=["shared", "own-pids"])
@pytest.mark.parametrize("name", ["TERM", "HUP", "INT", "USR1", "USR2", "WINCH", "CONT"])
def test_signals_reach_the_program(name: str, contain_all: bool, begin_plan: Begin, sif: Path) -> None:
    process = begin_plan(plan(sif, "bash", "-c", CATCH.format(name=name), contain_all=contain_all))
    ready(process)
    process.send_signal(getattr(signal, f"SIG{name}"))
    assert process.wait(timeout=30) == 5
    assert process.stdout is not None
    assert process.stdout.read() == b"caught\n"


@pytest.mark.parametrize("contain_all", [False, True], ids=["shared", "own-pids"])
def test_killed_it_leaves_nothing(contain_all: bool, begin_plan: Begin, sif: Path) -> None:
    """After `kill -9` of the process that was started: no program, no squashfuse, no mount."""
    user = users.get("subuid")
    before = Path("/proc/self/mountinfo").read_text()
    process = begin_plan(plan(sif, "bash", "-c", "echo ready; exec sleep 1000", contain_all=contain_all))
    ready(process)
    assert b"squashfuse_ll" in processes(user.uid)
    process.kill()
    assert process.wait(timeout=30) == -signal.SIGKILL
    for _ in range(500):
        if b"sleep" not in processes(user.uid):
            break
        time.sleep(0.01)
    assert b"sleep" not in processes(user.uid)
    assert no_squashfuse(user.uid)
    assert Path("/proc/self/mountinfo").read_text() == before


def test_there_is_no_parent(begin_plan: Begin, sif: Path) -> None:
    """The process that was started is the program: nothing of ours waits, and a `wait` in it finds no child."""
    process = begin_plan(plan(sif, "bash", "-c", "wait; echo ready; exec sleep 1000"))
    ready(process)
    for _ in range(500):
        if Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n":
            break
        time.sleep(0.01)
    assert Path(f"/proc/{process.pid}/comm").read_text() == "sleep\n"
    assert Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text() == ""
    process.terminate()
    assert process.wait(timeout=30) == -signal.SIGTERM


def test_a_daemon_keeps_the_image(begin_plan: Begin, sif: Path) -> None:
    """squashfuse serves as long as a process of the container lives, and not longer."""
    process = begin_plan(plan(sif, "bash", "-c", "(sleep 1; ls / >/dev/null) & echo ready"))
    ready(process)
    assert process.wait(timeout=30) == 0
    assert b"squashfuse_ll" in processes(users.get("subuid").uid)
    assert no_squashfuse(users.get("subuid").uid)


def test_descriptors_are_passed_on(as_user: users.AsUser, sif: Path, open_folder: Path) -> None:
    """A batch system hands sockets to its ranks (PMI_FD): nothing in between may close or use them."""
    argv = [str(as_user.bin / "python"), "-c", DRIVER, order(plan(sif, "bash", "-c", "cat <&9; cat <&20"), "embedded")]
    script = 'exec 9<<<"nine" 20<<<"twenty"; exec "$@"'
    done = as_user(["bash", "-c", script, "bash", *argv])
    assert (done.returncode, done.stdout) == (0, b"nine\ntwenty\n"), done.stderr


def test_a_broken_pipe_ends_the_program(as_user: users.AsUser, sif: Path) -> None:
    argv = [
        str(as_user.bin / "python"),
        "-c",
        DRIVER,
        order(plan(sif, "bash", "-c", "while echo y; do :; done"), "embedded"),
    ]
    done = as_user(["bash", "-c", '"$@" | head -1; echo "${PIPESTATUS[0]}"', "bash", *argv])
    assert (done.returncode, done.stdout) == (0, b"y\n141\n"), done.stderr


@pytest.mark.parametrize(
    "options", [{}, {"contain": True}, {"contain_all": True}], ids=["plain", "contain", "containall"]
)
def test_terminal(options: dict[str, bool], as_user: users.AsUser, sif: Path) -> None:
    """The program has the terminal, by a name that exists inside; Ctrl-C reaches it once."""
    script = "tty; trap 'echo caught; exit 7' INT; echo ready; while :; do sleep 0.05; done"
    wanted = replace(plan(sif, "bash", "-c", script), **options)  # type: ignore[arg-type]
    user = users.get("subuid")
    python, env = str(as_user.bin / "python"), as_user.environment()
    child, terminal = pty.fork()
    if child == 0:
        try:
            if os.geteuid() == 0:
                os.setgroups([])
                os.setgid(user.gid)
                os.setuid(user.uid)
            os.execve(python, [python, "-c", DRIVER, order(wanted, "embedded")], env)
        finally:
            os._exit(99)
    said = b""
    with contextlib.suppress(OSError):  # EIO: nobody has the other end any more
        while part := os.read(terminal, 1000):
            said += part
            if said.endswith(b"ready\r\n"):
                os.write(terminal, b"\x03")
    _, status = os.waitpid(child, 0)
    os.close(terminal)
    lines = said.decode().replace("^C", "").split()
    assert lines == ["/dev/console" if options else lines[0], "ready", "caught"]
    assert lines[0].startswith("/dev/")
    assert os.waitstatus_to_exitcode(status) == 7


def test_every_exit_code(run_plan: RunPlan, sif: Path) -> None:
    for code in (0, 1, 2, 63, 64, 100, 125, 126, 127, 128, 129, 200, 254, 255):
        assert run_plan(plan(sif, "bash", "-c", f"exit {code}")).returncode == code


@pytest.mark.parametrize("user", ["subuid", "plain", "root"])
@pytest.mark.parametrize("form", ["sif", "squashfs", "tree"])
@pytest.mark.needs("root")
def test_every_form_as_everybody(form: str, user: str, run_plan: RunPlan, request: pytest.FixtureRequest) -> None:
    image = request.getfixturevalue(form)
    script = "id -u; cat /etc/os-release; touch /etc/x 2>/dev/null; echo $?; echo $APPTAINER_NAME"
    done = run_plan(plan(image, "bash", "-c", script), user=user, cwd="/")
    uid = 0 if user == "root" else users.get("plain" if user == "plain" else "subuid").uid
    assert done.stdout.decode().split("\n")[:4] == [str(uid), "ID=tree", "1", image.name], done.stderr


@pytest.mark.needs("root")
@pytest.mark.parametrize(
    "options", [{}, {"contain_all": True}, {"writable_tmpfs": True}], ids=["plain", "containall", "writable"]
)
def test_root_leaves_nothing(options: dict[str, bool], run_plan: RunPlan, sif: Path) -> None:
    before = Path("/proc/self/mountinfo").read_text(), sorted(os.listdir("/sys/block"))
    wanted = replace(plan(sif, "bash", "-c", "touch /x; echo $?; grep NoNewPrivs /proc/self/status"), **options)  # type: ignore[arg-type]
    done = run_plan(wanted, user="root", cwd="/")
    assert done.stdout == (b"0" if "writable_tmpfs" in options else b"1") + b"\nNoNewPrivs:\t1\n", done.stderr
    assert Path("/proc/self/mountinfo").read_text() == before[0]
    backing = [Path(f"/sys/block/{name}/loop/backing_file") for name in sorted(os.listdir("/sys/block"))]
    assert str(sif) not in [path.read_text().strip() for path in backing if path.exists()]


def test_setuid_programs_give_no_rights(run_plan: RunPlan, sif: Path) -> None:
    done = run_plan(plan(sif, "grep", "-E", "^(NoNewPrivs|Cap)", "/proc/self/status"))
    nothing = "0" * 16
    assert done.stdout.decode().split() == [
        *(word for name in ("Inh", "Prm", "Eff", "Bnd", "Amb") for word in (f"Cap{name}:", nothing)),
        "NoNewPrivs:",
        "1",
    ]


def test_without_fuse_it_is_unpacked(run_plan: RunPlan, sif: Path, tree: Path) -> None:
    script = "cat /etc/os-release; echo $APPTAINER_CONTAINER"
    wanted = plan(sif, "bash", "-c", script)
    without = {"PATH": "/nowhere"}
    done = run_plan(wanted, env=without, unpacked=str(tree))
    assert (done.returncode, done.stdout) == (0, f"ID=tree\n{sif}\n".encode()), done.stderr
    if any(os.access(f"{folder}/squashfuse_ll", os.X_OK) for folder in ("/usr/sbin", "/usr/libexec/apptainer/bin")):
        return  # found beside PATH, as on sites that have it from Apptainer's package
    refused = run_plan(wanted, env=without)
    assert refused.returncode == 6
    assert refused.stderr.startswith(
        b"HostError: `%s` cannot be mounted: no `squashfuse` for FUSE 3 is installed" % bytes(sif)
    )


def test_a_damaged_image(run_plan: RunPlan, squashfs: Path, open_folder: Path) -> None:
    damaged = open_folder / "damaged.sqfs"
    damaged.write_bytes(squashfs.read_bytes()[:90] + bytes(5000))
    done = run_plan(plan(damaged, "true"))
    assert done.returncode == 5
    assert done.stderr.startswith(b"ImageError: `%s` is damaged: its file system cannot be read" % bytes(damaged))


def test_another_processor(run_plan: RunPlan, foreign_sif: Path) -> None:
    done = run_plan(plan(foreign_sif, "true"))
    assert done.returncode == 5
    assert done.stderr.startswith(b"ImageError: `%s` is for s390x (s390x), this machine is" % bytes(foreign_sif))


FAULTS: dict[str, tuple[LaunchPlan, int, str]] = {
    "no image": (plan("/no/such.sif", "true"), 5, "ImageError: there is no image `/no/such.sif`"),
    "no source": (
        plan("IMAGE", "true", binds=(bind("/no/such", "/x"),)), 2,
        "UsageError: `/no/such` cannot be bound: no such file or directory",
    ),
    "folder on file": (
        plan("IMAGE", "true", binds=(bind("/usr", "/etc/passwd"),)), 2,
        "UsageError: `/usr` cannot be bound at `/etc/passwd`: one is a folder, the other is not",
    ),
    "in proc": (
        plan("IMAGE", "true", binds=(bind("/etc/hostname", "/proc/new"),)), 2,
        "UsageError: `/etc/hostname` cannot be bound at `/proc/new`: `/proc/new` does not exist in the container",
    ),
    "no program": (
        plan("IMAGE", "nothing"), 255, "CannotRunError: `nothing`: executable file not found in $PATH",
    ),
    "no program, own pids": (
        plan("IMAGE", "nothing", contain_all=True), 255,
        "CannotRunError: `nothing`: executable file not found in $PATH",
    ),
    "no source, own pids": (
        plan("IMAGE", "true", contain_all=True, binds=(bind("/usr", "/etc/passwd"),)), 2,
        "UsageError: `/usr` cannot be bound at `/etc/passwd`: one is a folder, the other is not",
    ),
    "no pwd": (
        plan("IMAGE", "true", pwd="/no/such"), 255,
        "CannotRunError: `--pwd /no/such` cannot be the working directory: no such file or directory",
    ),
    "no app": (plan("IMAGE", action="run", app="none"), 1, ""),
    "no env file": (
        plan("IMAGE", "true", env_files=("/no/such",)), 2,
        "UsageError: `--env-file /no/such` cannot be read: no such file or directory",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", FAULTS)
def test_faults(case: str, run_plan: RunPlan, sif: Path) -> None:
    wanted, code, line = FAULTS[case]
    done = run_plan(replace(wanted, image=wanted.image.replace("IMAGE", str(sif))))
    assert (done.returncode, done.stderr.decode().split("\n")[0]) == (code, line)


def test_env_files(run_plan: RunPlan, sif: Path, open_folder: Path) -> None:
    (open_folder / "vars").write_text('ONE=1\nTWO="at $HOME"\nTHREE=file\n')
    wanted = plan(
        sif, "bash", "-c", "echo $ONE $TWO $THREE", env_files=(str(open_folder / "vars"),), env={"THREE": "flag"}
    )
    done = run_plan(wanted)
    assert done.stdout.decode() == f"1 at {users.get('subuid').home} flag\n", done.stderr


REFUSALS = {
    "unshare": "def refuse(*arguments): raise OSError(28, 'No space left on device')\nkernel.unshare = refuse\n",
    "mount": "def refuse(*arguments): raise OSError(13, 'Permission denied')\nkernel.mount = refuse\n",
}


@pytest.mark.parametrize("call", REFUSALS)
def test_a_host_without_user_namespaces(call: str, as_user: users.AsUser, sif: Path) -> None:
    driver = f"from sealift.system import kernel\n{REFUSALS[call]}{DRIVER}"
    done = as_user([as_user.bin / "python", "-c", driver, order(plan(sif, "true"), "embedded")])
    why = {"unshare": "no space left on device", "mount": "permission denied"}[call]
    lines = done.stderr.decode().splitlines()
    assert (done.returncode, lines[0]) == (6, f"HostError: this host lets this user make no container: {why}")
    assert lines[-1] == "hint: see what this host allows: sealift doctor"
    if call == "unshare":
        assert "hint: ask an administrator for: sysctl -w user.max_user_namespaces=15000" in lines


@pytest.mark.parametrize("mask", [0o077, 0o002])
def test_the_callers_umask(mask: int, as_user: users.AsUser, sif: Path) -> None:
    """It is the program's, and not that of what is made for the container."""
    wanted = plan(sif, "bash", "-c", "umask; stat -c %a /etc/passwd /home /etc/resolv.conf")
    argv = [str(as_user.bin / "python"), "-c", DRIVER, order(wanted, "embedded")]
    done = as_user(["sh", "-c", f'umask {mask:03o}; exec "$@"', "sh", *argv])
    assert done.stdout.decode().split() == [f"{mask:04o}", "644", "755", "644"], done.stderr


NO_OVERLAY = """
from sealift.engines.embedded import room
def refuse(*arguments, **more):
    raise OSError(1, "not permitted")
room.overlay = refuse
"""


def test_without_overlay(run_plan: RunPlan, sif: Path, as_user: users.AsUser) -> None:
    """An underlay shows the same tree, mount points of its own included."""
    driver = NO_OVERLAY + DRIVER
    script = "ls -A / /etc /opt /opt/tool; cat /opt/tool/new/name; touch /x /etc/x 2>/dev/null; echo $?; pwd"
    wanted = plan(sif, "bash", "-c", script, binds=(bind("/etc/hostname", "/opt/tool/new/name"),))
    argv = [str(as_user.bin / "python"), "-c", driver, order(wanted, "embedded")]
    under = as_user(argv)
    over = run_plan(wanted, engine="embedded", cwd=as_user.folder())
    assert no_squashfuse(users.get("subuid").uid)
    assert under.returncode == 0, under.stderr
    assert under.stdout == over.stdout


@pytest.fixture(scope="session")
def shell_less(session_folder: Path) -> Path:
    """A root folder with a few programs and no shell, such as those of distroless images."""
    root = trees.make_tree(session_folder / "engines" / "shell-less", programs=("env", "cat"))
    (root / ".singularity.d/env/90-environment.sh").write_text('export PLAIN="a $FROM_OCI"\n')
    (root / ".singularity.d/runscript").write_text(
        '#!/bin/sh\nOCI_ENTRYPOINT=\'"/usr/bin/env"\'\nOCI_CMD=\'"-i" "A=it\'"\'"\'s"\'\nexec nothing\n'
    )
    return trees.make_squashfs(root, root.with_suffix(".sqfs"))


@pytest.mark.parametrize(
    ("script", "expected"),
    [("cd /opt\n", "PLACE"), ("cd /opt; cd /usr\n", "PLACE"), ("export PWD=/x\n", "/x"), ("cd .\n", "PLACE")],
)
def test_a_cd_in_the_environment_moves_nobody(
    script: str, expected: str, run_plan: RunPlan, open_folder: Path, as_user: users.AsUser
) -> None:
    root = trees.make_tree(open_folder / "tree")
    (root / ".singularity.d/env/90-environment.sh").write_text(script)
    place = str(as_user.folder())
    seen = [
        run_plan(plan(root, *argv), cwd=place).stdout.decode().splitlines()
        for argv in (("env",), ("bash", "-c", "pwd -P"))
    ]
    assert [line for line in seen[0] if line.startswith("PWD=")] == [f"PWD={expected.replace('PLACE', place)}"]
    assert seen[1] == [place]


def test_a_mount_that_cannot_be_made_is_told_without_our_own_paths(run_plan: RunPlan, open_folder: Path) -> None:
    """An image whose /etc/localtime leads to a folder, as `ln -s /usr/share/zoneinfo/Europe` makes it."""
    root = trees.make_tree(open_folder / "tree")
    (root / "usr/share/zoneinfo/Europe").mkdir(parents=True)
    (root / "etc/localtime").unlink(missing_ok=True)
    (root / "etc/localtime").symlink_to("/usr/share/zoneinfo/Europe")
    done = run_plan(plan(root, "bash", "-c", "echo started"))
    assert done.stdout == b"started\n", done.stderr
    assert done.stderr == b"warning: `/etc/localtime` is not mounted: not a directory\n"


def test_an_image_without_a_shell(run_plan: RunPlan, shell_less: Path) -> None:
    done = run_plan(plan(shell_less, "env", env={"ORDERED": "x $PLAIN"}), env={"FROM_OCI": "host", "OTHER": "o"})
    env = dict(line.split("=", 1) for line in done.stdout.decode().splitlines())
    assert {name: env[name] for name in ("FROM_OCI", "PLAIN", "ORDERED", "OTHER", "PATH", "LD_LIBRARY_PATH")} == {
        "FROM_OCI": "the image's",
        "PLAIN": "a the image's",
        "ORDERED": "x a the image's",
        "OTHER": "o",
        "PATH": "/opt/tool/bin:/usr/bin:/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/sbin",
        "LD_LIBRARY_PATH": "/.singularity.d/libs",
    }
    done = run_plan(plan(shell_less, action="run"))
    assert (done.returncode, done.stdout) == (0, b"A=it's\n"), done.stderr
    done = run_plan(plan(shell_less, "-i", "B=2", action="run"))
    assert (done.returncode, done.stdout) == (0, b"B=2\n"), done.stderr
    done = run_plan(plan(shell_less, action="shell"))
    assert (done.returncode, done.stderr.split(b"\n")[0]) == (
        255,
        b"CannotRunError: the image has no shell: there is no `/bin/sh` in it",
    )
