"""Whole command lines of Docker and Podman."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sealift.core.launch import Action
from sealift.engines.clean import docker
from sealift.engines.clean.inside import script
from sealift.engines.environment import Voices
from sealift.errors import UsageError
from tests.engines.clean.world import APART, AROUND, DATA, FOREIGN, IMAGE, bare, caller, pairs, plan

MINE = ["--userns", "keep-id", "--group-add", "keep-groups", "--user", "1000:100", "--cap-drop", "all"]
ALONE = ["--network", "host", "--ipc", "host", "--pid", "host", "--uts", "host"]
INSIDE = APART | {"HOME": "/home/me"}
EMPTY = ["--tmpfs", "/tmp:rw,exec,mode=1777", "--tmpfs", "/var/tmp:rw,exec,mode=1777"]


def test_docker_as_apptainer_would_show_it() -> None:
    started = docker.command_line(
        plan(binds=(DATA,), env={"A": "b c"}), IMAGE, caller(terminal=True), name="docker", program="/usr/bin/docker"
    )
    assert list(started.argv) == [
        *("/usr/bin/docker", "run", "--rm", "--interactive", "--tty"),
        *ALONE,
        *("--group-add", "27", "--user", "1000:100", "--cap-drop", "all"),
        *("--read-only", "--security-opt", "no-new-privileges"),
        *("--mount", "type=bind,source=/tmp,target=/tmp"),
        *("--mount", 'type=bind,source=/lustre/data,"target=/in put,1",readonly'),
        *("--mount", "type=bind,source=/var/tmp,target=/var/tmp"),
        *("--mount", "type=bind,source=/home/me,target=/home/me"),
        *("--mount", "type=bind,source=/lustre/me,target=/scratch/me"),
        *("--workdir", "/scratch/me/run"),
        *pairs("--env", AROUND),
        *settled(AROUND, {"A": "b c"}),
    ]
    assert started.env == caller().env


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, [*ALONE, *MINE, "--read-only"]),
        (
            {"contain_all": True, "writable_tmpfs": True},
            ["--network", "host", "--ipc", "private", "--init", "--uts", "host", *MINE],
        ),
        (
            {"pid": True, "no_init": True, "net": True, "fakeroot": True, "ipc": True},
            [
                *("--network", "none", "--ipc", "private", "--group-add", "keep-groups"),
                *("--user", "0:0", "--read-only"),
            ],
        ),
        (
            {"hostname": "node", "dns": "192.0.2.1,192.0.2.2", "add_caps": "CAP_SYS_NICE", "drop_caps": "all"},
            [
                *(*ALONE[:-2], "--hostname", "node", "--dns", "192.0.2.1", "--dns", "192.0.2.2"),
                *(*MINE[:-2], "--cap-add", "CAP_SYS_NICE", "--cap-drop", "all", "--read-only"),
            ],
        ),
        (
            {"nv": True},
            [*ALONE, *MINE, "--device", "nvidia.com/gpu=all", "--read-only"],
        ),
        (
            {"rocm": True},
            [*ALONE, *MINE, "--device", "/dev/kfd", "--device", "/dev/dri", "--read-only"],
        ),
    ],
)
def test_podman_flag_by_flag(fields: dict[str, object], words: list[str]) -> None:
    started = docker.command_line(bare(**fields), IMAGE, caller(), name="podman", program="podman")
    assert list(started.argv) == [
        *("podman", "run", "--rm", "--interactive"),
        *words,
        *("--security-opt", "no-new-privileges"),
        *EMPTY,
        *pairs("--env", INSIDE),
        *settled(INSIDE, {}),
    ]


def test_what_docker_starts_inside() -> None:
    """The image's shell makes the environment; an image without one is started as its configuration says."""
    more: dict[str, object] = {"env": {"LD_LIBRARY_PATH": "/mine"}, "app": "tool", "action": "run"}
    argv = docker.command_line(bare(**more), IMAGE, caller(), name="podman", program="podman").argv
    assert list(argv[argv.index("no-new-privileges") + 1 :]) == [
        *EMPTY,
        *pairs("--env", INSIDE | {"APPTAINER_APPNAME": "tool", "SINGULARITY_APPNAME": "tool"}),
        *settled(INSIDE, {"LD_LIBRARY_PATH": "/mine${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"}, "run", "tool"),
    ]
    bash = replace(IMAGE, shell="/bin/bash", variables=("A", "HOME", "OMP_NUM_THREADS"))
    host = replace(caller(APPTAINERENV_B="c"), umask=0o027)
    argv = docker.command_line(bare(no_eval=True), bash, host, name="docker", program="docker").argv
    assert list(argv[argv.index("no-new-privileges") + 1 :]) == [
        *EMPTY,
        *pairs("--env", INSIDE | {"APPTAINER_NO_EVAL": "1", "SINGULARITY_NO_EVAL": "1"}),
        *("--entrypoint", "/bin/bash", IMAGE.reference, "-c"),
        script("exec", voices=Voices(host=INSIDE, orders={"B": "c"}, expand=False), variables=("A",), umask=0o027),
        *("exec", "python", "train.py"),
    ]
    argv = docker.command_line(
        bare(env={"A": "b"}), replace(IMAGE, shell=""), caller(), name="docker", program="docker"
    ).argv
    assert list(argv[argv.index("no-new-privileges") + 1 :]) == [
        *EMPTY,
        *pairs("--env", APART | {"A": "b"}),
        *("--entrypoint", "python", IMAGE.reference, "train.py"),
    ]


