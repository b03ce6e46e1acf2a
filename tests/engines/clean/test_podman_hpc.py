"""Whole command lines of podman-hpc on Perlmutter, and what the real program makes of them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sealift.core.launch import Communication
from sealift.engines.clean import podman_hpc
from sealift.engines.clean.image import StoredImage
from sealift.errors import UsageError
from tests import parts
from tests.engines.clean.world import APART, AROUND, EXEC, FOREIGN, IMAGE, bare, caller, pairs, plan, settled, site
from tests.ground import podman_hpc as ground

Called = Callable[..., dict[str, list[str]]]
_PMI = ("-e SLURM_*", "-e PALS_*", "-e PMI_*")
_HOSTS = ("--ipc=host", "--network=host", "--pid=host", "--privileged")
PERLMUTTER = site("perlmutter")
GROUPS = "--group-add=keep-groups"
HOSTS = ("--network=host", "--ipc=host", GROUPS)
"""What no module brings: only those for MPI share the host's network and memory."""
MPICH = "/opt/udiImage/modules/mpich:/opt/udiImage/modules/mpich/dep"
NCCL = "/opt/udiImage/modules/nccl-plugin/lib:/opt/udiImage/modules/nccl-plugin/deps/lib:/usr/lib64"
IMAGE_WITH_LIBRARIES = replace(IMAGE, library_path="/app/lib")
ENTRY, *WORDS = settled("python", "train.py")
RUN = ("--entrypoint", EXEC, "--", IMAGE.reference, "python", "train.py")
SETTLED = ("--entrypoint", ENTRY, "--", IMAGE.reference, *WORDS)
SHARED = ("--entrypoint", EXEC, "--", IMAGE.reference, ENTRY, *WORDS)
NCCL_ENV = {
    "FI_CXI_DISABLE_HOST_REGISTER": "1",
    "FI_MR_CACHE_MONITOR": "userfaultfd",
    "NCCL_CROSS_NIC": "1",
    "NCCL_SOCKET_IFNAME": "hsn",
    "NCCL_NET_GDR_LEVEL": "PHB",
}


@pytest.mark.parametrize(
    ("fields", "communication", "flags", "before", "after", "inner"),
    [
        ({}, "none", [], {}, {}, RUN),
        ({"nv": True}, "none", ["--gpu"], {}, {}, RUN),
        (
            *({}, "mpi", ["--mpi"]),
            {"MPICH_OFI_NIC_POLICY": "GPU"},
            {"LD_LIBRARY_PATH": f"{MPICH}:/app/lib"},
            SHARED,
        ),
        (
            *({"nv": True}, "gpu-mpi", ["--gpu", "--cuda-mpi"]),
            {"MPICH_OFI_NIC_POLICY": "GPU", "MPICH_GPU_SUPPORT_ENABLED": "1"},
            {"LD_LIBRARY_PATH": f"{MPICH}:/app/lib"},
            SHARED,
        ),
        (
            *({"nv": True}, "nccl", ["--gpu", "--nccl"]),
            NCCL_ENV,
            {"LD_LIBRARY_PATH": f"{NCCL}:/app/lib"},
            SETTLED,
        ),
        (
            *({"action": "run", "command": ("a",)}, "openmpi", ["--openmpi-pmi2"]),
            *({}, {}),
            ("--entrypoint", EXEC, "--", IMAGE.reference, "/.singularity.d/actions/run", "a"),
        ),
        (
            *({"env": {"LD_LIBRARY_PATH": "/mine"}}, "mpi", ["--mpi"]),
            {"MPICH_OFI_NIC_POLICY": "GPU"},
            {"LD_LIBRARY_PATH": f"/mine:{MPICH}:/app/lib"},
            SHARED,
        ),
    ],
)
def test_podman_hpc(
    fields: dict[str, object],
    communication: Communication,
    flags: list[str],
    before: dict[str, str],
    after: dict[str, str],
    inner: tuple[str, ...],
) -> None:
    wanted = bare(communication=communication, **fields)
    started = podman_hpc.command_line(wanted, IMAGE_WITH_LIBRARIES, caller(), site=PERLMUTTER)
    assert list(started.argv) == [
        *("podman-hpc", "run", "--rm"),
        *flags,
        *([GROUPS] if podman_hpc.needs_srun(tuple(flags)) else HOSTS),
        *pairs("--env", before | APART | after),
        *inner,
    ]


