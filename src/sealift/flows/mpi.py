"""The story of `mpi show` and `mpi check`: what MPI an image has, how a site wires it up, whether its ranks talk."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sealift.core.event import Events, Said, ignore
from sealift.core.finding import Finding
from sealift.core.launch import Bind
from sealift.core.mpi import HostMpi, ImageMpi, Model, Probe, Wireup, version_numbers
from sealift.elf.reading import read_elf
from sealift.engines.binds import show_bind
from sealift.engines.choose import CLEAN_ENGINES, ENGINES, choose
from sealift.engines.mpiprobe import C_SOURCE, NO_LIBRARY, NONE_POSSIBLE, make_probe, text
from sealift.engines.wireup import wire_up
from sealift.errors import HostError, SealiftError, UsageError
from sealift.evidence import ranks
from sealift.evidence.hostmpi import collect
from sealift.evidence.mpi import find_mpi, newest_glibc
from sealift.evidence.opening import open_image
from sealift.flows.mpiverdict import judge
from sealift.flows.ociconfig import image_environment
from sealift.flows.run import local_image
from sealift.flows.sites import detect_site, find_site
from sealift.sites.profile import Profile

LIBRARY_PATH = "LD_LIBRARY_PATH"
MINUTES = 5
"""A step of the check that takes longer is ended."""
_NO_PMI = ("docker", "podman", "edf", "pyxis", "enroot")
"""Engines that `sealift exec` cannot start as one rank of a step."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MpiRequest:
    """What `mpi show` and `mpi check` are asked.

    `program` is the one whose MPI counts; `pmi` overrides the type that fits the site.
    """

    image: str
    environment: Mapping[str, str]
    program: str = ""
    site: str = ""
    engine: str = "auto"
    model: str = ""
    gpu: bool = False
    pmi: str = ""
    nodes: int = 0
    tasks_per_node: int = 2
    insecure: bool = False
    today: str = ""
    events: Events = ignore


@dataclass(frozen=True, slots=True, kw_only=True)
class MpiView:
    """What is there, and what a job would do about it: `wireup`, or `refusal` with the reason."""

    image: ImageMpi
    site: str
    engine: str
    wireup: Wireup | None = None
    refusal: SealiftError | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MpiReport:
    """What came of a run. `command` is the whole line, `alone` says that there was no Slurm."""

    view: MpiView
    tasks: int
    command: tuple[str, ...]
    alone: bool
    said: ranks.Said
    findings: tuple[Finding, ...]
    tail: tuple[str, ...] = field(default=())

    @property
    def good(self) -> bool:
        return not any(finding.severity == "error" for finding in self.findings)


def show_mpi(request: MpiRequest) -> MpiView:
    """Look into the image and ask the site's profile; nothing is run. ImageError, and UsageError for a wrong name."""
    return _look(request)[0]


def check_mpi(request: MpiRequest) -> MpiReport:
    """Run ranks in the image and judge what they say: by `srun` inside an allocation, else alone on this host.

    UsageError where image and site do not fit, or no probe can be made; HostError where there is nothing to run with.
    """
    view, path, libraries = _look(request, here=True)
    if view.refusal is not None:
        raise view.refusal
    assert view.wireup is not None
    wireup = replace(view.wireup, pmi=request.pmi) if request.pmi else view.wireup
    view = replace(view, wireup=wireup)
    alone = not request.environment.get("SLURM_JOB_ID")
    if view.engine in _NO_PMI and not alone:
        raise UsageError(
            f"`mpi check` does not start ranks by {view.engine}",
            hints=("run them in a job: sealift job", "or with another engine: --engine embedded"),
        )
    mark = f".sealift-mpi-{os.uname().nodename}-"
    _sweep(mark)
    with tempfile.TemporaryDirectory(prefix=f"{mark}{os.getpid()}-", dir=".") as made:
        folder = os.path.abspath(made)
        probe = _probe(request, view, folder)
        program = os.path.join(folder, "ranks")
        with open(program, "xb") as file:
            file.write(probe.program)
            os.fchmod(file.fileno(), 0o755)
        tasks = _tasks(request, alone=alone)
        inside = probe.command(program, f"tasks={tasks}")
        if alone:
            command = _alone(request, view, path, libraries, folder, inside, tasks)
        else:
            command = (*_srun(request, view, tasks), *_exec(request, view, path, libraries, folder), *inside)
        request.events(Said(text=f"running {tasks} ranks", level="debug"))
        code, out, err = _run(command, request.environment)
    said = ranks.read_ranks(out, err)
    talk = tuple(line for line in f"{out}\n{err}".splitlines() if ranks.is_talk(line))
    return MpiReport(
        view=view,
        tasks=tasks,
        command=command,
        alone=alone,
        said=said,
        findings=judge(view.image, wireup, said, tasks=tasks, code=code, talk=talk, alone=alone),
        tail=talk[-30:],
    )


