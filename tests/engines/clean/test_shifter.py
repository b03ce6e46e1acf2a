"""Whole command lines and header lines of Shifter on Perlmutter, and which volumes it takes (src/VolumeMap.c)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sealift.core.launch import Bind, Communication
from sealift.engines.clean import shifter
from sealift.engines.clean.communication import recipe
from sealift.engines.clean.image import StoredImage
from sealift.errors import UsageError
from tests.engines.clean.world import AROUND, EXEC, FOREIGN, IMAGE, caller, plan, settled, site

PERLMUTTER = site("perlmutter")
DATA = Bind(source="/lustre/data", destination="/data", read_only=True)
WORKDIR = "--workdir=/scratch/me/run"


def variables(**more: str) -> list[str]:
    return [f"--env={name}={value}" for name, value in (more | AROUND).items()]


def fresh(**more: str) -> list[str]:
    """Those that are not there already in a job whose script has put them in order."""
    here = [f"--env={name}={value}" for name, value in caller().env.items()]
    return [word for word in variables(**more) if word not in here]


@pytest.mark.parametrize(
    ("fields", "communication", "modules", "inner"),
    [
        ({}, "none", [], (EXEC, "python", "train.py")),
        ({"nv": True}, "none", ["--module=gpu"], (EXEC, "python", "train.py")),
        ({}, "mpi", ["--module=mpich"], settled("python", "train.py")),
        ({"nv": True}, "gpu-mpi", ["--module=gpu,cuda-mpich"], settled("python", "train.py")),
        ({"nv": True}, "nccl", ["--module=gpu,nccl-plugin"], settled("python", "train.py")),
        ({}, "openmpi", ["--module=none"], settled("python", "train.py")),
        ({"nv": True}, "openmpi", ["--module=gpu"], settled("python", "train.py")),
    ],
)
def test_shifter_names_image_volumes_and_modules_in_the_header_or_in_the_call(
    fields: dict[str, object], communication: Communication, modules: list[str], inner: tuple[str, ...]
) -> None:
    wanted = plan(binds=(DATA,), communication=communication, **fields)
    folders = {"/lustre/data": True}
    options = [f"--image=docker:{IMAGE.reference}", "--volume=/lustre/data:/data:ro", *modules]
    lines = shifter.header(wanted, IMAGE, site=PERLMUTTER, is_folder=folders)
    assert lines == tuple(f"#SBATCH {option}" for option in options)
    call = shifter.command_line(wanted, IMAGE, caller(), site=PERLMUTTER, is_folder=folders)
    theirs = recipe(PERLMUTTER, communication)
    assert list(call.argv) == ["shifter", *options, "--clearenv", WORKDIR, *variables(**theirs), *inner]
    assert call.env == caller().env
    call = shifter.command_line(wanted, IMAGE, caller(), site=PERLMUTTER, is_folder=folders, in_job=True)
    assert list(call.argv) == ["shifter", WORKDIR, *fresh(**theirs), *inner]


IN_FRONT = 'LD_LIBRARY_PATH="$0${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}" exec "$@"'


@pytest.mark.parametrize(
    ("image", "inner"),
    [(FOREIGN, ("python", "train.py")), (IMAGE, settled("python", "train.py"))],
)
def test_an_order_of_the_library_path_is_put_before_what_modules_and_image_make_of_it(
    image: StoredImage, inner: tuple[str, ...]
) -> None:
    wanted = plan(env={"LD_LIBRARY_PATH": "/mine"})
    call = shifter.command_line(wanted, image, caller(), site=PERLMUTTER, is_folder={}, in_job=True)
    assert list(call.argv) == [
        *("shifter", WORKDIR),
        *fresh(),
        *("/bin/sh", "-c", IN_FRONT, "/mine", *inner),
    ]


@pytest.mark.parametrize(
    ("target", "refused"),
    [
        ("/data", ""),
        ("/data/", ""),
        ("/mnt/data", ""),
        ("/var/tmp", ""),
        ("/opt/app", ""),
        ("/opt/udi", ""),
        ("/usr/etc", ""),
        ("/tmp", ""),
        ("/etc", "`/etc…` is its own"),
        ("//etc", "`/etc…` is its own"),
        ("/data/../etc", "`/etc…` is its own"),
        ("/etc/ssl", "`/etc…` is its own"),
        ("/etcetera", "`/etc…` is its own"),
        ("/var", "`/var…` is its own"),
        ("/var/tmp/x", "`/var…` is its own"),
        ("/variant", "`/var…` is its own"),
        ("/opt", "`/opt` is its own"),
        ("/opt/", "`/opt` is its own"),
        ("/opt/udiImage", "`/opt/udiImage…` is its own"),
        ("/opt/udiImage/x", "`/opt/udiImage…` is its own"),
        ("/opt/udiImages", "`/opt/udiImage…` is its own"),
        ("/", "`/` is its own"),
    ],
)
def test_which_targets_shifter_takes(target: str, refused: str) -> None:
    wanted = plan(binds=(Bind(source="/lustre/data", destination=target),))
    if not refused:
        (_, volume) = shifter.header(wanted, IMAGE, site=PERLMUTTER, is_folder={})
        assert volume == f"#SBATCH --volume=/lustre/data:{target.rstrip('/')}"
        return
    with pytest.raises(UsageError) as caught:
        shifter.header(wanted, IMAGE, site=PERLMUTTER, is_folder={})
    assert caught.value.message == f"Shifter lets nothing be bound to `{target}`: {refused}"


@pytest.mark.parametrize(
    ("source", "target", "said"),
    [
        ("/lustre/my data", "/data", "`/lustre/my data` has ` `"),
        ("/lustre/a:b", "/data", "`/lustre/a:b` has `:`"),
        ("/lustre/a;b", "/data", "`/lustre/a;b` has `;`"),
        ("/lustre/data", "/in,put", "`/in,put` has `,`"),
        ("/lustre/dätä", "/data", "`/lustre/dätä` has `ä`"),
    ],
)
def test_what_shifter_would_leave_out_of_a_name(source: str, target: str, said: str) -> None:
    wanted = plan(binds=(Bind(source=source, destination=target),))
    with pytest.raises(UsageError) as caught:
        shifter.header(wanted, IMAGE, site=PERLMUTTER, is_folder={})
    assert caught.value.message == f"Shifter knows only letters, digits and `/_.+-` in names of folders: {said}"


def test_shifter_binds_no_files() -> None:
    wanted = plan(binds=(Bind(source="/lustre/data/a.txt", destination="/in/a.txt"),))
    with pytest.raises(UsageError) as caught:
        shifter.header(wanted, IMAGE, site=PERLMUTTER, is_folder={"/lustre/data/a.txt": False})
    assert caught.value.message == "Shifter binds folders only, and `/lustre/data/a.txt` is a file"
    assert caught.value.hints == ("bind its folder: -B /lustre/data:/in",)


def test_shifter_says_what_it_cannot_do() -> None:
    wanted = plan(writable_tmpfs=True, contain=True, rocm=True, no_home=True)
    with pytest.raises(UsageError) as caught:
        shifter.command_line(wanted, IMAGE, caller(), site=PERLMUTTER, is_folder={})
    assert caught.value.message == (
        "Shifter cannot do what is asked for: `--contain` (it shows the site's file systems always), `--no-home` (it "
        "shows the site's file systems always), `--writable-tmpfs` (its root file system cannot be written to: bind a "
        "folder of $SCRATCH), `--rocm` (it knows NVIDIA GPUs only)"
    )


def test_shifter_runs_an_entrypoint_where_it_is_asked_to() -> None:
    wanted = plan(action="run", command=("-a",))
    argv = shifter.command_line(wanted, FOREIGN, caller(), site=PERLMUTTER, is_folder={}, in_job=True).argv
    assert list(argv) == ["shifter", WORKDIR, *fresh(), "--entrypoint", "--", "-a"]


def test_an_image_by_its_identity() -> None:
    image = replace(FOREIGN, reference="id:0123")
    assert shifter.header(plan(), image, site=PERLMUTTER, is_folder={}) == ("#SBATCH --image=id:0123",)