def test_podman_hpc_mounts_what_nothing_mounts_by_itself() -> None:
    argv = podman_hpc.command_line(plan(), IMAGE, caller(), site=PERLMUTTER).argv
    assert list(argv) == [
        *("podman-hpc", "run", "--rm", *HOSTS),
        *("--mount", "type=bind,source=/tmp,target=/tmp"),
        *("--mount", "type=bind,source=/var/tmp,target=/var/tmp"),
        *("--mount", "type=bind,source=/home/me,target=/home/me"),
        *("--mount", "type=bind,source=/lustre/me,target=/scratch/me"),
        *("--workdir", "/scratch/me/run"),
        *pairs("--env", AROUND),
        *RUN,
    ]


def test_a_shared_container_of_a_foreign_image_runs_what_it_is_given() -> None:
    argv = podman_hpc.command_line(bare(communication="mpi"), FOREIGN, caller(), site=PERLMUTTER).argv
    assert argv[-6:] == ("--entrypoint", "env", "--", FOREIGN.reference, "python", "train.py")
    wanted = bare(action="run", command=(), communication="mpi")
    with pytest.raises(UsageError, match="runs by itself is not known"):
        podman_hpc.command_line(wanted, FOREIGN, caller(), site=PERLMUTTER)
    known = StoredImage(reference="x", prepared=False, entrypoint=("/start",), command=("it",))
    argv = podman_hpc.command_line(wanted, known, caller(), site=PERLMUTTER).argv
    assert argv[-6:] == ("--entrypoint", "env", "--", "x", "/start", "it")


def test_the_descriptor_of_pmi_has_the_number_under_which_it_arrives() -> None:
    argv = podman_hpc.command_line(bare(), IMAGE, caller(PMI_FD="21", PMI_RANK="0"), site=PERLMUTTER).argv
    assert list(argv) == [
        *("podman-hpc", "run", "--rm", *HOSTS),
        *pairs("--env", dict(sorted({"PMI_FD": "3", "PMI_RANK": "0", "OMP_NUM_THREADS": "8"}.items()))),
        *pairs("--env", {name: value for name, value in APART.items() if name != "OMP_NUM_THREADS"}),
        *RUN,
    ]


@pytest.mark.parametrize(
    ("fields", "change", "flags"),
    [
        ({}, {}, HOSTS),
        ({"contain_all": True}, {}, ("--network=host", GROUPS)),
        ({}, {"message_queues": False}, ("--network=host", GROUPS)),
        ({}, {"groups": (100,)}, ("--network=host", "--ipc=host")),
        ({"communication": "mpi"}, {"groups": (100,)}, ("--mpi",)),
    ],
)
def test_what_is_shared_with_the_host(
    fields: dict[str, object], change: dict[str, Any], flags: tuple[str, ...]
) -> None:
    argv = podman_hpc.command_line(plan(**fields), IMAGE, replace(caller(), **change), site=PERLMUTTER).argv
    assert argv[3 : 3 + len(flags) + 1] == (*flags, "--env" if "contain_all" in fields else "--mount")


def test_it_shows_no_amd_gpus() -> None:
    with pytest.raises(UsageError) as caught:
        podman_hpc.command_line(bare(rocm=True), IMAGE, caller(), site=PERLMUTTER)
    assert caught.value.message == "podman-hpc cannot do what is asked for: `--rocm` (it knows NVIDIA GPUs only)"


