"""Images and sites: what fits, how, and why the rest does not. Whole values compared."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sealift.core.launch import Bind
from sealift.core.mpi import HostMpi, ImageMpi, Libc, Model, MpiLibrary, Wireup
from sealift.engines.wireup import wire_up
from sealift.errors import UsageError
from sealift.sites.catalogue import load_catalogue
from sealift.sites.profile import Fact, Profile

SITES = load_catalogue({"XDG_CONFIG_HOME": "/nowhere"})
PERLMUTTER, FRONTIER, LUMI, ALPS, POLARIS, SLURM = map(
    SITES.find, ("perlmutter", "frontier", "lumi-g", "cscs-alps", "polaris", "slurm")
)


def mpi(library: MpiLibrary, *, libc: Libc = "glibc", glibc: str = "2.39") -> ImageMpi:
    return ImageMpi(libraries=(library,), libc=libc, glibc=glibc, architecture="amd64")


MPICH = MpiLibrary(
    implementation="mpich",
    family="mpich",
    path="/usr/local/lib/libmpi.so.12.1.10",
    soname="libmpi.so.12",
    version="3.4.3",
    device="ch4:ofi",
    pmi=("pmi1",),
    transports=("ofi",),
    glibc="2.34",
)
DEBIAN = replace(
    MPICH,
    path="/usr/lib/x86_64-linux-gnu/libmpich.so.12.2.2",
    soname="libmpich.so.12",
    version="4.0.2",
    device="ch4:ucx",
    transports=("ucx",),
)
OPENMPI4 = MpiLibrary(
    implementation="openmpi",
    family="openmpi",
    path="/usr/lib/libmpi.so.40.30.4",
    soname="libmpi.so.40",
    version="4.1.4",
    pmi=("pmix",),
    transports=("ucx", "ofi"),
)
OPENMPI4_PMI2 = replace(OPENMPI4, pmi=("pmi1", "pmi2", "pmix"))
OPENMPI5 = replace(OPENMPI4, path="/opt/lib/libmpi.so.40.40.7", version="5.0.7", transports=("ucx",))
STANDARD = replace(MPICH, family="standard", soname="libmpi_abi.so.1", version="5.0.0")
STATIC = ImageMpi(static=("/opt/app/solver",), static_family="mpich", libc="glibc", glibc="2.39")
HOST = HostMpi(
    library=replace(DEBIAN, path="/usr/lib/libmpich.so.12.2.2"),
    files={"libmpich.so.12": "/usr/lib/libmpich.so.12", "libucp.so.0": "/usr/lib/libucp.so.0"},
    folders={"ucx": "/usr/lib/ucx"},
    glibc="2.36",
)
NOTES = PERLMUTTER.texts("mpi.note")
GENERIC = SLURM.texts("mpi.note")
DEADLOCK = "with NCCL beside it GPU-aware MPI can deadlock: MPICH_GPU_SUPPORT_ENABLED=0 where NCCL does the work"
NOBODY_LOOKED = "buffers on GPUs work only where this MPI was built for them: nobody looked"

FITS: dict[str, tuple[ImageMpi, Profile, str, bool, Model | None, Wireup]] = {
    "the host's MPI by podman-hpc's flag": (
        *(mpi(MPICH), PERLMUTTER, "podman-hpc", False, None),
        Wireup(
            model="injected",
            pmi="cray_shasta",
            communication="mpi",
            env={"MPICH_OFI_NIC_POLICY": "GPU"},
            notes=NOTES,
        ),
    ),
    "the same with buffers on GPUs, by Shifter's module": (
        *(mpi(MPICH), PERLMUTTER, "shifter", True, None),
        Wireup(
            model="injected",
            pmi="cray_shasta",
            communication="gpu-mpi",
            env={"MPICH_OFI_NIC_POLICY": "GPU", "MPICH_GPU_SUPPORT_ENABLED": "1"},
            notes=NOTES,
        ),
    ),
    "an MPICH that is newer than the site's": (
        *(mpi(replace(MPICH, version="4.1.2")), SITES.find("perlmutter-cpu"), "podman-hpc", False, None),
        Wireup(
            model="injected",
            pmi="cray_shasta",
            communication="mpi",
            notes=(
                (
                    "the image has MPICH 4.1.2, and the site names 3.4.3: newer calls than the host's MPI has are "
                    "missing there"
                ),
            ),
        ),
    ),
    "a program that brings no MPI at all, where the site puts one in": (
        *(ImageMpi(asked="libmpi.so.12", libc="glibc", glibc="2.39"), PERLMUTTER, "podman-hpc", False, None),
        Wireup(
            model="injected",
            pmi="cray_shasta",
            communication="mpi",
            env={"MPICH_OFI_NIC_POLICY": "GPU"},
            notes=NOTES,
        ),
    ),
    "Open MPI 4 with PMI-2 on Perlmutter": (
        *(mpi(OPENMPI4_PMI2), PERLMUTTER, "podman-hpc", False, None),
        Wireup(model="container", pmi="pmi2", communication="openmpi", notes=NOTES),
    ),
    "Open MPI 5 under Shifter": (
        *(mpi(OPENMPI5), PERLMUTTER, "shifter", False, None),
        Wireup(
            model="container",
            pmi="pmix",
            communication="openmpi",
            env={"PMIX_MCA_psec": "native"},
            notes=NOTES,
        ),
    ),
    "Debian's MPICH on Perlmutter, as asked": (
        *(mpi(DEBIAN), PERLMUTTER, "podman-hpc", False, "container"),
        Wireup(model="container", pmi="pmi2", communication="openmpi", notes=NOTES),
    ),
    "Frontier": (
        *(mpi(MPICH), FRONTIER, "apptainer", True, None),
        Wireup(
            model="hybrid",
            pmi="cray_shasta",
            binds=(
                Bind(source="/usr/share/libdrm", destination="/usr/share/libdrm"),
                Bind(source="/var/spool/slurmd", destination="/var/spool/slurmd"),
                Bind(source="/opt/cray", destination="/opt/cray"),
                *(
                    Bind(source=path, destination=f"/.singularity.d/libs/{path.rpartition('/')[2]}", read_only=True)
                    for path in (
                        "/usr/lib64/libcxi.so.1",
                        "/usr/lib64/libjson-c.so.5",
                        "/usr/lib64/libnl-3.so.200",
                        "/usr/lib64/libgfortran.so.5",
                        "/usr/lib64/libjansson.so.4",
                        "/usr/lib64/libxpmem.so.0",
                        "/lib64/libtinfo.so.6",
                    )
                ),
            ),
            env={"MPICH_GPU_SUPPORT_ENABLED": "1"},
            library_path=(
                "$CRAY_MPICH_ROOTDIR/gtl/lib",
                "/opt/rocm/lib",
                "/opt/rocm/lib64",
                "$CRAY_LD_LIBRARY_PATH",
                "$LD_LIBRARY_PATH",
                "/opt/cray/pe/lib64",
            ),
            preload="libmpi_gtl_hsa.so.0",
            modules=("olcf-container-tools", "apptainer-enable-mpi"),
            notes=(*FRONTIER.texts("mpi.note"), DEADLOCK),
        ),
    ),
    "LUMI, the image's own": (
        *(mpi(DEBIAN), LUMI, "singularity", False, "container"),
        Wireup(
            model="container",
            pmi="pmi2",
            env={"UCX_POSIX_USE_PROC_LINK": "n", "UCX_TLS": "^cma"},
            notes=LUMI.texts("mpi.note"),
        ),
    ),
    "Alps, MPICH": (
        *(mpi(MPICH), ALPS, "edf", False, None),
        Wireup(model="container", pmi="pmi2", env={"PMIX_MCA_psec": "native"}, notes=ALPS.texts("mpi.note")),
    ),
    "Alps, Open MPI": (
        *(mpi(OPENMPI5), ALPS, "edf", False, None),
        Wireup(model="container", pmi="pmix", env={"PMIX_MCA_psec": "native"}, notes=ALPS.texts("mpi.note")),
    ),
    "a Slurm cluster, Debian's MPICH": (
        *(mpi(DEBIAN), SLURM, "apptainer", True, None),
        Wireup(
            model="container",
            pmi="pmi2",
            env={"UCX_POSIX_USE_PROC_LINK": "n", "UCX_TLS": "^cma"},
            notes=(*GENERIC, NOBODY_LOOKED),
        ),
    ),
    "a Slurm cluster, Open MPI 4": (
        *(mpi(OPENMPI4), SLURM, "embedded", False, None),
        Wireup(
            model="container",
            pmi="pmix",
            env={
                "UCX_POSIX_USE_PROC_LINK": "n",
                "UCX_TLS": "^cma",
                "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
                "PMIX_MCA_psec": "native",
            },
            notes=GENERIC,
        ),
    ),
    "a Slurm cluster, Open MPI 5": (
        *(mpi(OPENMPI5), SLURM, "apptainer", False, None),
        Wireup(
            model="container",
            pmi="pmix",
            env={"UCX_POSIX_USE_PROC_LINK": "n", "UCX_TLS": "^cma", "OMPI_MCA_smsc": "^cma", "PMIX_MCA_psec": "native"},
            notes=GENERIC,
        ),
    ),
    "an MPICH that was built for PMIx": (
        *(mpi(replace(MPICH, pmi=("pmix",))), SLURM, "docker", False, None),
        Wireup(model="container", pmi="pmix", env={"PMIX_MCA_psec": "native"}, notes=GENERIC),
    ),
    "the standard ABI": (
        *(mpi(STANDARD), SLURM, "docker", False, None),
        Wireup(model="container", pmi="pmi2", notes=GENERIC),
    ),
    "an MPI inside the program": (
        *(STATIC, SLURM, "docker", False, None),
        Wireup(
            model="container",
            pmi="pmi2",
            notes=(
                *GENERIC,
                "`/opt/app/solver` seems to carry its MPI inside: how it wants to be started is a guess",
            ),
        ),
    ),
    "the host's over the image's": (
        *(mpi(DEBIAN), SLURM, "apptainer", False, "bind"),
        Wireup(
            model="bind",
            pmi="pmi2",
            binds=(
                Bind(
                    source="/usr/lib/libmpich.so.12",
                    destination="/opt/sealift-host-mpi/libmpich.so.12",
                    read_only=True,
                ),
                Bind(source="/usr/lib/libucp.so.0", destination="/opt/sealift-host-mpi/libucp.so.0", read_only=True),
                Bind(source="/usr/lib/ucx", destination="/opt/sealift-host-mpi/ucx", read_only=True),
            ),
            env={"UCX_POSIX_USE_PROC_LINK": "n", "UCX_TLS": "^cma"},
            library_path=("/opt/sealift-host-mpi",),
            notes=GENERIC,
        ),
    ),
}


@pytest.mark.parametrize("name", FITS)
def test_what_fits(name: str) -> None:
    image, site, engine, gpu, model, expected = FITS[name]
    assert wire_up(image, site, engine=engine, gpu=gpu, model=model, host=HOST) == expected


BUILD = "build the image with MPICH 3.4.3, shared, from source"
REFUSED: dict[str, tuple[ImageMpi, Profile, str, Model | None, str, tuple[str, ...]]] = {
    "no MPI": (
        *(ImageMpi(libc="glibc", glibc="2.39"), SLURM, "apptainer", None),
        "the image has no MPI that can be seen: no libmpi, and no program with one inside",
        (
            "install one in %post, such as MPICH",
            "a program in an odd place? name it: sealift mpi show IMAGE PROGRAM",
        ),
    ),
    "Open MPI where the host's takes MPICH's place": (
        *(mpi(OPENMPI4), FRONTIER, "apptainer", None),
        (
            "the image has Open MPI 4.1.4 (`libmpi.so.40`), and Cray MPICH of OLCF Frontier takes the place of MPICH "
            "and its kin only"
        ),
        (BUILD,),
    ),
    "the same under PBS": (
        *(mpi(OPENMPI5), POLARIS, "apptainer", None),
        (
            "the image has Open MPI 5.0.7 (`libmpi.so.40`), and Cray MPICH of ALCF Polaris takes the place of MPICH "
            "and its kin only"
        ),
        (BUILD,),
    ),
    "PMIx alone under podman-hpc": (
        *(mpi(OPENMPI5), PERLMUTTER, "podman-hpc", None),
        "the image's Open MPI 5.0.7 speaks PMIx, and podman-hpc's `--openmpi-pmix` fails as it is shipped",
        (
            "build the image with MPICH 3.4.3: the host's MPI then takes its place",
            "or with Open MPI 4 that was configured --with-pmi",
            "or run it with Shifter: --engine shifter",
        ),
    ),
    "Debian's name": (
        *(mpi(DEBIAN), PERLMUTTER, "podman-hpc", None),
        (
            "the image's MPI is called `libmpich.so.12`, as Debian and Ubuntu have it, and Cray MPICH of NERSC "
            "Perlmutter, GPU nodes answers to `libmpi.so.12`"
        ),
        (BUILD, "or run the image's own, more slowly: --mpi-model container (srun --mpi=pmi2)"),
    ),
    "an MPI inside the program": (
        *(STATIC, FRONTIER, "apptainer", "hybrid"),
        ("`/opt/app/solver` seems to carry its MPI inside, where Cray MPICH of OLCF Frontier cannot take its place"),
        ("link it with the shared library: mpicc without -static, MPICH built with --enable-shared",),
    ),
    "musl": (
        *(mpi(MPICH, libc="musl", glibc=""), PERLMUTTER, "shifter", None),
        (
            "the image's C library is musl, and NERSC Perlmutter, GPU nodes puts in Cray MPICH, which was built for "
            "glibc"
        ),
        ("begin with an image of Ubuntu, Debian, Rocky Linux or openSUSE",),
    ),
    "an old glibc": (
        *(mpi(MPICH, glibc="2.35"), PERLMUTTER, "podman-hpc", None),
        "the image has glibc 2.35, and Cray MPICH of NERSC Perlmutter, GPU nodes needs 2.38",
        ("begin with a newer base, such as ubuntu:24.04 (glibc 2.39)",),
    ),
    "the standard ABI where nobody serves it": (
        *(mpi(STANDARD), FRONTIER, "apptainer", None),
        (
            "the image has MPICH 5.0.0 (`libmpi_abi.so.1`), and Cray MPICH of OLCF Frontier takes the place of MPICH "
            "and its kin only"
        ),
        (BUILD,),
    ),
    "an MPI that is not there": (
        *(ImageMpi(asked="libmpi.so.12", libc="glibc", glibc="2.39"), SLURM, "apptainer", None),
        "the program asks for `libmpi.so.12`, which is not in the image",
        ("install that MPI in %post, or bind this host's: --mpi-model bind",),
    ),
    "bind, another name": (
        *(mpi(MPICH), SLURM, "apptainer", "bind"),
        "the image asks for `libmpi.so.12`, and the host's MPI is `libmpich.so.12`",
        ("run the image's own: --mpi-model container",),
    ),
    "bind, an old glibc": (
        *(mpi(DEBIAN, glibc="2.31"), SLURM, "apptainer", "bind"),
        "the image has glibc 2.31, and the host's MPICH 4.0.2 needs 2.36",
        ("begin with a newer base", "or run the image's own: --mpi-model container"),
    ),
    "bind, musl": (
        *(mpi(DEBIAN, libc="musl", glibc=""), SLURM, "apptainer", "bind"),
        "the image's C library is musl, and the host's MPI was built for glibc",
        ("run the image's own: --mpi-model container",),
    ),
    "bind, inside the program": (
        *(STATIC, SLURM, "apptainer", "bind"),
        "`/opt/app/solver` seems to carry its MPI inside, where the host's cannot take its place",
        ("run the image's own: --mpi-model container",),
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_fit(name: str) -> None:
    image, site, engine, model, message, hints = REFUSED[name]
    with pytest.raises(UsageError) as caught:
        wire_up(image, site, engine=engine, gpu=False, model=model, host=HOST)
    assert (caught.value.message, caught.value.hints) == (message, hints)


def known(site: Profile, key: str, *values: str) -> Profile:
    return replace(site, facts={**site.facts, key: Fact(key=key, value=values, file="test")})


def test_open_mpi_5_is_never_started_by_pmi2() -> None:
    site = known(SLURM, "slurm.mpi_types", "none", "pmi2", "cray_shasta")
    with pytest.raises(UsageError) as caught:
        wire_up(mpi(OPENMPI5), site, engine="apptainer", gpu=False)
    assert caught.value.message == (
        "the image's Open MPI 5.0.7 speaks PMIx, and `srun` of a Slurm cluster has none, pmi2, cray_shasta: PMI-2 was "
        "taken out of Open MPI 5, and under pmi2 each rank would be a world of its own"
    )


def test_a_site_with_one_version_of_pmix_alone() -> None:
    site = known(SLURM, "slurm.mpi_types", "none", "pmi2", "pmix_v4")
    assert wire_up(mpi(OPENMPI5), site, engine="docker", gpu=False) == Wireup(
        model="container", pmi="pmix_v4", env={"PMIX_MCA_psec": "native"}, notes=GENERIC
    )


def test_bind_without_a_host_s_mpi() -> None:
    with pytest.raises(UsageError) as caught:
        wire_up(mpi(DEBIAN), SLURM, engine="apptainer", gpu=False, model="bind")
    assert caught.value.message == "this host has no MPI under the name that the image asks for: `libmpich.so.12`"


def test_ranks_in_one_container_need_no_detours() -> None:
    wireup = wire_up(mpi(DEBIAN), SLURM, engine="embedded", gpu=False, shared=True)
    assert wireup == Wireup(model="container", pmi="pmi2", notes=GENERIC)
    bound = wire_up(mpi(DEBIAN), SLURM, engine="embedded", gpu=False, shared=True, model="bind", host=HOST)
    assert bound.env == {}


def test_an_mpich_that_reads_other_processes_memory_by_itself() -> None:
    image = mpi(replace(MPICH, version="4.3.0"))
    assert wire_up(image, SLURM, engine="apptainer", gpu=False).env == {"MPIR_CVAR_CH4_CMA_ENABLE": "0"}
