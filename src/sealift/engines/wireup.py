"""What a job does about MPI on a site: whose library runs, what starts the ranks, and what has to be set and bound.

Who can stand in for whom is a matter of the ABI (`core.mpi.Family`); who can start whom, of the protocol:

    srun --mpi=     starts ranks that speak
    pmi2            PMI-1 or PMI-2: MPICH and its kin as they are built by default, Open MPI 4 where it was built for it
    pmix, pmix_v4   PMIx: Open MPI; MPICH only where it was built for it
    cray_shasta     Cray's own: the host's Cray MPICH
    none            nobody: each rank is a world of its own, without an error

What nobody serves is refused here, before a job waits in a queue for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from sealift.core.launch import Bind, Communication
from sealift.core.mpi import HostMpi, ImageMpi, Model, MpiLibrary, Pmi, Wireup, spoken, version_numbers
from sealift.engines.environment import LIBRARIES
from sealift.errors import UsageError
from sealift.sites.profile import Profile

FLAGGED = ("podman-hpc", "shifter")
"""Engines that bring the site's MPI in by flags of their own."""
SEPARATE = ("apptainer", "singularity", "embedded", "charliecloud", "enroot", "podman")
"""Engines that give each rank's container a user namespace of its own, unless they run as root's."""
SERVES: Mapping[str, tuple[Pmi, ...]] = {"pmi2": ("pmi1", "pmi2"), "pmix": ("pmix",)}
HOST_FOLDER = "/opt/sealift-host-mpi"
"""Where the host's MPI appears inside with the `bind` model."""
_SEPARATE_ENV: Mapping[str, str] = {
    # UCX opens its shared memory through /proc/PID/fd of the other rank, which another user namespace forbids.
    "UCX_POSIX_USE_PROC_LINK": "n",
    # It reads large messages out of the other rank's memory (CMA), which is forbidden, too, and fails only then.
    "UCX_TLS": "^cma",
}
_SEPARATE_OPENMPI: Mapping[int, Mapping[str, str]] = {
    # Reading another process's memory (CMA) is forbidden for the same reason.
    4: {"OMPI_MCA_btl_vader_single_copy_mechanism": "none"},
    5: {"OMPI_MCA_smsc": "^cma"},
}


def wire_up(
    image: ImageMpi,
    site: Profile,
    *,
    engine: str,
    gpu: bool,
    model: Model | None = None,
    host: HostMpi | None = None,
    shared: bool = False,
) -> Wireup:
    """How ranks of `image` come up on `site` under `engine`.

    `gpu` asks for MPI that takes buffers on GPUs. `model` overrides what the site's profile says; `bind` lays `host`
    over the image's MPI. `shared` says that the ranks of a node are in one container, which spares them what ranks in
    user namespaces of their own need. UsageError with the reason where image and site do not fit.
    """
    if image.family == "none":
        raise _no_mpi()
    chosen = model or _model(image, site, engine)
    if chosen in ("injected", "hybrid"):
        _check_swap(image, site)
        return _injected(image, site, gpu=gpu) if chosen == "injected" else _hybrid(image, site, gpu=gpu)
    apart = engine in SEPARATE and not shared
    wireup = _bound(image, site, host, apart=apart) if chosen == "bind" else _own(image, site, engine, apart=apart)
    if gpu:
        note = "buffers on GPUs work only where this MPI was built for them: nobody looked"
        wireup = replace(wireup, notes=(*wireup.notes, note))
    return wireup


def _model(image: ImageMpi, site: Profile, engine: str) -> Model:
    """The site's model where the image fits it; else the image's own MPI, where something there can start it."""
    wanted = site.text("mpi.model", "container")
    swap: Model | None = "injected" if wanted == "injected" else "hybrid" if wanted == "hybrid" else None
    if swap is None or (swap == "injected" and engine not in FLAGGED):
        return "container"
    fits = image.family in site.texts("mpi.families")
    return swap if fits or _own_type(image, site) is None else "container"


# The host's MPI in place of the image's