# The real podman-hpc 1.1.4, over a podman that only notes how it is called

MODULES = {
    "gpu": ("ENABLE_GPU", ["-e NVIDIA_VISIBLE_DEVICES"], False),
    "mpi": ("ENABLE_MPICH_SS", [*_PMI, f"-e LD_LIBRARY_PATH={MPICH}", *_HOSTS], True),
    "cuda-mpi": (
        "ENABLE_CUDA_MPICH_SS",
        [
            *(*_PMI, f"-e LD_LIBRARY_PATH={MPICH}", "-e MPICH_GPU_SUPPORT_ENABLED=1"),
            *("-e LD_PRELOAD=/opt/udiImage/modules/mpich/libmpi_gtl_cuda.so.0", *_HOSTS),
        ],
        True,
    ),
    "nccl": (
        "ENABLE_NCCL",
        [f"-e LD_LIBRARY_PATH={NCCL}", *(f"-e {name}={value}" for name, value in NCCL_ENV.items() if "GDR" in name)],
        False,
    ),
    "openmpi-pmi2": ("ENABLE_OPENMPI_PMI2", [*_PMI, *_HOSTS], True),
    "home": ("MOUNT_HOME", [], False),
}
"""The site's modules, by their flags: variable, further arguments, and whether the ranks of a node share a container
(github.com/NERSC/podman-hpc, etc/modules.d; what they copy and bind is the hook's business).
"""
RECORDER = """\
#!/bin/bash
case "$1 $2" in "run --help" | "exec --help" | "--help "*) exec {podman} "$@" ;; esac
printf '%s\\0' "$$" "$@" >>"{calls}.$$"
"""


@pytest.fixture
def called(tmp_path: Path) -> Called:
    """`called(argv, env)`: how podman is called by podman-hpc, which is called so."""
    folder = tmp_path / "bin"
    folder.mkdir()
    (tmp_path / "modules.d").mkdir()
    for flag, (variable, arguments, shared) in MODULES.items():
        module = {"name": flag, "cli_arg": flag, "env": variable, "additional_args": arguments, "shared_run": shared}
        # JSON is YAML.
        (tmp_path / "modules.d" / f"{flag}.yaml").write_text(json.dumps(module))
    (folder / "podman").write_text(RECORDER.format(podman=parts.program("podman"), calls=tmp_path / "call"))
    (folder / "podman").chmod(0o755)
    (folder / "runc").symlink_to("/bin/true")
    env = {
        "PATH": f"{folder}:{ground.BIN}:/usr/bin:/bin",
        "USER": "me",
        "SCRATCH": str(tmp_path),
        "PODMANHPC_MODULES_DIR": str(tmp_path / "modules.d"),
        "PODMANHPC_CONFIG_FILE": "/nowhere",
    }

    def call(argv: Sequence[str], **more: str) -> dict[str, list[str]]:
        started = [str(ground.BIN / "podman-hpc"), *argv[1:]]
        done = subprocess.run(started, env=env | more, check=False, capture_output=True, text=True)
        assert not done.returncode, done.stderr
        calls = [path.read_text().split("\0")[1:-1] for path in tmp_path.glob("call.*")]
        return {words[0]: words for words in calls if words[0] in ("run", "exec")}

    return call


UID = os.getuid()
STORES = [
    *("--root", f"/tmp/{UID}_hpc/storage", "--runroot", f"/tmp/{UID}_hpc"),
    *("--storage-opt", f"mount_program={ground.BIN}/fuse-overlayfs-wrap", "--cgroup-manager", "cgroupfs"),
]


def always(scratch: Path) -> list[str]:
    return [
        *STORES,
        *("--storage-opt", "ignore_chown_errors=true"),
        *("--storage-opt", f"additionalimagestore={scratch}/storage"),
        *("--hooks-dir", f"{ground.PREFIX}/share/containers/oci/hooks.d"),
        *("--env", f"PODMANHPC_MODULES_DIR={scratch}/modules.d", "--annotation", "podman_hpc.hook_tool=true"),
        *("--security-opt", "seccomp=unconfined"),
    ]


