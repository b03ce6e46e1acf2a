"""GPUs: toolkit against driver, code against capability, what hides the driver, ROCm, what engines want to be told."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from sealift.core.finding import Finding
from sealift.core.mpi import version_numbers
from sealift.elf.gpucode import GpuCode
from sealift.evidence.gpu import DriverLibrary, Part
from sealift.preflight import cuda
from sealift.preflight.question import Question, lines

_BY_VARIABLE = ("enroot", "pyxis", "edf")
"""Engines that show GPUs and libcuda only where variables ask for them."""
_SHOWN = 3
_VENDORS = {"nvidia": "NVIDIA", "amd": "AMD", "intel": "Intel"}


def vendor(question: Question) -> Iterator[Finding]:
    """CUDA wants NVIDIA's GPUs, ROCm AMD's."""
    theirs = question.site.text("gpu.vendor")
    wants = {"nvidia": question.image.gpu.of("cuda"), "amd": question.image.gpu.of("rocm")}
    names = {"nvidia": "CUDA", "amd": "ROCm"}
    here = [key for key, parts in wants.items() if parts]
    if not theirs or not here or theirs in here:
        return
    name = " and ".join(names[key] for key in here)
    seen = [_seen(part) for key in here for part in wants[key][:2]]
    if theirs == "none":
        yield Finding(
            id="gpu.none",
            severity="note",
            what=f"the image has {name}, and these nodes have no GPU: programs run on processors, or not at all",
            evidence=lines(*seen, *question.says("gpu.vendor")),
        )
        return
    yield Finding(
        id="gpu.vendor",
        severity="error",
        what=f"the image has {name}, and the GPUs of {question.site.name} are {_VENDORS.get(theirs, theirs)}'s",
        evidence=lines(*seen, *question.says("gpu.vendor", "gpu.model")),
        remedy={
            "amd": "build it for ROCm: wheels of torch end in +rocm, bases are rocm/…",
            "nvidia": "build it for CUDA: wheels of torch end in +cu, bases are nvidia/cuda:…",
        }.get(theirs, "build it for this maker's GPUs"),
    )


def unused(question: Question) -> Iterator[Finding]:
    """A framework that was built for processors alone leaves the GPUs of the site idle, without an error."""
    site, gpu, asked = question.site, question.image.gpu, question.image.environment
    theirs = site.text("gpu.vendor")
    if theirs not in _VENDORS or not gpu.without:
        return
    wants = gpu.parts or any(name in asked for name in ("NVIDIA_VISIBLE_DEVICES", "NVIDIA_REQUIRE_CUDA"))
    name = gpu.without[0].partition(" (")[0]
    yield Finding(
        id="gpu.unused",
        severity="warning" if wants else "note",
        what=f"{name} is built for processors alone: the GPUs of {site.name} stay idle",
        evidence=lines(*gpu.without, *question.says("gpu.vendor", "gpu.model")),
        remedy=_for_gpus(name, site.text("gpu.driver")) if theirs == "nvidia" else "",
    )


def _for_gpus(name: str, driver: str) -> str:
    major = "12" if driver and not cuda.at_least(driver, cuda.least_driver("13")) else "13"
    if name.startswith("jaxlib"):
        return f'pip install "jax[cuda{major}]"'
    return f"pip install torch --index-url https://download.pytorch.org/whl/{'cu126' if major == '12' else 'cu130'}"


# CUDA


def driver(question: Question) -> Iterator[Finding]:
    """The toolkit that programs use against the driver of the site."""
    theirs = question.site.text("gpu.driver")
    if question.site.text("gpu.vendor") != "nvidia" or not theirs:
        return
    parts = parts_in_use(question)
    known = question.site.text("gpu.cuda")
    outcome = {part: cuda.runs(part.version, theirs, known) for part in parts}
    for verdict in ("no", "minor"):
        these = [part for part in parts if outcome[part] == verdict]
        if these:
            newest = max(these, key=lambda part: version_numbers(part.version))
            of_it = [part for part in these if part.version == newest.version]
            yield _too_new(question, newest, of_it) if verdict == "no" else _minor(question, newest, of_it)
            return


def parts_in_use(question: Question) -> tuple[Part, ...]:
    """What brings CUDA, versions filled in where the wheel does not tell its own."""
    filled = []
    for part in question.image.gpu.of("cuda"):
        version = part.version or cuda.torch_default(part.what.removeprefix("torch "))
        if version:
            filled.append(
                Part(toolkit=part.toolkit, what=part.what, version=version, path=part.path, framework=part.framework)
            )
    return tuple(filled)


def _too_new(question: Question, newest: Part, parts: Sequence[Part]) -> Finding:
    site, least = question.site, cuda.least_driver(newest.version)
    fits = cuda.newest_full(site.text("gpu.driver"))
    forward = [each for each in question.image.gpu.libraries if each.kind == "compat" and each.led]
    more = f"{forward[0].path} is led to by {forward[0].led}: nobody here knows whether it helps" if forward else ""
    return Finding(
        id="gpu.cuda.driver",
        severity="error",
        what=f"CUDA {newest.version} needs a driver of {least} or later, and {site.name} has {site.text('gpu.driver')}",
        evidence=lines(*(_seen(part) for part in parts[:_SHOWN]), *question.says("gpu.driver"), more),
        remedy=_older(newest, fits),
    )


def _older(part: Part, fits: str) -> str:
    major = fits.partition(".")[0]
    if part.framework == "torch":
        # For these versions wheels are made; each runs on every driver of its major version.
        wheels = {"11": "cu118", "12": "cu126", "13": "cu130"}
        index = f"https://download.pytorch.org/whl/{wheels.get(major, 'cu126')}"
        return f"take another wheel: pip install torch --index-url {index}"
    if part.framework == "jax":
        return f'pip install "jax[cuda{major}]"'
    return f"begin with an image of CUDA {fits} or older"


def _minor(question: Question, newest: Part, parts: Sequence[Part]) -> Finding:
    site = question.site
    capability = site.text("gpu.capability")
    covered = _covered(question, capability)
    full = cuda.full_driver(newest.version)
    needs = f"all that it can wants driver {full}" if full else "its own driver is a later one"
    caveat = "PTX that is compiled while a program runs (numba, CuPy's raw kernels) can fail: `unsupported PTX version`"
    fits = cuda.newest_full(site.text("gpu.driver"))
    return Finding(
        id="gpu.cuda.minor",
        severity="note" if covered == "code" else "warning",
        what=f"CUDA {newest.version} runs on driver {site.text('gpu.driver')} by minor-version compatibility, {needs}",
        evidence=lines(
            *(_seen(part) for part in parts[:_SHOWN]),
            *question.says("gpu.driver"),
            f"machine code for {capability} is there" if covered == "code" else "",
            caveat,
        ),
        remedy=f"for all of it, build with CUDA {fits}" if fits else "",
    )


def _covered(question: Question, capability: str) -> str:
    """Has every framework and program with code of its own machine code for this GPU? Empty where nothing is known."""
    known = known_code(question)
    answers = {cuda.covers(code, capability) for _, code, _ in known} if capability else set()
    return "code" if answers == {"code"} else ""


def known_code(question: Question) -> list[tuple[str, GpuCode, str]]:
    """Whose code, what code, and how it is known: read from the libraries, else by PyTorch's own list."""
    found = [
        (owner, code, "read from its libraries")
        for owner, code in question.image.gpu.code.items()
        if not any(each.startswith("gfx") for each in code.code)
    ]
    if "torch" not in question.image.gpu.code:
        for part in parts_in_use(question):
            listed = cuda.torch_code(part.version, question.image.architecture) if part.framework == "torch" else None
            if listed is not None:
                found.append(("torch", listed, f"PyTorch's own list of its wheels for CUDA {part.version}"))
    return found


