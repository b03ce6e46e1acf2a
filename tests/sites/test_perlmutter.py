"""What the profiles of Perlmutter say, whole, beside a table that was typed from the collected facts a second time."""

from __future__ import annotations

import pytest

from sealift.sites.catalogue import load_catalogue
from sealift.sites.profile import Value

SHIPPED = load_catalogue({"XDG_CONFIG_HOME": "/nowhere"})
Facts = dict[str, tuple[Value, str]]
"""A value, and the keys of its sources."""

PROSE = ("site.title", "node.login", "node.login_limits", "node.jupyter", "slurm.account", "registry.note")
"""Sentences for people, which nothing is decided by; so are the keys that end in `note` and `injects`."""

COMMON: Facts = {
    "site.organisation": ("NERSC, Lawrence Berkeley National Laboratory", "N1"),
    "site.kind": ("cluster", "N1"),
    "site.scheduler": ("slurm", "N1"),
    "detect.variable": ("NERSC_HOST", "K"),
    "detect.value": ("perlmutter", "K"),
    "node.architecture": ("amd64", "N1"),
    "node.cpu": ("AMD EPYC 7763", "N1"),
    "network.name": ("Slingshot 11", "N1"),
    "network.provider": ("cxi", "N20"),
    "network.libfabric": ("1.20.1", "N12 N20"),
    "network.interfaces": ("hsn", "N20"),
    "libc.host": ("2.38", "K"),
    "libc.minimum": ("2.38", "K I"),
    "kernel.user_namespaces": (True, "N20 I"),
    "kernel.subuids": (65535.0, "N27"),
    "slurm.qos": (
        (
            "regular",
            "debug",
            "interactive",
            "shared",
            "shared_interactive",
            "premium",
            "realtime",
            "preempt",
            "overrun",
        ),
        "N5 N6 K",
    ),
    "slurm.qos_default": ("debug", "N5"),
    "slurm.qos_job": ("regular", "I"),
    "slurm.limits": (
        ("regular 48 h", "debug 8 nodes 30 min", "interactive 4 nodes 4 h", "shared half a node 48 h"),
        "N7",
    ),
    "slurm.mpi_types": (("cray_shasta", "pmi2", "pmix"), "N6 N12 N13"),
    "slurm.mpi_default": ("cray_shasta", "N6"),
    "slurm.spool": ("/var/spool/slurmd", "N20"),
    "mpi.host": ("Cray MPICH", "N20"),
    "mpi.host_version": ("8.1.28", "N19"),
    "mpi.families": (("mpich",), "N24 N27"),
    "mpi.model": ("injected", "N20 N24"),
    "mpi.version": ("3.4.3", "N27 N29"),
    "mpi.pmi.host": ("cray_shasta", "N6"),
    "mpi.pmi.mpich": ("pmi2", "N20 I"),
    "mpi.pmi.openmpi4": ("pmi2", "N12"),
    "mpi.pmi.openmpi5": ("pmix", "M9 N13"),
    "mpi.pmi.intel": ("pmi2", "K"),
    "filesystems.scratch.purpose": ("scratch", "N15"),
    "filesystems.scratch.type": ("Lustre, all flash", "N15"),
    "filesystems.scratch.variable": ("SCRATCH", "N15"),
    "filesystems.scratch.path": ("/pscratch/sd/<u>/<user>", "N15"),
    "filesystems.scratch.quota_gb": (20_000.0, "N14"),
    "filesystems.scratch.inodes": (10e6, "N14"),
    "filesystems.scratch.purge_days": (8 * 7.0, "N15"),
    "filesystems.scratch.images": (True, "N15 I"),
    "filesystems.home.purpose": ("home", "N14"),
    "filesystems.home.variable": ("HOME", "N14"),
    "filesystems.home.quota_gb": (40.0, "N14"),
    "filesystems.home.inodes": (1e6, "N14"),
    "filesystems.home.purge_days": (0.0, "N14"),
    "filesystems.home.images": (False, "I"),
    "filesystems.cfs.purpose": ("project", "N14"),
    "filesystems.cfs.variable": ("CFS", "N14"),
    "filesystems.cfs.path": ("/global/cfs/cdirs", "N14"),
    "filesystems.cfs.quota_gb": (20_000.0, "N14"),
    "filesystems.cfs.inodes": (20e6, "N14"),
    "filesystems.cfs.purge_days": (0.0, "N14"),
    "filesystems.cfs.read_only": ("/dvs_ro/cfs/cdirs", "N16"),
    "filesystems.software.purpose": ("software", "N14"),
    "filesystems.software.path": ("/global/common/software/<project>", "N14"),
    "filesystems.software.quota_gb": (10.0, "N14"),
    "filesystems.software.inodes": (1e6, "N14"),
    "filesystems.software.purge_days": (0.0, "N14"),
    "engines.order": (("podman-hpc", "shifter"), "N28 N27"),
    "engines.podman-hpc.status": ("supported", "N28"),
    "engines.podman-hpc.version": ("1.1.4", "N20"),
    "engines.podman-hpc.under": ("Podman 5.3.2, pasta 2024_11_27", "N17"),
    "engines.podman-hpc.command": ("podman-hpc", "N20"),
    "engines.podman-hpc.where": ("both", "N28"),
    "engines.podman-hpc.images": (("oci",), "N20"),
    "engines.podman-hpc.build": (
        "podman-hpc build, then podman-hpc migrate; the name begins with localhost/",
        "N20 N32",
    ),
    "engines.podman-hpc.build_store": ("/tmp/<uid>_hpc/storage", "N20"),
    "engines.podman-hpc.gpu_flags": (("--gpu",), "N20"),
    "engines.podman-hpc.mpi_flags": (("--mpi",), "N20"),
    "engines.podman-hpc.gpu_mpi_flags": (("--gpu", "--cuda-mpi"), "N20"),
    "engines.podman-hpc.nccl_flags": (("--gpu", "--nccl"), "N20"),
    "engines.podman-hpc.openmpi_flags": (("--openmpi-pmi2",), "N20"),
    "engines.podman-hpc.host_flags": (("--network=host", "--ipc=host"), "N20 N41 J1"),
    "engines.podman-hpc.group_flags": (("--group-add=keep-groups",), "N41 N17"),
    "engines.podman-hpc.broken_flags": (("--openmpi-pmix", "--userns=keep-id"), "N35 N36 N17 N37"),
    "engines.podman-hpc.adds": (
        (
            "--storage-opt ignore_chown_errors=true",
            "--storage-opt additionalimagestore",
            "--hooks-dir",
            "--annotation podman_hpc.hook_tool=true",
            "--security-opt seccomp=unconfined",
            "--cgroup-manager cgroupfs",
        ),
        "N20",
    ),
    "engines.podman-hpc.library_path": ("/opt/udiImage/modules/mpich:/opt/udiImage/modules/mpich/dep", "N20"),
    "engines.podman-hpc.nccl_library_path": (
        "/opt/udiImage/modules/nccl-plugin/lib:/opt/udiImage/modules/nccl-plugin/deps/lib:/usr/lib64",
        "N20",
    ),
    "engines.podman-hpc.preload_gpu": ("/opt/udiImage/modules/mpich/libmpi_gtl_cuda.so.0", "N20"),
    "engines.podman-hpc.mounts": ((), "N20"),
    "engines.podman-hpc.absent": (("$HOME", "/tmp", "$SCRATCH", "$CFS", "/cvmfs", "the working folder"), "N20"),
    "engines.podman-hpc.mount_flags": (
        ("--home=$HOME", "--scratch=$SCRATCH", "--cfs=$CFS", "--cvmfs=/cvmfs", "--jupyter=/tmp and $HOME"),
        "N20",
    ),
    "engines.podman-hpc.file_binds": (True, "N20"),
    "engines.podman-hpc.writable": (True, "N20"),
    "engines.podman-hpc.ldconfig": ("flags", "N20"),
    "engines.podman-hpc.passes": (("SLURM_*", "PALS_*", "PMI_*", "PMIX_*"), "N20"),
    "engines.podman-hpc.user": ("root", "N17"),
    "engines.podman-hpc.wait_timeout": (10.0, "N20"),
    "engines.podman-hpc.wait_variable": ("PODMANHPC_WAIT_TIMEOUT", "N20"),
    "engines.podman-hpc.store": ("$SCRATCH/storage", "N20"),
    "engines.podman-hpc.pull": ("podman-hpc pull REFERENCE", "N20"),
    "engines.shifter.status": ("deprecated", "N31 N27"),
    "engines.shifter.command": ("shifter", "N21"),
    "engines.shifter.where": ("both", "N24"),
    "engines.shifter.images": (("oci",), "N24"),
    "engines.shifter.build": ("no", "N27"),
    "engines.shifter.gpu_flags": (("--module=gpu",), "N21"),
    "engines.shifter.mpi_flags": (("--module=mpich",), "N27 N29"),
    "engines.shifter.gpu_mpi_flags": (("--module=gpu,cuda-mpich",), "N21 N24"),
    "engines.shifter.nccl_flags": (("--module=gpu,nccl-plugin",), "N9"),
    "engines.shifter.openmpi_flags": (("--module=none",), "N26"),
    "engines.shifter.sets": (("SHIFTER_RUNTIME=1",), "N30"),
    "engines.shifter.mounts": (("$HOME", "$SCRATCH", "$CFS"), "K"),
    "engines.shifter.forbidden_prefixes": (("/etc", "/var", "/opt/udiImage"), "N25"),
    "engines.shifter.forbidden_targets": (("/opt",), "N25"),
    "engines.shifter.allowed_targets": (("/var/tmp",), "N25"),
    "engines.shifter.file_binds": (False, "N25"),
    "engines.shifter.writable": (False, "N27"),
    "engines.shifter.user": ("you", "N24"),
    "engines.shifter.pull": ("shifterimg pull docker:REFERENCE", "N24"),
    "registry.host": ("registry.nersc.gov", "N28"),
    "registry.images": (("nersc/pytorch:25.06.01",), "N9"),
}
CPU: Facts = {
    **COMMON,
    "node.sockets": (2.0, "N1"),
    "node.cores": (128.0, "N1"),
    "node.threads": (256.0, "N1"),
    "node.memory_gb": (512.0, "N1"),
    "node.count": (3072.0, "N1 N2"),
    "network.nics": (1.0, "N1"),
    "gpu.vendor": ("none", "N1"),
    "gpu.count": (0.0, "N1"),
    "slurm.constraint": ("cpu", "N4"),
    "slurm.cpu_bind": ("cores", "K"),
}
GPU: Facts = {
    **COMMON,
    "node.sockets": (1.0, "N1"),
    "node.cores": (64.0, "N1"),
    "node.threads": (128.0, "N1"),
    "node.memory_gb": (256.0, "N1"),
    "node.count": (1536.0, "N1 N2"),
    "network.nics": (4.0, "N1"),
    "gpu.vendor": ("nvidia", "N1"),
    "gpu.model": ("NVIDIA A100", "N1"),
    "gpu.count": (4.0, "N1"),
    "gpu.memory_gb": (40.0, "N1"),
    "gpu.capability": ("8.0", "N1"),
    "gpu.driver": ("580.105.08", "N13"),
    "gpu.cuda": ("13.0", "N13 I"),
    "gpu.rank_order": ("reversed", "N9"),
    "slurm.constraint": ("gpu", "N4"),
    "slurm.gpu_request": ("--gpus-per-node", "N10 N11"),
    "slurm.gpu_bind": ("none", "N10 N11"),
    "slurm.cpus_per_gpu": (32.0, "N1 N9 I"),
    "mpi.env.MPICH_OFI_NIC_POLICY": ("GPU", "N6"),
    "mpi.gpu_env.MPICH_GPU_SUPPORT_ENABLED": ("1", "N27 N29"),
    "nccl.env.FI_CXI_DISABLE_HOST_REGISTER": ("1", "N20"),
    "nccl.env.FI_MR_CACHE_MONITOR": ("userfaultfd", "N20 N9"),
    "nccl.env.NCCL_CROSS_NIC": ("1", "N20"),
    "nccl.env.NCCL_SOCKET_IFNAME": ("hsn", "N20"),
    "nccl.env.NCCL_NET_GDR_LEVEL": ("PHB", "N20"),
    "nccl.nodes_env.NCCL_NET": ("AWS Libfabric", "N38 H1"),
}
GPU80: Facts = {
    **GPU,
    "node.count": (256.0, "N1 N2"),
    "gpu.memory_gb": (80.0, "N1"),
    "slurm.constraint": ("gpu&hbm80g", "N4"),
}


@pytest.mark.parametrize(
    ("name", "expected"), [("perlmutter-cpu", CPU), ("perlmutter-gpu", GPU), ("perlmutter-gpu80", GPU80)]
)
def test_every_value_and_its_sources(name: str, expected: Facts) -> None:
    facts = SHIPPED.find(name).facts
    said = {
        key: (fact.value, " ".join(source.key for source in fact.sources))
        for key, fact in facts.items()
        if key not in PROSE and not key.endswith((".note", ".injects"))
    }
    assert said == expected


def test_nobody_verified_anything_there_yet() -> None:
    for name in ("perlmutter-cpu", "perlmutter-gpu", "perlmutter-gpu80"):
        assert not [key for key, fact in SHIPPED.find(name).facts.items() if fact.verified]
