from __future__ import annotations

from dataclasses import replace

import pytest

from sealift.core.launch import LaunchPlan
from sealift.engines.apptainer import command_line
from tests.engines.conftest import bind, plan

PROGRAM = "/opt/bin/apptainer"
ENV = {"PATH": "/bin", "APPTAINER_BIND": "/site"}


@pytest.mark.parametrize(
    ("wanted", "argv"),
    [
        (plan("i.sif", "ls", "-l"), ("exec", "i.sif", "ls", "-l")),
        (plan("i.sif", action="run"), ("run", "i.sif")),
        (plan("i.sif", "a b", action="test"), ("test", "i.sif", "a b")),
        (plan("i.sif", "ignored", action="shell", shell="/bin/zsh"), ("shell", "--shell", "/bin/zsh", "i.sif")),
        (plan("-x.sif", "ls"), ("exec", "./-x.sif", "ls")),
        (
            plan(
                "i.sif",
                "ls",
                contain=True,
                clean_env=True,
                no_home=True,
                writable_tmpfs=True,
                nv=True,
                rocm=True,
                home="/a:/b",
                pwd="/c",
                app="foo",
                binds=(bind("/d", "/e", read_only=True), bind("/f,g", "/h")),
                env={"K": "v w", "E": ""},
                env_files=("vars",),
            ),
            (
                *("exec", "--contain", "--cleanenv", "--no-home", "--writable-tmpfs", "--nv", "--rocm"),
                *("--home", "/a:/b", "--pwd", "/c", "--app", "foo", "--bind", "/d:/e:ro", "--bind", "/f\\,g:/h"),
                *("--env-file", "vars", "--env", "K=v w", "--env", "E=", "i.sif", "ls"),
            ),
        ),
        (plan("i.sif", "ls", contain=True, contain_all=True), ("exec", "--containall", "i.sif", "ls")),
        (
            plan(
                "i.sif",
                "ls",
                compat=True,
                writable=True,
                fakeroot=True,
                userns=True,
                pid=True,
                no_pid=True,
                no_init=True,
                ipc=True,
                uts=True,
                net=True,
                no_umask=True,
                no_eval=True,
                keep_privs=True,
                no_privs=True,
                workdir="/w",
                hostname="h",
                network="none",
                dns="9.9.9.9",
                add_caps="a",
                drop_caps="b",
                overlays=("o:ro", "p"),
                scratch=("/s,/t",),
                no_mount=("home",),
                mounts=("type=bind,src=/a,dst=/b",),
                security=("uid:1",),
                engine_options=("--cpus=2",),
                engine_hints=("--unsquash",),
            ),
            (
                *("exec", "--compat", "--writable", "--fakeroot", "--userns", "--pid", "--no-pid", "--no-init"),
                *("--ipc", "--uts", "--net", "--no-umask", "--no-eval", "--keep-privs", "--no-privs"),
                *("--workdir", "/w"),
                *("--hostname", "h", "--network", "none", "--dns", "9.9.9.9", "--add-caps", "a", "--drop-caps", "b"),
                *("--overlay", "o:ro", "--overlay", "p", "--scratch", "/s,/t", "--no-mount", "home"),
                *("--mount", "type=bind,src=/a,dst=/b", "--security", "uid:1", "--cpus=2", "--unsquash", "i.sif", "ls"),
            ),
        ),
    ],
)
def test_whole_command_line(wanted: LaunchPlan, argv: tuple[str, ...]) -> None:
    started = command_line(wanted, name="apptainer", program=PROGRAM, env=ENV)
    assert (started.argv, started.env, started.added) == ((PROGRAM, *argv), ENV, ())


@pytest.mark.parametrize(("name", "prefix"), [("apptainer", "APPTAINERENV_"), ("singularity", "SINGULARITYENV_")])
def test_values_with_commas_go_by_the_environment(name: str, prefix: str) -> None:
    wanted = plan("i.sif", "ls", env={"LIST": "a,b", "LINES": "a\nb", "PLAIN": "c"})
    started = command_line(wanted, name=name, program=PROGRAM, env=ENV)  # type: ignore[arg-type]
    assert started.argv == (PROGRAM, "exec", "--env", "PLAIN=c", "i.sif", "ls")
    assert started.env == {**ENV, f"{prefix}LIST": "a,b", f"{prefix}LINES": "a\nb"}
    assert started.line() == f"{prefix}LIST=a,b {prefix}LINES='a\nb' {PROGRAM} exec --env PLAIN=c i.sif ls"


def test_a_variable_that_a_shell_cannot_set_goes_by_env() -> None:
    started = command_line(plan("i.sif", "ls", env={"a-b": "c,'d"}), name="apptainer", program=PROGRAM, env=ENV)
    assert started.line() == f"env 'APPTAINERENV_a-b=c,'\"'\"'d' {PROGRAM} exec i.sif ls"


def test_the_line_can_be_pasted() -> None:
    wanted = replace(plan("my image.sif", "sh", "-c", "echo $HOME"), pwd="/a b")
    started = command_line(wanted, name="apptainer", program=PROGRAM, env=ENV)
    assert started.line() == f"{PROGRAM} exec --pwd '/a b' 'my image.sif' sh -c 'echo $HOME'"