def _sweep(mark: str) -> None:
    """Remove the folders of checks on this host that were killed before they could."""
    for name in os.listdir("."):
        pid = name.removeprefix(mark).partition("-")[0]
        if name.startswith(mark) and pid.isdigit() and not os.path.exists(f"/proc/{pid}"):
            shutil.rmtree(name, ignore_errors=True)


# What is there


def _look(request: MpiRequest, *, here: bool = False) -> tuple[MpiView, str, str]:
    """The view, the image's path, and the LD_LIBRARY_PATH that it sets itself; `here` is where it will run."""
    model = _model(request.model)
    path = local_image(request.image, request.environment, request.events, insecure=request.insecure)
    with open_image(path) as opened:
        found = find_mpi(opened, request.program)
        libraries = image_environment(opened.root, None).values.get(LIBRARY_PATH, "")
    site = _site(request)
    engine = _engine(request, site, here=here)
    view = MpiView(image=found, site=site.name, engine=engine)
    try:
        wireup = wire_up(
            found,
            site,
            engine=engine,
            gpu=request.gpu,
            model=model,
            host=host_mpi(found, request.environment) if model == "bind" else None,
        )
    except UsageError as error:
        return replace(view, refusal=error), path, libraries
    return replace(view, wireup=wireup), path, libraries


def _model(name: str) -> Model | None:
    models: dict[str, Model] = {"bind": "bind", "hybrid": "hybrid", "container": "container", "injected": "injected"}
    if name and name not in models:
        raise UsageError(f"there is no model `{name}`", hints=(f"models: {', '.join(models)}",))
    return models.get(name)


def _site(request: MpiRequest) -> Profile:
    name = request.site or detect_site(request.environment) or "local"
    return find_site(name, request.environment, today=request.today)


def _engine(request: MpiRequest, site: Profile, *, here: bool) -> str:
    """The one that was named, else the site's first, else what this host has."""
    if request.engine in CLEAN_ENGINES:
        return request.engine
    first = next(iter(site.texts("engines.order")), "embedded")
    if request.engine == "auto" and site.name != "local" and (first in CLEAN_ENGINES or not here):
        return first if first in (*ENGINES, *CLEAN_ENGINES) else "embedded"
    return choose(request.engine, env=request.environment).engine


def host_mpi(image: ImageMpi, environment: Mapping[str, str]) -> HostMpi | None:
    """The MPI of this host that can lie over the image's; None where it has none of that ABI."""
    asked = image.asked or (image.library.soname if image.library else "")
    return collect(asked, HostLibraries(environment))


class HostLibraries:
    """Where this host's loader finds a library: the caller's LD_LIBRARY_PATH, then its cache."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        from sealift.engines.driver import CACHE, cached_libraries
        from sealift.system.process import machine

        self._folders = [each for each in environment.get(LIBRARY_PATH, "").split(":") if each]
        self._cached: dict[str, str] = {}
        try:
            with open(CACHE, "rb") as cache:
                for name, path in cached_libraries(cache.read(), machine()):
                    self._cached.setdefault(name, path)
        except OSError:
            pass

    def __call__(self, name: str) -> str | None:
        for folder in self._folders:
            if os.path.isfile(place := os.path.join(folder, name)):
                return place
        return self._cached.get(name)


# The ranks


def _tasks(request: MpiRequest, *, alone: bool) -> int:
    return max(2, request.tasks_per_node) if alone else max(2, _nodes(request) * request.tasks_per_node)


def _nodes(request: MpiRequest) -> int:
    given = request.environment.get("SLURM_JOB_NUM_NODES", "1")
    return request.nodes or (int(given) if given.isdigit() else 1)


def _probe(request: MpiRequest, view: MpiView, folder: str) -> Probe:
    if view.image.library is None and not view.image.asked:
        raise UsageError(NO_LIBRARY, hints=("run the program itself with two ranks",))
    probe = make_probe(view.image, measure=True)
    if probe is None:
        compiled = compile_probe(view.image, request.environment, folder)
        probe = make_probe(view.image, compiled=compiled, measure=True) if compiled else None
    if probe is None:
        raise UsageError(NONE_POSSIBLE, hints=("install python3 or gcc in the image's %post",))
    return probe


def compile_probe(image: ImageMpi, environment: Mapping[str, str], folder: str) -> bytes:
    """The probe as a program, made by this host's compiler in `folder`; empty where it would not run in the image."""
    from sealift.core.architecture import find_architecture
    from sealift.system.process import find_program, machine, run

    compiler = next(filter(None, (find_program(each, path=environment.get("PATH")) for each in ("cc", "gcc"))), None)
    here = find_architecture(machine())
    if compiler is None or image.libc != "glibc" or here is None or here.oci != image.architecture:
        return b""
    source, target = os.path.join(folder, f"here-{C_SOURCE}"), os.path.join(folder, "here")
    with open(source, "xb") as file:
        file.write(text(C_SOURCE))
    done = run((compiler, "-O1", "-o", target, source, "-ldl"), env=environment, accept=range(256))
    if done.code != 0:
        return b""
    with open(target, "rb") as file:
        data = file.read()
    for name in (source, target):
        os.unlink(name)
    needed = read_elf(lambda offset, size: data[offset : offset + size]).versions_needed.values()
    wanted = newest_glibc(version for versions in needed for version in versions)
    return data if version_numbers(wanted) <= version_numbers(image.glibc) else b""