def capability(question: Question) -> Iterator[Finding]:
    """Is there code for the GPUs of the site? What has none says `no kernel image is available`."""
    theirs = question.site.text("gpu.capability")
    if question.site.text("gpu.vendor") == "amd":
        yield from _amd_targets(question, theirs)
    if question.site.text("gpu.vendor") != "nvidia" or not version_numbers(theirs)[1:]:
        return
    told = False
    for owner, code, how in known_code(question):
        covered = cuda.covers(code, theirs)
        needs_ptx = covered == "ptx" and _is_minor(question)
        if covered == "no" or needs_ptx:
            told = True
            yield _no_code(question, owner, code, how, needs_ptx=needs_ptx)
    if told:
        return
    yield from _older_than_gpu(question, theirs)
    for part in parts_in_use(question):
        oldest = cuda.oldest_capability(part.version)
        if part.framework == "jax":
            row = cuda.tables()["jax"].get(part.version.partition(".")[0], {})
            oldest = str(row.get("capability", oldest))
        if oldest and version_numbers(theirs) < version_numbers(oldest):
            yield Finding(
                id="gpu.capability",
                severity="error",
                what=f"{part.what} knows GPUs from {oldest} on, and those of {question.site.name} are {theirs}",
                evidence=lines(_seen(part), *question.says("gpu.capability", "gpu.model")),
                remedy="build with CUDA 12: version 13 has nothing for GPUs before 7.5",
            )
            return


