"""The story of `job`: an image, a site and a command become a batch script."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from sealift.core.event import Events, Said, ignore
from sealift.core.launch import Bind, Communication, LaunchPlan
from sealift.core.mpi import Model, Probe, Wireup
from sealift.core.reference import Reference, as_component, parse_source
from sealift.engines.binds import parse_binds
from sealift.errors import FetchError, ImageError, UsageError
from sealift.flows.sites import detect_site, find_site
from sealift.jobs.image import choose_stage
from sealift.jobs.job import ENGINES, FILE_ENGINES, Engine, Job, JobImage, Kind
from sealift.jobs.script import script
from sealift.jobs.settle import Settled, Wish, settle
from sealift.jobs.words import at_run_time, with_variables
from sealift.sites.profile import Profile

STORE = "podman-hpc:"
"""An image that podman-hpc holds, by the name that it has there."""
_IN_STORES = ("docker://", STORE)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """What a person typed. `stage` is `auto`, `shared` or `node`; `binds` are those of `-B`, as typed."""

    image: str
    site: str
    environment: Mapping[str, str]
    command: tuple[str, ...] = ()
    engine: str = "auto"
    wish: Wish = field(default_factory=Wish)
    binds: tuple[str, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    pwd: str | None = None
    stage: str = "auto"
    twin: str = ""
    """The same image as a file, where `image` is in a registry: looked into for its MPI."""
    mpi_model: Model | None = None
    insecure: bool = False
    today: str = ""
    events: Events = ignore


def plan_job(request: JobRequest) -> Job:
    """Everything that the script says, as a value. UsageError for what the site, the engine or the image refuses."""
    site = _site(request)
    settled = settle(_named(request), site)
    for warning in settled.warnings:
        request.events(Said(text=warning, level="warning"))
    engine = _engine(request, site)
    image = _file_image(request, site) if engine in FILE_ENGINES else _stored_image(request, engine)
    if not request.command and image.form == "file" and not image.prepared:
        raise UsageError(f"`{request.image}` has no runscript", hints=("name the program: sealift job … -- PROGRAM",))
    talk = _talk(request, settled.kind, site, engine)
    wireup = talk.wireup
    plan = LaunchPlan(
        image=request.image,
        action="exec" if request.command else "run",
        command=request.command,
        binds=_binds(request, {} if engine == "shifter" else _places(site, request.environment)),
        env={name: with_variables(value) for name, value in request.env.items()},
        pwd=request.pwd,
        nv=bool(settled.orders.gpus_per_node) and site.text("gpu.vendor", "nvidia") == "nvidia",
        rocm=bool(settled.orders.gpus_per_node) and site.text("gpu.vendor") == "amd",
        communication=_communication(settled, site, engine, wireup),
    )
    return Job(
        plan=plan,
        kind=settled.kind,
        engine=engine,
        site=site,
        orders=settled.orders,
        image=image,
        stage=choose_stage(request.stage, image, nodes=settled.orders.nodes, site=site),
        workers=settled.workers,
        wireup=wireup,
        probe=talk.probe,
        why_alone=talk.why_alone,
        variables=_variables(site, request.environment),
        folders={bind.source: not os.path.isfile(bind.source) for bind in plan.binds},
        notes=_notes(engine, site),
    )


def written(request: JobRequest) -> str:
    """The batch script of a request."""
    return script(plan_job(request))


def _site(request: JobRequest) -> Profile:
    name = request.site or detect_site(request.environment)
    if not name:
        raise UsageError("for which site?", hints=("--site perlmutter", "any other with Slurm: --site slurm"))
    return find_site(name, request.environment, today=request.today)


def _named(request: JobRequest) -> Wish:
    """The job's name: what was ordered, else the image's."""
    if request.wish.name:
        return request.wish
    stem = re.sub(r"[:@].*$", "", os.path.basename(request.image.removeprefix(STORE).rstrip("/")))
    name = re.sub(r"\.(sif|sqfs|squashfs|sqsh|img|simg)$", "", stem)
    return replace(request.wish, name=re.sub(r"[^A-Za-z0-9._-]", "-", name) or "job")


# The engine


def _engine(request: JobRequest, site: Profile) -> Engine:
    title = site.text("site.title", site.name)
    in_registry = request.image.startswith(_IN_STORES)
    if request.engine != "auto":
        found = next((name for name in ENGINES if name == request.engine), None)
        if found is None:
            raise UsageError(
                f"jobs with `{request.engine}` are not written yet", hints=(f"engines: {', '.join(ENGINES)}",)
            )
        _check_form(request, found, site)
        return found
    if request.image.startswith(STORE):
        return "podman-hpc"
    order = site.texts("engines.order")
    takes = (engine for name in order for engine in ENGINES if engine == name)
    wanted = next((engine for engine in takes if (engine in FILE_ENGINES) != in_registry), None)
    if wanted is not None:
        return wanted
    others = [name for name in order if name not in ENGINES]
    if in_registry and others:
        raise UsageError(
            f"jobs with `{others[0]}`, the engine of {title}, are not written yet",
            hints=(f"see how it is called: sealift exec --print --engine {others[0]} --site {site.name} …",),
        )
    if in_registry:
        raise UsageError(
            f"the engines of {title} run files, and `{request.image}` is in a registry",
            hints=(f"fetch it first: sealift pull image.sif {request.image}",),
        )
    request.events(Said(text=f"the engines of {title} take no SIF: Sealift's own runs it"))
    return "embedded"


def _check_form(request: JobRequest, engine: str, site: Profile) -> None:
    in_registry = request.image.startswith(_IN_STORES)
    if request.image.startswith(STORE) and engine != "podman-hpc":
        raise UsageError(f"`{request.image}` is podman-hpc's, not {engine}'s", hints=("leave out --engine",))
    if in_registry == (engine not in FILE_ENGINES):
        return
    if in_registry:
        raise UsageError(
            f"{engine} runs files in jobs, and `{request.image}` is in a registry",
            hints=(f"fetch it first: sealift pull image.sif {request.image}",),
        )
    registry = site.text("registry.host") or "REGISTRY"
    stem = as_component(os.path.splitext(os.path.basename(request.image))[0])
    target = f"docker://{registry}/PROJECT/{stem}:1"
    raise UsageError(
        f"{engine} runs what is in a registry, and `{request.image}` is a file",
        hints=(f"sealift push {shlex.quote(request.image)} {target}", f"sealift job {target} …"),
    )


# The image


def _file_image(request: JobRequest, site: Profile) -> JobImage:
    from sealift.engines.embedded.image import find_image
    from sealift.evidence.opening import open_image
    from sealift.flows.ociconfig import image_environment
    from sealift.store.hashing import digest_file

    text = request.image
    if ":" in text and not os.path.exists(text):
        raise UsageError(
            f"a job wants a file that all nodes see, not `{text}`",
            hints=(f"make it one: sealift build image.sif {shlex.quote(text)}",),
        )
    found = find_image(text, cwd=os.getcwd())
    if found.kind == "folder":
        raise UsageError(
            f"`{text}` is a folder", hints=(f"make an image of it: sealift build image.sif {shlex.quote(text)}",)
        )
    wanted = site.text("node.architecture")
    if found.architecture is not None and wanted and found.architecture.oci != wanted:
        raise ImageError(
            f"`{text}` is for {found.architecture.oci}, and nodes of {site.text('site.title', site.name)} are {wanted}",
            hints=(f"build one for them: sealift build --arch {wanted} …",),
        )
    with open_image(text) as image:
        prepared = image.root.look("/.singularity.d/actions/exec").kind == "file"
        libraries = image_environment(image.root, None).values.get("LD_LIBRARY_PATH", "")
    return JobImage(
        form="file",
        reference=os.path.realpath(text),
        digest=digest_file(text, "sha256"),
        size=os.path.getsize(text),
        offset=found.offset,
        prepared=prepared,
        library_path=libraries,
    )


def _stored_image(request: JobRequest, engine: str) -> JobImage:
    if request.image.startswith(STORE):
        from sealift.flows.destinations import EngineStore, parse_destination
        from sealift.flows.enginestores import squashed_image

        store = parse_destination(request.image, image="IMAGE")
        assert isinstance(store, EngineStore), store
        return JobImage(
            form="store",
            reference=store.name,
            digest=squashed_image(store.name, request.environment),
            prepared=True,
        )
    source = parse_source(request.image)
    assert isinstance(source, Reference), source
    digest = source.digest or _current_digest(request, source)
    if engine == "shifter" and not source.tag and source.digest:
        raise UsageError(
            f"Shifter knows images by tags, and `{request.image}` has none", hints=("docker://HOST/NAME:TAG",)
        )
    if engine == "shifter" and source.digest:
        request.events(
            Said(text=f"Shifter takes what `:{source.tag}` names when the job is sent, pinned or not", level="warning")
        )
    # Under its whole name, for podman-hpc finds no other by a digest.
    return JobImage(
        form="registry",
        reference=source.name + (f":{source.tag}" if source.tag else ""),
        digest=digest or "",
        prepared=False,
    )


def _current_digest(request: JobRequest, reference: Reference) -> str:
    """The digest that the tag names now; empty, with a warning, where the registry does not say."""
    import threading

    from sealift.bases.open import Network, opened_registry
    from sealift.registry import Patience

    network = Network(env=request.environment, insecure=request.insecure, patience=Patience(tries=2, first=0.2))
    try:
        with opened_registry(network, threading.Event(), ignore) as (registry, _):
            return registry.current_digest(reference) or ""
    except FetchError as error:
        request.events(
            Said(
                text=f"{error.message}; the job takes what the tag names then",
                level="warning",
                hint=f"pin it: {request.image}@sha256:…",
            )
        )
        return ""


def _places(site: Profile, environment: Mapping[str, str]) -> dict[str, str]:
    """What a shell put in for `$SCRATCH` and the like, and the same as the job shows it by itself."""
    names = ("HOME", *_variables(site, environment))
    return {environment[name]: at_run_time(name, path=True) for name in names if environment.get(name)}


def _binds(request: JobRequest, places: Mapping[str, str]) -> tuple[Bind, ...]:
    """The binds of `-B`, with `$NAME` left to the job; relative sources are below the folder where this is typed.

    One of `places` is written as the job has it, for Podman shows nothing twice at one place.
    """
    found = []
    for text in request.binds:
        for bind in parse_binds(text):
            source = with_variables(os.path.expanduser(bind.source), path=True)
            destination = with_variables(bind.destination, path=True)
            if not source.startswith("/"):
                source = os.path.join(os.getcwd(), source)
            if not destination.startswith("/"):
                raise UsageError(
                    f"the target of a bind must be an absolute path, not `{bind.destination}`",
                    hints=(f"-B {bind.source}:/{bind.destination}",),
                )
            source, destination = (places.get(path.rstrip("/"), path) for path in (source, destination))
            found.append(Bind(source=source, destination=destination, read_only=bind.read_only))
    return tuple(found)


# What ranks talk by


@dataclass(frozen=True, slots=True, kw_only=True)
class _Talk:
    wireup: Wireup = field(default_factory=Wireup)
    probe: Probe | None = None
    why_alone: str = ""


def _talk(request: JobRequest, kind: Kind, site: Profile, engine: Engine) -> _Talk:
    if kind not in ("mpi", "gpu-mpi"):
        return _Talk()
    gpu = kind == "gpu-mpi"
    file = request.image if engine in FILE_ENGINES else request.twin
    if not file:
        note = (
            "nobody looked into the image for its MPI, and no two ranks try it first: --twin FILE, the SIF of the build"
        )
        talk: Communication = "gpu-mpi" if gpu else "mpi"
        pmi = site.text("mpi.pmi.host")
        return _Talk(wireup=Wireup(model="injected", pmi=pmi, communication=talk, notes=(note,)))
    from sealift.engines.mpiprobe import make_probe, singletons
    from sealift.engines.wireup import wire_up
    from sealift.evidence.mpi import find_mpi
    from sealift.evidence.opening import open_image
    from sealift.flows.mpi import host_mpi

    with open_image(file) as image:
        found = find_mpi(image, request.command[0] if request.command else "")
    host = host_mpi(found, request.environment) if request.mpi_model == "bind" else None
    # With our own engine the job makes one container a node.
    one = engine == "embedded"
    wireup = wire_up(found, site, engine=engine, gpu=gpu, model=request.mpi_model, host=host, shared=one)
    probe = make_probe(found)
    if probe is None:
        note = "no two ranks try it first: the image has neither Python with ctypes nor a C compiler"
        wireup = replace(wireup, notes=(*wireup.notes, note))
    return _Talk(wireup=wireup, probe=probe, why_alone=singletons(found, pmi=wireup.pmi, tasks=2))


def _communication(settled: Settled, site: Profile, engine: Engine, wireup: Wireup) -> Communication:
    if settled.kind in ("mpi", "gpu-mpi"):
        return wireup.communication
    if settled.kind == "single" or settled.orders.nodes == 1 or not settled.orders.gpus_per_node:
        return "none"
    if engine in FILE_ENGINES:
        return "nccl" if site.below("nccl.env") else "none"
    return "nccl" if site.texts(f"engines.{engine}.nccl_flags") else "none"


# Where things lie


def _variables(site: Profile, environment: Mapping[str, str]) -> tuple[str, ...]:
    """The variables by which the site names its file systems; where little is known of it, those that are set here."""
    known = site.text("site.kind") == "cluster"
    return tuple(name for name in site.folder_variables() if known or environment.get(name))


def _notes(engine: Engine, site: Profile) -> tuple[str, ...]:
    if site.text(f"engines.{engine}.status") == "deprecated":
        fact = site.fact(f"engines.{engine}.status")
        return (f"{engine} is deprecated here: {fact.note if fact else ''}".rstrip(": "),)
    return ()


__all__ = ["JobRequest", "Wish", "plan_job", "written"]
