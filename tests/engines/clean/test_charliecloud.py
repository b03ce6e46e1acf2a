"""Whole command lines of Charliecloud, and what the real ch-run makes of one."""

from __future__ import annotations

import pytest

from sealift.core.launch import Bind
from sealift.engines.clean import charliecloud
from sealift.engines.clean.image import StoredImage
from sealift.errors import UsageError
from tests.engines.clean.world import APART, AROUND, EXEC, IMAGE, bare, caller, plan, settled

APP = StoredImage(reference="/scratch/me/app.sqfs", library_path="/app/lib")
PATH = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}


def test_charliecloud() -> None:
    wanted = plan(binds=(Bind(source="/data", destination="/data"),), writable_tmpfs=True, fakeroot=True)
    assert list(charliecloud.command_line(wanted, APP, caller()).argv) == [
        *("ch-run", "--unset-env=*", "--env-no-expand", "--uid=0", "--gid=0", "--write-fake"),
        *("--bind=/lustre/data:/data", "--bind=/var/tmp:/var/tmp", "--bind=/home/me:/home/me"),
        *("--bind=/lustre/me:/scratch/me", "--cd=/scratch/me/run"),
        *(f"--set-env={name}={value}" for name, value in (PATH | AROUND).items()),
        *("/scratch/me/app.sqfs", "--", EXEC, "python", "train.py"),
    ]


@pytest.mark.parametrize(
    ("fields", "flags", "more", "inner"),
    [
        ({}, ["--private-tmp"], {}, (EXEC, "python", "train.py")),
        ({"rocm": True}, ["--private-tmp"], {}, (EXEC, "python", "train.py")),
        ({"writable": True}, ["--write", "--private-tmp"], {}, (EXEC, "python", "train.py")),
        (
            {"env": {"LD_LIBRARY_PATH": "/mine", "A": "b"}},
            ["--private-tmp"],
            {"A": "b", "LD_LIBRARY_PATH": "/mine:/app/lib"},
            settled("python", "train.py", A="b"),
        ),
        (
            {"env": {"A": "'b'"}},
            ["--private-tmp"],
            {"A": "''b''"},
            settled("python", "train.py", A="'b'"),
        ),
    ],
)
def test_charliecloud_with_nothing_of_the_host(
    fields: dict[str, object], flags: list[str], more: dict[str, str], inner: tuple[str, ...]
) -> None:
    assert list(charliecloud.command_line(bare(**fields), APP, caller()).argv) == [
        *("ch-run", "--unset-env=*", "--env-no-expand", *flags),
        *(f"--set-env={name}={value}" for name, value in (PATH | APART | more).items()),
        *("/scratch/me/app.sqfs", "--", *inner),
    ]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"binds": (Bind(source="/data", destination="/in", read_only=True),)},
            "Charliecloud binds nothing read-only: `/lustre/data`",
        ),
        (
            {"binds": (Bind(source="/data", destination="/tmp/in"),)},
            "Charliecloud binds nothing below /tmp, which is the host's: `/tmp/in`",
        ),
        (
            {"binds": (Bind(source="/da:ta", destination="/in"),)},
            "Charliecloud takes no `:` in the names of folders: `/da:ta`",
        ),
        (
            {"nv": True, "contain_all": True},
            (
                "Charliecloud cannot do what is asked for: `--containall` (it has no process numbers of its own: "
                "--contain), `--nv` (put the driver's libraries into the image, which is a folder then: ch-fromhost "
                "--nvidia FOLDER)"
            ),
        ),
    ],
)
def test_what_charliecloud_cannot_do(fields: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        charliecloud.command_line(plan(**fields), IMAGE, caller())
    assert caught.value.message == message