def _older_than_gpu(question: Question, theirs: str) -> Iterator[Finding]:
    """A toolkit that is older than the GPU has libraries without code for it; a driver may compile their PTX."""
    first = cuda.first_for(theirs)
    parts = parts_in_use(question)
    if not first or not parts or known_code(question):
        return
    newest = max(parts, key=lambda part: version_numbers(part.version))
    if version_numbers(newest.version)[1:] and version_numbers(newest.version)[:2] < version_numbers(first):
        yield Finding(
            id="gpu.capability",
            severity="warning",
            what=f"CUDA {newest.version} is older than the GPUs of {question.site.name}, and has no code for them: "
            "programs are slow to start, or say `no kernel image is available`",
            evidence=lines(
                _seen(newest),
                f"CUDA {first} is the first that knows {theirs}",
                *question.says("gpu.capability", "gpu.model"),
            ),
            remedy=f"build with CUDA {first} or later",
        )


def _is_minor(question: Question) -> bool:
    """Is all CUDA of the image newer than the driver's own? Of several versions nobody knows whose PTX it is."""
    theirs, known = question.site.text("gpu.driver"), question.site.text("gpu.cuda")
    outcomes = {cuda.runs(part.version, theirs, known) for part in parts_in_use(question)} if theirs else set()
    return outcomes == {"minor"}


def _no_code(question: Question, owner: str, code: GpuCode, how: str, *, needs_ptx: bool) -> Finding:
    theirs = question.site.text("gpu.capability")
    target = theirs.replace(".", "")
    why = "its PTX is of a newer CUDA than the driver compiles" if needs_ptx else ""
    return Finding(
        id="gpu.code",
        severity="error",
        what=f"{owner} has no code for GPUs of capability {theirs}, which {question.site.name} has",
        evidence=lines(f"it has {', '.join((*code.code, *code.ptx))} ({how})", why, *question.says("gpu.capability")),
        remedy=_with_code(owner, theirs, f"-gencode arch=compute_{target},code=sm_{target}"),
    )


def _with_code(owner: str, capability: str, option: str) -> str:
    """What has code for this GPU: another wheel, or the same compiled for it."""
    old = version_numbers(capability) < version_numbers(cuda.oldest_capability("13"))
    if owner == "torch":
        return "take a wheel for CUDA 12.6, which has code for 5.0 to 9.0" if old else "take a newer wheel of torch"
    if owner.startswith("jax"):
        return 'pip install "jax[cuda12]"' if old else "take a newer JAX"
    if not owner.startswith("/"):
        return f"take a wheel of {owner} for this GPU, or build it with TORCH_CUDA_ARCH_LIST={capability}"
    return f"compile it with: {option}"