def _check_swap(image: ImageMpi, site: Profile) -> None:
    """Can the site's MPI stand in for the image's?"""
    host = site.text("mpi.host", "the host's MPI")
    where = site.text("site.title", site.name)
    families = site.texts("mpi.families")
    build = f"build the image with MPICH {site.text('mpi.version', '3.4.3')}, shared, from source"
    if image.libc == "musl":
        raise UsageError(
            f"the image's C library is musl, and {where} puts in {host}, which was built for glibc",
            hints=("begin with an image of Ubuntu, Debian, Rocky Linux or openSUSE",),
        )
    if not image.libraries and image.static:
        raise UsageError(
            f"`{image.static[0]}` seems to carry its MPI inside, where {host} of {where} cannot take its place",
            hints=("link it with the shared library: mpicc without -static, MPICH built with --enable-shared",),
        )
    if image.family not in families:
        title = image.library.title if image.library else image.asked
        name = image.library.soname if image.library else image.asked
        raise UsageError(
            f"the image has {title} (`{name}`), and {host} of {where} takes the place of {_kin(families)} only",
            hints=(build, *_other_ways(image, site)),
        )
    asked = image.asked or (image.library.soname if image.library else "")
    if asked.startswith("libmpich.so"):
        raise UsageError(
            f"the image's MPI is called `{asked}`, as Debian and Ubuntu have it, and {host} of {where} answers to "
            "`libmpi.so.12`",
            hints=(build, *_other_ways(image, site)),
        )
    least = site.text("libc.minimum")
    if least and image.glibc and version_numbers(image.glibc) < version_numbers(least):
        raise UsageError(
            f"the image has glibc {image.glibc}, and {host} of {where} needs {least}",
            hints=("begin with a newer base, such as ubuntu:24.04 (glibc 2.39)",),
        )


def _other_ways(image: ImageMpi, site: Profile) -> tuple[str, ...]:
    own = _own_type(image, site)
    return (f"or run the image's own, more slowly: --mpi-model container (srun --mpi={own})",) if own else ()


def _injected(image: ImageMpi, site: Profile, *, gpu: bool) -> Wireup:
    """The engine's flags do it; the variables are the recipe's, which those engines set themselves, too."""
    communication: Communication = "gpu-mpi" if gpu else "mpi"
    return Wireup(
        model="injected",
        pmi=site.text("mpi.pmi.host"),
        communication=communication,
        env=_recipe(site, gpu=gpu),
        modules=site.texts("mpi.modules"),
        notes=_notes(image, site, gpu=gpu),
    )


def _hybrid(image: ImageMpi, site: Profile, *, gpu: bool) -> Wireup:
    path = [each for each in site.text("mpi.library_path").split(":") if each]
    binds = [Bind(source=each.rstrip("/"), destination=each.rstrip("/")) for each in site.texts("mpi.binds")]
    # Names without a folder are those that the site's module brings in by itself.
    binds += [
        Bind(source=each, destination=f"{LIBRARIES}/{each.rpartition('/')[2]}", read_only=True)
        for each in site.texts("mpi.libraries")
        if each.startswith("/")
    ]
    unknown = [each for each in path if "<" in each]
    spool = site.text("slurm.spool")
    if spool and not any(spool == each.source or spool.startswith(each.source + "/") for each in binds):
        binds.append(Bind(source=spool, destination=spool))
    return Wireup(
        model="hybrid",
        pmi=site.text("mpi.pmi.host"),
        binds=tuple(binds),
        env=_recipe(site, gpu=gpu),
        library_path=tuple(each for each in path if each not in unknown),
        preload=site.text("mpi.preload_gpu") if gpu else "",
        modules=site.texts("mpi.modules"),
        notes=(*_notes(image, site, gpu=gpu), *(f"a folder that the profile leaves open: {each}" for each in unknown)),
    )


