"""Whole command lines of podman-hpc on Perlmutter, and what the real program makes of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sealift.core.launch import Communication
from sealift.engines.clean import podman_hpc
from sealift.engines.clean.image import StoredImage
from sealift.errors import UsageError
from tests.engines.clean.world import APART, AROUND, EXEC, FOREIGN, IMAGE, bare, caller, pairs, plan, settled, site

PERLMUTTER = site("perlmutter")
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
        *pairs("--env", before | APART | after),
        *inner,
    ]


def test_podman_hpc_mounts_what_nothing_mounts_by_itself() -> None:
    argv = podman_hpc.command_line(plan(), IMAGE, caller(), site=PERLMUTTER).argv
    assert list(argv) == [
        *("podman-hpc", "run", "--rm"),
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
        *("podman-hpc", "run", "--rm"),
        *pairs("--env", dict(sorted({"PMI_FD": "3", "PMI_RANK": "0", "OMP_NUM_THREADS": "8"}.items()))),
        *pairs("--env", {name: value for name, value in APART.items() if name != "OMP_NUM_THREADS"}),
        *RUN,
    ]


def test_it_shows_no_amd_gpus() -> None:
    with pytest.raises(UsageError) as caught:
        podman_hpc.command_line(bare(rocm=True), IMAGE, caller(), site=PERLMUTTER)
    assert caught.value.message == "podman-hpc cannot do what is asked for: `--rocm` (it knows NVIDIA GPUs only)"