def switched(flags: Sequence[str]) -> list[str]:
    """What modules add, in whichever order their files are read: sorted here, as they are in `test`."""
    return sorted(word for flag in flags for word in (*MODULES[flag[2:]][1], "-e", f"{MODULES[flag[2:]][0]}=1"))


@pytest.mark.slow
@pytest.mark.needs("podman-hpc")
@pytest.mark.parametrize(
    ("fields", "flags", "command"),
    [
        ({}, [], ("python", "train.py")),
        ({"passed": ("OMP_*",)}, [], ("python", "train.py")),
        ({"nv": True}, ["--gpu"], ("python", "train.py", "--gpu", "--home", "--help", "--", "-x")),
        ({"nv": True, "communication": "nccl"}, ["--gpu", "--nccl"], ("python", "train.py", "--mpi")),
    ],
)
def test_what_podman_is_told(
    called: Called, tmp_path: Path, fields: dict[str, object], flags: list[str], command: tuple[str, ...]
) -> None:
    """Our words arrive whole and behind podman-hpc's own; those of the program that look like its flags stay there."""
    started = podman_hpc.command_line(
        plan(**{"command": command, **fields}), IMAGE_WITH_LIBRARIES, caller(), site=PERLMUTTER
    )
    argv = list(started.argv)
    at = argv.index("--")
    ours = [*(word for word in argv[2:at] if word not in flags), *argv[at + 1 :]]
    begin = ["run", *always(tmp_path)]
    (run,) = called(argv).values()
    more = switched(flags)
    assert run[: len(begin)] == begin
    assert sorted(run[len(begin) : len(begin) + len(more)]) == more
    assert run[len(begin) + len(more) :] == ["--log-level", "fatal", *ours]
    assert ours[-len(command) :] == list(command)


@pytest.mark.slow
@pytest.mark.needs("podman-hpc")
@pytest.mark.parametrize(
    ("fields", "flags"),
    [
        ({"communication": "mpi"}, ["--mpi"]),
        ({"communication": "mpi", "passed": ("OMP_*",)}, ["--mpi"]),
        ({"nv": True, "communication": "gpu-mpi"}, ["--gpu", "--cuda-mpi"]),
        ({"communication": "openmpi"}, ["--openmpi-pmi2"]),
    ],
)
def test_what_podman_is_told_for_a_container_that_ranks_share(
    called: Called, tmp_path: Path, fields: dict[str, object], flags: list[str]
) -> None:
    wanted = plan(command=("./app", "--gpu", "--", "a b"), **fields)
    argv = list(podman_hpc.command_line(wanted, IMAGE_WITH_LIBRARIES, caller(), site=PERLMUTTER).argv)
    at = argv.index("--")
    options = [word for word in argv[2:at] if word not in flags]
    image, *command = argv[at + 1 :]
    calls = called(argv, SLURM_LOCALID="0", SLURM_STEP_TASKS_PER_NODE="1")
    run, execute = calls["run"], calls["exec"]
    name = run[run.index("--name") + 1]
    begin = ["run", "--rm", "-d", "--name", name, *options, *always(tmp_path)]
    more = switched(flags)
    assert run[: len(begin)] == begin
    assert sorted(run[len(begin) : len(begin) + len(more)]) == more
    assert run[len(begin) + len(more) :] == ["--log-level", "fatal", image, "sleep", "infinity"]
    # What ranks run is not begun by an entrypoint: its words stand behind the container's name.
    passed = [word for name_ in ("SLURM_*", "PALS_*", "PMI_*") for word in ("-e", name_)]
    known = [*("--workdir", "/scratch/me/run"), *options[options.index("--env") : options.index("--entrypoint")]]
    assert execute == ["exec", *STORES, "--log-level", "fatal", *passed, *known, name, *command]