def _bound(image: ImageMpi, site: Profile, host: HostMpi | None, *, apart: bool) -> Wireup:
    """The host's library over the image's: by name, so that it must be asked for under that name."""
    asked = image.asked or (image.library.soname if image.library else "")
    if host is None:
        raise UsageError(
            f"this host has no MPI under the name that the image asks for: `{asked or 'none'}`",
            hints=("run the image's own: --mpi-model container",),
        )
    if image.libc == "musl":
        raise UsageError(
            "the image's C library is musl, and the host's MPI was built for glibc",
            hints=("run the image's own: --mpi-model container",),
        )
    if not image.libraries and image.static:
        raise UsageError(
            f"`{image.static[0]}` seems to carry its MPI inside, where the host's cannot take its place",
            hints=("run the image's own: --mpi-model container",),
        )
    if asked not in host.files:
        raise UsageError(
            f"the image asks for `{asked}`, and the host's MPI is `{host.library.soname}`",
            hints=("run the image's own: --mpi-model container",),
        )
    if host.glibc and image.glibc and version_numbers(image.glibc) < version_numbers(host.glibc):
        raise UsageError(
            f"the image has glibc {image.glibc}, and the host's {host.library.title} needs {host.glibc}",
            hints=("begin with a newer base", "or run the image's own: --mpi-model container"),
        )
    pmi = _type_for(host.library, site)
    if pmi is None:
        raise _unserved(host.library, site, f"the host's {host.library.title}")
    sources = {**host.files, **host.folders}
    return Wireup(
        model="bind",
        pmi=pmi,
        binds=tuple(
            Bind(source=source, destination=f"{HOST_FOLDER}/{name}", read_only=True)
            for name, source in sorted(sources.items())
        ),
        env=(_separate(host.library) if apart else {}) | _pmix(pmi),
        library_path=(HOST_FOLDER,),
        notes=site.texts("mpi.note"),
    )


# The image's own MPI


def _own(image: ImageMpi, site: Profile, engine: str, *, apart: bool) -> Wireup:
    if engine == "podman-hpc":
        return _own_on_podman_hpc(image, site)
    library = image.library
    if library is None and not image.static:
        raise UsageError(
            f"the program asks for `{image.asked}`, which is not in the image",
            hints=("install that MPI in %post, or bind this host's: --mpi-model bind",),
        )
    pmi = _own_type(image, site)
    notes = list(site.texts("mpi.note"))
    if library is None:
        notes.append(f"`{image.static[0]}` seems to carry its MPI inside: how it wants to be started is a guess")
    if site.text("site.scheduler", "slurm") == "pbs":
        pmi = ""
        notes.append("the launcher is mpiexec of the host: what it speaks is not known")
    elif pmi is None:
        raise _unserved(library, site, f"the image's {library.title}" if library else "the MPI inside")
    return Wireup(
        model="container",
        pmi=pmi or "",
        communication="openmpi" if engine == "shifter" else "none",
        env={**_own_recipe(site), **(_separate(library) if apart else {}), **_pmix(pmi or "")},
        notes=tuple(notes),
    )


def _own_on_podman_hpc(image: ImageMpi, site: Profile) -> Wireup:
    """Its module for an image's own MPI brings in what PMI-2 needs; the one for PMIx fails as it is shipped."""
    protocols = image.library.pmi if image.library else ("pmi1",)
    if not set(protocols) & set(SERVES["pmi2"]):
        title = image.library.title if image.library else "its MPI"
        raise UsageError(
            f"the image's {title} speaks {spoken(protocols)}, and podman-hpc's `--openmpi-pmix` fails as it is shipped",
            hints=(
                f"build the image with MPICH {site.text('mpi.version', '3.4.3')}: the host's MPI then takes its place",
                "or with Open MPI 4 that was configured --with-pmi",
                "or run it with Shifter: --engine shifter",
            ),
        )
    return Wireup(model="container", pmi="pmi2", communication="openmpi", notes=site.texts("mpi.note"))


def _own_type(image: ImageMpi, site: Profile) -> str | None:
    """What `srun --mpi=` starts the image's own MPI; None where nothing there is known to."""
    if image.library is None:
        family = image.static_family
        if family == "none":
            return None
        guess = "pmi2" if family == "mpich" else "pmix"
        return site.text(f"mpi.pmi.{family}", guess)
    return _type_for(image.library, site)


def _type_for(library: MpiLibrary, site: Profile) -> str | None:
    """The site's word for this MPI where the library speaks it, else another type that the site has.

    What a site has is not guessed where it has an MPI of its own in place of images': some have nothing else.
    """
    known = site.texts("slurm.mpi_types")
    likely = ("pmix", "pmi2") if library.family == "openmpi" else ("pmi2", "pmix")
    guessed = likely if site.text("mpi.model", "container") in ("container", "bind") else ()
    types: list[str] = [site.text(f"mpi.pmi.{_key(library)}"), *sorted(known, key=_preferred(likely)), *guessed]
    for type_ in types:
        if type_ and (not known or type_ in known) and set(_serves(type_)) & set(library.pmi):
            return type_
    return None