def _amd_targets(question: Question, theirs: str) -> Iterator[Finding]:
    for owner, code in question.image.gpu.code.items():
        targets = [each for each in code.code if each.startswith("gfx")]
        if targets and theirs.startswith("gfx") and theirs not in targets:
            yield Finding(
                id="gpu.code",
                severity="error",
                what=f"{owner} has no code for {theirs}, which {question.site.name} has",
                evidence=lines(
                    f"it has {', '.join(targets)} (read from its libraries)", *question.says("gpu.capability")
                ),
                remedy=f"compile it with: --offload-arch={theirs}   (PyTorch: PYTORCH_ROCM_ARCH={theirs})",
            )


def majors(question: Question) -> Iterator[Finding]:
    """Python packages of two major versions of CUDA in one environment."""
    places: dict[str, dict[str, str]] = {}
    for part in parts_in_use(question):
        if part.framework or part.path.endswith(".dist-info"):
            told = places.setdefault(_environment(part.path), {})
            told.setdefault(part.version.partition(".")[0], _seen(part))
    for place, packages in question.image.pythons.items():
        for name, version in sorted(packages.items()):
            mark, major = name.rpartition("-cu")[1:]
            if mark and name.startswith("nvidia-") and major.isdecimal():
                places.setdefault(_environment(f"{place}/"), {}).setdefault(major, f"{name} {version}")
    for found in places.values():
        if len(found) > 1:
            both = " and ".join(sorted(found))
            yield Finding(
                id="gpu.cuda.mixed",
                severity="warning",
                what=f"Python has packages for CUDA {both}: their libraries have the same names, and one of them loses",
                evidence=lines(*(found[major] for major in sorted(found))),
                remedy=f"build all of them for one: torch from .../whl/cu{max(found)}0, jax[cuda{max(found)}]",
            )
            return


def _environment(path: str) -> str:
    """Where the interpreter of a folder of packages lies: what is in /usr and in /usr/local is seen by the same one."""
    found = re.match(r"(.*?)(?:/local)?/lib(?:64)?/python[^/]*/(?:site|dist)-packages/", path)
    return found[1] if found else path


# What hides the driver


def hidden_driver(question: Question) -> Iterator[Finding]:
    """A libcuda of the image that programs come by before the host's."""
    if question.site.text("gpu.vendor") != "nvidia":
        return
    led = [each for each in question.image.gpu.libraries if each.led]
    for each in sorted(led, key=lambda one: (not _is_strong(question, one), one.path))[:1]:
        yield _hiding(question, each)


def _is_strong(question: Question, library: DriverLibrary) -> bool:
    """Does it come before what the engine brings in? A RUNPATH does where that is found by the loader's cache."""
    always = ("LD_LIBRARY_PATH", "the RPATH")
    return library.led.startswith((*always, "the RUNPATH") if question.engine.ldconfig else always)


def _hiding(question: Question, library: DriverLibrary) -> Finding:
    theirs = question.site.text("gpu.driver")
    first = _is_strong(question, library)
    version = f" {library.version}" if library.version else ""
    what = {
        "stub": f"`{library.path}` is a stub for linking, to which {library.led} can lead before the driver's",
        "compat": f"`{library.path}` is CUDA's compatibility library{version}, and {library.led} leads programs to it",
        "driver": f"`{library.path}` is a driver's library{version}, and {library.led} can lead programs to it",
    }[library.kind]
    newer = bool(theirs and library.version and not at_most(library.version, theirs))
    severe = first and not (library.kind == "compat" and newer)
    why = {
        "stub": "a program that loads it finds no GPU: `CUDA driver is a stub library`",
        "compat": "it helps where it is newer than the driver, on data-centre GPUs and for listed branches only; "
        "else error 803, `unsupported display driver / cuda driver combination`",
        "driver": "a driver's libraries work with the kernel module of their own version alone",
    }[library.kind]
    folder = library.path.rpartition("/")[0]
    remedy = {
        "stub": f"take {folder} out of {library.led}; link with -L{folder}, which needs no more",
        "compat": f"take {folder} out of {library.led}",
        "driver": "do not install a driver in an image: take its packages out of %post",
    }[library.kind]
    if library.kind != "driver" and library.led.startswith("the loader"):
        remedy = f"rm {library.path}"
    elif library.led.startswith("the R"):
        remedy = f"link without -Wl,-rpath,{folder}: -L{folder} is enough"
    elif library.led.startswith("/") and library.kind != "driver":
        remedy += ", and run ldconfig at the end of %post"
    return Finding(
        id=f"gpu.libcuda.{library.kind}",
        severity="error" if severe else "warning",
        what=what,
        evidence=lines(why, *question.says("gpu.driver")),
        remedy=remedy,
    )


