from __future__ import annotations

from typing import Any

import pytest

from sealift.core.launch import Bind
from sealift.engines.embedded.layout import Caller, Home, Step, binds_as_steps, choose_home, cwd_steps, lay_out
from sealift.engines.embedded.wanted import settle
from sealift.errors import UsageError
from tests.engines.conftest import bind, plan

CALLER = Caller(uid=1000, gid=1000, name="u", home="/home/u", cwd="/work")
OPEN = ["/dev", "/etc/localtime", "/etc/hosts", "/proc", "/sys"]
SMALL_DEV = [
    *("/dev", "/dev/shm", "/dev/pts", "/dev/ptmx", "/dev/tty", "/dev/null", "/dev/zero", "/dev/random", "/dev/urandom"),
    *("/dev/fd", "/dev/stdin", "/dev/stdout", "/dev/stderr"),
]
HOME_AND_TMP = ["/home/u", "/tmp", "/var/tmp"]


@pytest.mark.parametrize(
    ("options", "terminal", "targets"),
    [
        ({}, "", [*OPEN, *HOME_AND_TMP]),
        ({"no_home": True}, "/dev/pts/1", [*OPEN, "/tmp", "/var/tmp"]),
        ({"contain": True}, "", [*SMALL_DEV, *OPEN[1:], *HOME_AND_TMP]),
        (
            {"contain": True},
            "/dev/pts/1",
            [*SMALL_DEV[:4], "/dev/console", *SMALL_DEV[4:], *OPEN[1:], *HOME_AND_TMP],
        ),
        (
            {"contain_all": True},
            "",
            ["/dev", "/dev/shm", "/dev/mqueue", *SMALL_DEV[2:], *OPEN[1:], *HOME_AND_TMP],
        ),
    ],
)
def test_targets(options: dict[str, Any], terminal: str, targets: list[str]) -> None:
    wanted, _ = settle(plan("i.sif", "true", **options))
    steps = lay_out(wanted, home=choose_home(wanted, CALLER), terminal=terminal)
    assert [step.target for step in steps] == targets


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, Home(source="/home/u", target="/home/u")),
        ({"contain": True}, Home(source="", target="/home/u")),
        ({"home": "/a"}, Home(source="/a", target="/a")),
        ({"home": "/a:/b", "contain": True}, Home(source="/a", target="/b")),
        ({"home": "rel:/b"}, Home(source="rel", target="/b")),
    ],
)
def test_home(options: dict[str, Any], expected: Home) -> None:
    assert choose_home(plan("i.sif", "true", **options), CALLER) == expected


@pytest.mark.parametrize("text", ["rel", "/a:b", "/a:/b:/c"])
def test_home_that_is_none(text: str) -> None:
    with pytest.raises(UsageError, match="is not SOURCE"):
        choose_home(plan("i.sif", "true", home=text), CALLER)


def test_proc_of_its_own_only_with_its_own_pids() -> None:
    cases: tuple[tuple[dict[str, Any], str], ...] = (
        ({}, "bind"),
        ({"contain": True}, "bind"),
        ({"contain_all": True}, "proc"),
    )
    for options, kind in cases:
        steps = lay_out(settle(plan("i.sif", "true", **options))[0], home=Home(source="", target="/h"), terminal="")
        assert [step.kind for step in steps if step.target == "/proc"] == [kind]


@pytest.mark.parametrize(
    ("binds", "contain", "expected", "warnings"),
    [
        (
            (bind("/a", "/x/y"), bind("/b", "/z", read_only=True)),
            False,
            (
                Step(kind="bind", target="/z", source="/b", read_only=True, asked=True),
                Step(kind="bind", target="/x/y", source="/a", asked=True),
            ),
            (),
        ),
        (
            (bind("/dev/fuse", "/dev/fuse"),),
            True,
            (Step(kind="bind", target="/dev/fuse", source="/dev/fuse", restrict=False, asked=True),),
            (),
        ),
        (
            (bind("/dev/a", "/dev/b"),),
            False,
            (),
            ("skipping the bind of `/dev/a`: within /dev, source and target must be the same path",),
        ),
    ],
)
def test_binds(binds: tuple[Bind, ...], contain: bool, expected: tuple[Step, ...], warnings: tuple[str, ...]) -> None:
    assert binds_as_steps(binds, contain=contain) == (expected, warnings)


def test_a_relative_target() -> None:
    with pytest.raises(UsageError) as caught:
        binds_as_steps((bind("/a", "b"),), contain=False)
    assert caught.value.hints == ("-B /a:/b",)


@pytest.mark.parametrize(
    ("cwd", "mounted"),
    [
        *((path, False) for path in ("", "/", "/etc", "/opt", "/proc/1", "/dev/shm", "/sys")),
        *((path, True) for path in ("/opt/x", "/usr/share", "/developer", "/work")),
    ],
)
def test_working_directory(cwd: str, mounted: bool) -> None:
    assert [step.target for step in cwd_steps(cwd)] == ([cwd] if mounted else [])