def _srun(request: MpiRequest, view: MpiView, tasks: int) -> tuple[str, ...]:
    from sealift.system.process import find_program

    program = find_program("srun", path=request.environment.get("PATH"))
    if program is None:
        raise HostError("SLURM_JOB_ID is set, and `srun` is not to be found", hints=("module load slurm",))
    nodes = _nodes(request)
    assert view.wireup is not None
    pmi = (f"--mpi={view.wireup.pmi}",) if view.wireup.pmi else ()
    # Ranks that fail must not take the others' words away; what hangs is ended.
    ends = ("--kill-on-bad-exit=0", "--wait=20", f"--time={MINUTES}")
    return (program, *pmi, f"--nodes={nodes}", f"--ntasks={tasks}", "--overlap", "--overcommit", *ends)


def _exec(request: MpiRequest, view: MpiView, path: str, libraries: str, folder: str) -> tuple[str, ...]:
    """`sealift exec` with what the wire-up asks for. A job's script has the engine's own line in this place."""
    wireup = view.wireup
    assert wireup is not None
    flags = ["--engine", view.engine]
    if view.engine in CLEAN_ENGINES:
        flags += ["--site", view.site]
    if wireup.communication != "none":
        flags += ["--communication", wireup.communication]
    if request.gpu:
        flags.append("--nv")
    for bind in (*wireup.binds, Bind(source=folder, destination=folder)):
        flags += ["-B", show_bind(bind)]
    for name, value in {**wireup.env, **ranks.VERBOSE}.items():
        flags += ["--env", f"{name}={_filled(value, request.environment)}"]
    if wireup.library_path:
        parts = [_filled(each, request.environment) for each in wireup.library_path]
        flags += ["--env", f"{LIBRARY_PATH}={':'.join(each for each in (*parts, libraries) if each)}"]
    if wireup.preload:
        flags += ["--env", f"LD_PRELOAD={_filled(wireup.preload, request.environment)}"]
    image = request.image if view.engine in CLEAN_ENGINES else path
    # Without the working folder among the modules, so that a file there cannot stand in for one of them.
    return (sys.executable, "-P", "-m", "sealift", "exec", *flags, image)


def _filled(value: str, environment: Mapping[str, str]) -> str:
    """`$NAME` of the host put in, as a job's shell does."""
    return re.sub(r"\$(\w+)", lambda match: environment.get(match[1], ""), value)


def _alone(
    request: MpiRequest,
    view: MpiView,
    path: str,
    libraries: str,
    folder: str,
    inside: tuple[str, ...],
    tasks: int,
) -> tuple[str, ...]:
    """The image's own launcher starts all ranks inside one container."""
    if not view.image.launcher:
        raise HostError(
            "there is no Slurm allocation here, and the image has no mpiexec of its own",
            hints=("get an allocation: salloc -N 2 sealift mpi check IMAGE",),
        )
    more: dict[str, str] = {}
    if view.image.family == "openmpi":
        # It refuses root, and more ranks than cores.
        more = {"OMPI_MCA_rmaps_base_oversubscribe": "1", "PRTE_MCA_rmaps_default_mapping_policy": ":oversubscribe"}
        if os.geteuid() == 0:
            more |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    assert view.wireup is not None
    shared = replace(view, wireup=replace(view.wireup, env={**view.wireup.env, **more}))
    start = _exec(request, shared, path, libraries, folder)
    return (*start, view.image.launcher, "-n", str(tasks), *inside)


def _run(command: tuple[str, ...], environment: Mapping[str, str]) -> tuple[int, str, str]:
    from sealift.system.process import run

    done = run(command, env=environment, timeout=MINUTES * 60 + 60, accept=range(-64, 256))
    return done.code, done.out.decode("utf-8", "replace"), done.err.decode("utf-8", "replace")