def settled(host: dict[str, str], orders: dict[str, str], action: Action = "exec", app: str = "") -> list[str]:
    text = script(action, voices=Voices(host=host, orders=orders), variables=(), umask=0o022, app=app)
    return ["--entrypoint", "/bin/sh", IMAGE.reference, "-c", text, action, "python", "train.py"]


@pytest.mark.parametrize(("terminal", "name"), [(False, "podman"), (True, "podman"), (False, "docker")])
def test_podman_hands_the_descriptors_on_where_it_can(terminal: bool, name: docker.Name) -> None:
    host = replace(caller(terminal=terminal), passthrough=True)
    argv = docker.command_line(bare(), IMAGE, host, name=name, program=name).argv
    assert argv[:3] == (name, "run", "--rm")
    more = {True: ("--tty",), False: ("--log-driver", "passthrough") if name == "podman" else ()}
    assert argv[3 : argv.index("--network")] == ("--interactive", *more[terminal])


def test_an_image_without_a_shell_is_not_tested() -> None:
    with pytest.raises(UsageError) as caught:
        docker.command_line(bare(action="test"), replace(IMAGE, shell=""), caller(), name="docker", program="docker")
    assert caught.value.message == "`x` has no shell that could run a test"
    assert caught.value.hints == ("run a program: sealift exec … IMAGE PROGRAM",)


def test_podman_of_root_maps_nobody() -> None:
    argv = docker.command_line(
        bare(), IMAGE, replace(caller(), uid=0, gid=0, groups=(0,)), name="podman", program="podman"
    ).argv
    assert argv[argv.index("--uts") + 2 : argv.index("--read-only")] == ("--user", "0:0", "--cap-drop", "all")


def test_docker_says_everything_that_it_cannot_do() -> None:
    with pytest.raises(UsageError) as caught:
        docker.command_line(plan(overlays=("/o",), env_files=("f",)), IMAGE, caller(), name="docker", program="docker")
    assert caught.value.message == (
        "Docker cannot do what is asked for: `--env-file` (a shell reads them under Apptainer, Docker takes them word "
        "for word), `--overlay` (its images take no overlay)"
    )
    assert caught.value.hints == ("leave out --env-file --overlay, or take another --engine",)


@pytest.mark.parametrize(
    ("order", "own", "path"),
    [
        ("/mine", "/opt/app/lib", "/mine:/opt/app/lib"),
        ("/mine", "", "/mine"),
        ("/a:/b", "/b:/c", "/a:/b:/c"),
    ],
)
def test_the_library_path_of_a_foreign_image_is_one_value_of_the_order_and_its_own(
    order: str, own: str, path: str
) -> None:
    wanted = bare(env={"LD_LIBRARY_PATH": order})
    image = replace(FOREIGN, library_path=own)
    argv = docker.command_line(wanted, image, caller(), name="docker", program="docker").argv
    assert list(argv[argv.index("no-new-privileges") + 1 :]) == [
        *EMPTY,
        *pairs("--env", APART | {"LD_LIBRARY_PATH": path}),
        *("--entrypoint", "python", IMAGE.reference, "train.py"),
    ]
    argv = docker.command_line(bare(), image, caller(), name="docker", program="docker").argv
    assert list(argv[argv.index("no-new-privileges") + 1 :]) == [
        *EMPTY,
        *pairs("--env", APART),
        *("--entrypoint", "python", IMAGE.reference, "train.py"),
    ]


def test_a_contained_program_works_in_an_empty_home() -> None:
    argv = docker.command_line(plan(contain=True), IMAGE, caller(), name="podman", program="podman").argv
    assert list(argv) == [
        *("podman", "run", "--rm", "--interactive"),
        *(*ALONE, *MINE, "--read-only", "--security-opt", "no-new-privileges"),
        *(*EMPTY, "--tmpfs", "/home/me:rw,exec,mode=1777", "--workdir", "/home/me"),
        *pairs("--env", INSIDE),
        *settled(INSIDE, {}),
    ]


def test_docker_shows_gpus_by_its_own_flag() -> None:
    argv = docker.command_line(bare(nv=True), IMAGE, caller(), name="docker", program="docker").argv
    assert list(argv) == [
        *("docker", "run", "--rm", "--interactive"),
        *ALONE,
        *("--group-add", "27", "--user", "1000:100", "--cap-drop", "all", "--gpus", "all", "--read-only"),
        *("--security-opt", "no-new-privileges"),
        *EMPTY,
        *pairs("--env", INSIDE),
        *settled(INSIDE, {}),
    ]


@pytest.mark.parametrize(
    ("short", "long"),
    [
        (
            {"compat": True},
            {"contain_all": True, "no_init": True, "no_umask": True, "no_eval": True, "writable_tmpfs": True},
        ),
        ({"network": "none"}, {"net": True}),
    ],
)
def test_a_flag_that_stands_for_others(short: dict[str, object], long: dict[str, object]) -> None:
    found, expected = (
        docker.command_line(plan(**fields), IMAGE, caller(), name="docker", program="docker").argv
        for fields in (short, long)
    )
    assert found == expected


def test_other_networks_are_refused() -> None:
    with pytest.raises(UsageError) as caught:
        docker.command_line(plan(network="bridge"), IMAGE, caller(), name="docker", program="docker")
    assert caught.value.message == "Docker cannot do what is asked for: `--network`"


@pytest.mark.parametrize(("name", "there"), [("podman", True), ("podman", False), ("docker", False)])
def test_a_process_1_is_lent_by_who_has_one(name: docker.Name, there: bool) -> None:
    host = replace(caller(), podman_init=there)
    argv = docker.command_line(bare(pid=True), IMAGE, host, name=name, program=name).argv
    assert ("--init" in argv) is (there or name == "docker")
    assert "--pid" not in argv