def _preferred(likely: Sequence[str]) -> Callable[[str], int]:
    return lambda type_: likely.index(type_) if type_ in likely else len(likely)


def _serves(type_: str) -> tuple[Pmi, ...]:
    """`pmix_v4` is `pmix` of one version."""
    return SERVES.get(type_.partition("_v")[0], ())


def _key(library: MpiLibrary) -> str:
    match library.implementation:
        case "openmpi":
            return "openmpi5" if version_numbers(library.version)[:1] >= (5,) else "openmpi4"
        case "intel-mpi":
            return "intel"
        case _:
            return "mpich"


def _unserved(library: MpiLibrary | None, site: Profile, title: str) -> UsageError:
    why = ""
    if library is not None and _key(library) == "openmpi5":
        why = ": PMI-2 was taken out of Open MPI 5, and under pmi2 each rank would be a world of its own"
    protocols = spoken(library.pmi if library else ())
    there = ", ".join(site.texts("slurm.mpi_types")) or "nothing that is known"
    return UsageError(
        f"{title} speaks {protocols}, and `srun` of {site.text('site.title', site.name)} has {there}{why}",
        hints=("build the image with MPICH, or with Open MPI 4 that was configured --with-pmi",),
    )


def _no_mpi() -> UsageError:
    return UsageError(
        "the image has no MPI that can be seen: no libmpi, and no program with one inside",
        hints=(
            "install one in %post, such as MPICH",
            "a program in an odd place? name it: sealift mpi show IMAGE PROGRAM",
        ),
    )


# What is set


def _recipe(site: Profile, *, gpu: bool) -> dict[str, str]:
    groups = ("mpi.env", "mpi.gpu_env" if gpu else "mpi.cpu_env")
    return {name: fact.shown for group in groups for name, fact in site.below(group).items()}


def _own_recipe(site: Profile) -> dict[str, str]:
    """The recipe of a site that runs images' own MPI; another's is for the host's."""
    return _recipe(site, gpu=False) if site.text("mpi.model") == "container" else {}


def _separate(library: MpiLibrary | None) -> dict[str, str]:
    """Ranks that share a node cannot open each other's memory where each has a user namespace of its own."""
    if library is None:
        return {}
    found = dict(_SEPARATE_ENV) if "ucx" in library.transports else {}
    if (
        library.implementation == "mpich"
        and library.device.startswith("ch4")
        and version_numbers(library.version) >= (4, 1)
    ):
        found["MPIR_CVAR_CH4_CMA_ENABLE"] = "0"
    if library.implementation == "openmpi":
        found |= _SEPARATE_OPENMPI[5 if _key(library) == "openmpi5" else 4]
    return found


def _pmix(pmi: str) -> dict[str, str]:
    # PMIx would prove who asks by munge, whose socket is not inside.
    return {"PMIX_MCA_psec": "native"} if pmi.partition("_v")[0] == "pmix" else {}


def _notes(image: ImageMpi, site: Profile, *, gpu: bool) -> tuple[str, ...]:
    notes = list(site.texts("mpi.note"))
    if gpu and not any("deadlock" in note for note in notes):
        notes.append(
            "with NCCL beside it GPU-aware MPI can deadlock: MPICH_GPU_SUPPORT_ENABLED=0 where NCCL does the work"
        )
    if image.library is not None and image.library.implementation == "mpich":
        built, wanted = version_numbers(image.library.version)[:2], version_numbers(site.text("mpi.version"))[:2]
        if wanted and built > wanted:
            notes.append(
                f"the image has {image.library.title}, and the site names {site.text('mpi.version')}: newer calls than "
                "the host's MPI has are missing there"
            )
    return tuple(notes)


def _kin(families: tuple[str, ...]) -> str:
    names = {"mpich": "MPICH and its kin", "openmpi": "Open MPI", "standard": "the standard ABI"}
    return ", ".join(names.get(each, each) for each in families) or "nothing that is known"