def at_most(version: str, limit: str) -> bool:
    return version_numbers(version) <= version_numbers(limit)


# ROCm, and what engines want to be told


def rocm(question: Question) -> Iterator[Finding]:
    """ROCm's user space works with drivers of about two releases around it."""
    oldest, newest = question.site.text("gpu.rocm_oldest"), question.site.text("gpu.rocm_newest")
    if question.site.text("gpu.vendor") != "amd" or not (oldest or newest):
        return
    for part in question.image.gpu.of("rocm"):
        version = version_numbers(part.version)[:2]
        if not version:
            continue
        too_old = oldest and version < version_numbers(oldest)[:2]
        if too_old or (newest and version > version_numbers(newest)[:2]):
            yield Finding(
                id="gpu.rocm",
                severity="warning",
                what=f"ROCm {part.version} is {'older' if too_old else 'newer'} than what the driver of "
                f"{question.site.name} goes with: {oldest} to {newest}",
                evidence=lines(
                    _seen(part), *question.says("gpu.rocm", "gpu.driver", "gpu.rocm_oldest", "gpu.rocm_newest")
                ),
                remedy=f"build with ROCm {oldest if too_old else newest}",
            )
            return


def variables(question: Question) -> Iterator[Finding]:
    """Enroot and its kin bring in nothing that the image's variables do not ask for."""
    asked = question.image.environment
    if question.engine.name not in _BY_VARIABLE or question.site.text("gpu.vendor") != "nvidia":
        return
    if not question.image.gpu.of("cuda"):
        return
    capabilities = asked.get("NVIDIA_DRIVER_CAPABILITIES", "utility").split(",")
    missing = []
    if asked.get("NVIDIA_VISIBLE_DEVICES", "void") in ("", "void", "none"):
        missing.append("export NVIDIA_VISIBLE_DEVICES=all")
    if not {"all", "compute"} & set(capabilities):
        missing.append("export NVIDIA_DRIVER_CAPABILITIES=compute,utility")
    if missing:
        yield Finding(
            id="gpu.variables",
            severity="error",
            what=f"{question.engine.name} shows no GPU to this image: it does not ask for them",
            evidence=lines(
                *(
                    f"{name} is {asked.get(name) or 'not set'}"
                    for name in ("NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES")
                )
            ),
            remedy="in %environment:\n" + "\n".join(missing),
        )


def requirement(question: Question) -> Iterator[Finding]:
    """Engines like enroot refuse an image whose NVIDIA_REQUIRE_CUDA the driver does not meet."""
    asked = question.image.environment
    wanted = asked.get("NVIDIA_REQUIRE_CUDA", "")
    theirs = question.site.text("gpu.driver")
    if question.engine.name not in _BY_VARIABLE or question.site.text("gpu.vendor") != "nvidia" or not theirs:
        return
    if asked.get("NVIDIA_DISABLE_REQUIRE") or not wanted or cuda.meets(wanted, theirs, question.site.text("gpu.cuda")):
        return
    yield Finding(
        id="gpu.requirement",
        severity="error",
        what=f"{question.engine.name} refuses the image: the driver does not meet its NVIDIA_REQUIRE_CUDA",
        evidence=lines(f"NVIDIA_REQUIRE_CUDA={wanted}", *question.says("gpu.driver", "gpu.cuda")),
        remedy="build with an older CUDA; where minor-version compatibility is enough: export NVIDIA_DISABLE_REQUIRE=1",
    )


def _seen(part: Part) -> str:
    name = "CUDA" if part.toolkit == "cuda" else "ROCm"
    return f"{part.what} is of {f'{name} {part.version}'.rstrip()} ({part.path})"
