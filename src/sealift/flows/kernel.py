"""The story of `kernel`: a notebook's cells run in an image, on whichever engine takes it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sealift.core.event import Events, Said, ignore
from sealift.core.jupyter import CONNECTION_FILE, ImageKernel
from sealift.core.launch import Bind, LaunchPlan
from sealift.engines.clean.surroundings import SHARED, Caller, compose, load_rules, ordered_plainly
from sealift.errors import UsageError
from sealift.jobs.kernel import CONNECTION, NOTEBOOKS, SCRIPT, SPEC, Kernel, kernelspec, script
from sealift.system.files import atomic_file, explain_oserror
from sealift.system.home import home_folder

if TYPE_CHECKING:
    from sealift.engines.started import Started
    from sealift.sites.profile import Profile

FILE_ENGINES = ("embedded", "apptainer", "singularity")
ENGINES = (*FILE_ENGINES, "docker", "podman", "podman-hpc", "shifter")
"""Engines on which a kernel can be reached: the others keep no network and no folders that Jupyter would see."""
_STORES = ("docker://", "docker-daemon:", "podman:", "podman-hpc:")
"""Images by these names are the engine's to fetch and to look into."""
_OF_PYTHON = {"JPY_PARENT_PID": "1"}
"""ipykernel looks for this process and ends with it. It would find another one, or none, behind an engine; that it is 1
says that there is nothing to look for. The script looks instead.
"""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelOrder:
    """What `kernel install` is asked for; empty texts leave the choice to it. `prefix` is an environment's folder."""

    image: str
    site: str = ""
    engine: str = ""
    name: str = ""
    display_name: str = ""
    language: str = "python"
    prefix: str = ""
    nv: bool = False
    rocm: bool = False
    binds: tuple[Bind, ...] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    force: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class InstalledKernel:
    """A kernel of ours in Jupyter's folder. `fault` says why it cannot start, empty where nothing is known."""

    name: str
    display_name: str
    folder: str
    image: str
    engine: str
    site: str = ""
    fault: str = ""


def plan_kernel(
    order: KernelOrder, environment: Mapping[str, str], *, load: bool = True, events: Events = ignore
) -> Kernel:
    """The kernel that `order` means on this host. With `load` an engine with a store of its own is given the image.

    UsageError where the image has no such kernel, or the engine cannot run it; HostError where the engine is missing.
    """
    from sealift.flows.sites import site_here

    site = site_here(order.site, environment)
    engine = _engine(order, site, environment)
    order = replace(order, image=_whole(order.image), binds=tuple(_absolute(bind) for bind in order.binds))
    inside = _kernel_inside(order, engine, environment, events)
    if site is not None:
        _warn_of_purge(order.image, site, environment, events)
    plan = LaunchPlan(
        image=order.image,
        action="exec",
        command=tuple(word.replace(CONNECTION_FILE, CONNECTION) for word in inside.argv),
        binds=order.binds,
        env={**(_OF_PYTHON if inside.language == "python" else {}), **order.env},
        nv=order.nv,
        rocm=order.rocm,
    )
    name = order.name or _default_name(order.image)
    bare = Kernel(
        name=name,
        display_name=order.display_name or f"{inside.language.capitalize()} in {_short(order.image)}",
        language=inside.language,
        image=order.image,
        engine=engine,
        site=site.name if site is not None else "",
        argv=(),
        more=0,
        interrupt=inside.interrupt,
        metadata=inside.metadata,
    )
    caller = _caller(plan, environment, site)
    if engine in FILE_ENGINES:
        return _on_files(bare, plan, caller, site, environment)
    return _on_store(bare, plan, caller, site, environment, load=load, events=events)


def install_kernel(order: KernelOrder, environment: Mapping[str, str], *, events: Events = ignore) -> InstalledKernel:
    """Write the kernel into Jupyter's folder of kernels, whole or not at all.

    What `plan_kernel` raises; UsageError for a name that is taken: by another program's kernel always, by one of
    Sealift's without `force`.
    """
    folder = _folder_for(order, environment)
    kernel = plan_kernel(order, environment, events=events)
    new = not os.path.isdir(folder)
    try:
        os.makedirs(folder, exist_ok=True)
        try:
            # Jupyter sees the kernel when its `kernel.json` is there, which comes last.
            for path, text in kernel_files(kernel, folder):
                with atomic_file(path) as out:
                    out.write(text.encode())
        except BaseException:
            if new:
                _take_away(folder)
            raise
    except OSError as error:
        raise explain_oserror(error, f"writing the kernel {folder}") from error
    return _installed(folder, json.loads(kernelspec(kernel, folder)))


def kernel_files(kernel: Kernel, folder: str) -> tuple[tuple[str, str], ...]:
    """The files of a kernel in `folder`, each with its text, in the order in which they are written."""
    return (os.path.join(folder, SCRIPT), script(kernel)), (os.path.join(folder, SPEC), kernelspec(kernel, folder))


def list_kernels(environment: Mapping[str, str], *, prefix: str = "") -> tuple[InstalledKernel, ...]:
    """Sealift's kernels in Jupyter's folder, by name; those of others are not looked into any further."""
    top = kernels_folder(environment, prefix)
    try:
        names = sorted(os.listdir(top))
    except OSError:
        return ()
    found = ((os.path.join(top, name), _ours(os.path.join(top, name))) for name in names)
    return tuple(_installed(folder, spec) for folder, spec in found if spec is not None)


def remove_kernel(name: str, environment: Mapping[str, str], *, prefix: str = "") -> str:
    """Take one of Sealift's kernels away; its folder. UsageError where there is none, or it is another program's."""
    folder = os.path.join(kernels_folder(environment, prefix), _checked_name(name))
    if _ours(folder) is None:
        if os.path.lexists(folder):
            raise UsageError(
                f"the kernel `{name}` is not Sealift's, and stays: `{folder}`",
                hints=(f"jupyter kernelspec remove {name}",),
            )
        raise UsageError(f"there is no kernel `{name}`: `{folder}`", hints=("see them: sealift kernel list",))
    try:
        _take_away(folder)
    except OSError as error:
        raise explain_oserror(error, f"removing the kernel {folder}") from error
    return folder


def kernels_folder(environment: Mapping[str, str], prefix: str = "") -> str:
    """Where Jupyter looks: below an environment's `prefix`, else in the user's own folder (jupyter.org, data files)."""
    if prefix:
        return os.path.join(os.path.abspath(prefix), "share", "jupyter", "kernels")
    data = environment.get("JUPYTER_DATA_DIR", "")
    if not data:
        base = environment.get("XDG_DATA_HOME") or os.path.join(home_folder(environment), ".local", "share")
        data = os.path.join(base, "jupyter")
    return os.path.join(os.path.abspath(data), "kernels")


# Which engine, and how it is called


def _engine(order: KernelOrder, site: Profile | None, environment: Mapping[str, str]) -> str:
    from sealift.engines.choose import choose

    if order.engine not in ("", "auto", *ENGINES):
        raise UsageError(
            f"a kernel cannot run on the engine `{order.engine}`", hints=(f"engines of kernels: {', '.join(ENGINES)}",)
        )
    if order.engine and order.engine != "auto":
        return order.engine
    # What is in a registry is for the site's own engine, where that keeps images of its own.
    first = next(iter(site.texts("engines.order")), "") if site is not None else ""
    if order.image.startswith("docker://") and first in ENGINES and first not in FILE_ENGINES:
        return first
    return choose("auto", env=environment, site=lambda: site).engine


def _on_files(
    bare: Kernel, plan: LaunchPlan, caller: Caller, site: Profile | None, environment: Mapping[str, str]
) -> Kernel:
    """Engines that run an image as it lies there, and show home, /tmp and the notebook's folder by themselves."""
    from sealift.engines.apptainer import Name, command_line
    from sealift.engines.choose import choose

    shown = tuple(dict.fromkeys((*SHARED, caller.home, *(bind.destination for bind in plan.binds))))
    if bare.engine == "embedded":
        # With --safe-env it looks at its surroundings when it starts.
        words = _sealift()
        started = command_line(plan, name="apptainer", program="sealift", env={})
        flags = ("--engine", "embedded", "--safe-env", *(("--site", bare.site) if bare.site else ()))
        return replace(
            bare,
            argv=(*words, "exec", *flags, *started.argv[2:]),
            more=len(words) + 1,
            shown=shown,
            set=_added(started),
        )
    choice = choose(bare.engine, env=environment, site=lambda: site)
    name: Name = "singularity" if choice.engine == "singularity" else "apptainer"
    started = command_line(ordered_plainly(plan, caller, site), name=name, program=choice.program, env={})
    passed, kept_out = _rules()
    return replace(bare, argv=started.argv, more=2, shown=shown, passed=passed, kept_out=kept_out, set=_added(started))


def _on_store(
    bare: Kernel,
    plan: LaunchPlan,
    caller: Caller,
    site: Profile | None,
    environment: Mapping[str, str],
    *,
    load: bool,
    events: Events,
) -> Kernel:
    """Engines that keep images of their own, and begin with nothing."""
    from sealift.engines.clean import docker, podman_hpc, shifter
    from sealift.flows.engineimages import Wish, engines_image, program_of

    wish = Wish(
        plan=plan, engine=bare.engine, site=site, environment=environment, load=load, insecure=False, events=events
    )
    image, program = engines_image(wish), program_of(wish)
    # Options stand behind the word that says what to do; Shifter has no such word.
    more = 2
    match bare.engine:
        case "docker" | "podman" as name:
            started = docker.command_line(plan, image, caller, name=name, program=program, site=site)
        case _ if site is None:
            raise UsageError(
                f"{bare.engine}'s flags are the site's: which one is it?", hints=("add --site perlmutter",)
            )
        case "podman-hpc":
            started = podman_hpc.command_line(plan, image, caller, site=site, program=program)
        case _:
            folders = {bind.source: not os.path.isfile(bind.source) for bind in plan.binds}
            started = shifter.command_line(plan, image, caller, site=site, is_folder=folders, program=program)
            more = 1
    shown = tuple(bind.destination for bind in compose(plan, caller, site).binds)
    passed, kept_out = _rules()
    return replace(
        bare, argv=started.argv, more=more, shown=shown, passed=passed, kept_out=kept_out, set=_added(started)
    )


def _caller(plan: LaunchPlan, environment: Mapping[str, str], site: Profile | None) -> Caller:
    """Who calls: the user, from wherever the notebook is. Of the environment only what says where things lie is taken
    into the kernel; the rest is Jupyter's when it starts it.
    """
    names = {"SCRATCH", *load_rules()["cache"]}
    if site is not None:
        names |= set(site.folder_variables())
    home = home_folder(environment)
    env = {name: environment[name] for name in sorted(names) if environment.get(name)}
    paths = {home, *(bind.source for bind in plan.binds), *env.values()}
    return Caller(
        env=env,
        cwd=NOTEBOOKS,
        home=home,
        uid=os.getuid(),
        gid=os.getgid(),
        groups=tuple(os.getgroups()),
        message_queues=os.path.isdir("/dev/mqueue"),
        real={path: os.path.realpath(path) for path in paths if path.startswith("/") and "\0" not in path},
    )


def _rules() -> tuple[tuple[str, ...], tuple[str, ...]]:
    rules = load_rules()
    return tuple(rules["passed"]), tuple(rules["kept_out"])


def _added(started: Started) -> dict[str, str]:
    return {name: started.env[name] for name in started.added}


def _sealift() -> tuple[str, ...]:
    """How this Sealift is called from any folder and environment."""
    program = os.path.join(os.path.dirname(sys.executable), "sealift")
    return (program,) if os.access(program, os.X_OK) else (sys.executable, "-m", "sealift")


# The image


def _whole(image: str) -> str:
    return image if ":" in image and not os.path.exists(image) else os.path.abspath(image)


def _absolute(bind: Bind) -> Bind:
    source = os.path.abspath(bind.source)
    return replace(bind, source=source, destination=source if bind.destination == bind.source else bind.destination)


def _kernel_inside(order: KernelOrder, engine: str, environment: Mapping[str, str], events: Events) -> ImageKernel:
    from sealift.evidence.kernels import find_kernel, find_pythons
    from sealift.evidence.opening import open_image
    from sealift.flows.run import local_image

    language = order.language.lower()
    if engine not in FILE_ENGINES and order.image.startswith(_STORES):
        if language != "python":
            raise UsageError(
                f"what starts a kernel for {order.language} in `{order.image}` cannot be seen from here",
                hints=(f"bring it here: sealift pull {_default_name(order.image)}.sif {order.image}",),
            )
        events(Said(text=f"`{order.image}` was not looked into: it needs python3 with ipykernel", level="warning"))
        return ImageKernel(argv=("python3", "-m", "ipykernel_launcher", "-f", CONNECTION_FILE), language="python")
    if engine in ("apptainer", "singularity") and ":" in order.image and not os.path.exists(order.image):
        raise UsageError(
            f"a kernel on {engine} wants a file, not `{order.image}`",
            hints=(f"sealift pull {_default_name(order.image)}.sif {order.image}",),
        )
    with open_image(local_image(order.image, environment, events)) as image:
        found = find_kernel(image, language)
        if found is not None:
            return found
        if language != "python":
            raise UsageError(
                f"`{order.image}` has no Jupyter kernel for {order.language}",
                hints=("its %post has to install the kernel for all users, so that its kernel.json is in the image",),
            )
        pythons = find_pythons(image)
    if not pythons:
        raise UsageError(
            f"`{order.image}` has no `python3`",
            hints=("in its %post: apt-get update && apt-get install -y python3-ipykernel",),
        )
    wanted = "apt-get update && apt-get install -y python3-ipykernel" if pythons[0].managed else ""
    wanted = wanted or f"{pythons[0].program} -m pip install ipykernel"
    raise UsageError(
        f"`{order.image}` has Python, but not ipykernel, which speaks with Jupyter", hints=(f"in its %post: {wanted}",)
    )


def _warn_of_purge(image: str, site: Profile, environment: Mapping[str, str], events: Events) -> None:
    if not os.path.isabs(image):
        return
    real = os.path.realpath(image)
    for name in site.names_below("filesystems"):
        days = site.number(f"filesystems.{name}.purge_days")
        place = environment.get(site.text(f"filesystems.{name}.variable") or "", "")
        if days and os.path.isabs(place) and real.startswith(os.path.realpath(place) + "/"):
            text = f"{image} lies where files that nobody used for {days:g} days are removed: keep a copy elsewhere"
            events(Said(text=text, level="warning"))


# Jupyter's folder


def _folder_for(order: KernelOrder, environment: Mapping[str, str]) -> str:
    """The folder for the kernel, which is free or Sealift's own to replace."""
    name = _checked_name(order.name or _default_name(_whole(order.image)))
    folder = os.path.join(kernels_folder(environment, order.prefix), name)
    if not os.path.lexists(folder) or (os.path.isdir(folder) and not os.listdir(folder)):
        return folder
    if _ours(folder) is None:
        raise UsageError(
            f"there is a kernel `{name}` already, which is not Sealift's: `{folder}`",
            hints=("another name: --name NAME",),
        )
    if not order.force:
        raise UsageError(
            f"there is a kernel `{name}` already: `{folder}`", hints=("replace it: add -F", "another name: --name NAME")
        )
    return folder


def _checked_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"`{name}` is no name for a kernel: letters, digits, `.`, `_` and `-`", hints=("--name analysis",)
        )
    if name.lower() in ("python", "python3"):
        raise UsageError(f"the name `{name}` would hide Jupyter's own Python", hints=("another name: --name analysis",))
    return name


def _default_name(image: str) -> str:
    stem = _short(image)
    for suffix in (".sif", ".sqfs", ".squashfs", ".sqsh", ".tar"):
        stem = stem.removesuffix(suffix)
    return re.sub(r"[^a-z0-9._-]+", "-", stem.lower()).strip("-._") or "image"


def _short(image: str) -> str:
    """The image's last name: `x.sif`, `pytorch:25.06`."""
    return image.rstrip("/").rpartition("/")[2].partition("@")[0]


def _ours(folder: str) -> dict[str, Any] | None:
    """The kernelspec in `folder` when Sealift wrote it, else None."""
    try:
        with open(os.path.join(folder, SPEC), encoding="utf-8") as file:
            spec = json.load(file)
    except (OSError, ValueError):
        return None
    found = isinstance(spec, dict) and isinstance(spec.get("metadata"), dict) and spec["metadata"].get("sealift")
    return spec if isinstance(found, dict) else None


def _installed(folder: str, spec: Mapping[str, Any]) -> InstalledKernel:
    told = {name: str(value) for name, value in spec["metadata"]["sealift"].items()}
    image = told.get("image", "")
    fault = ""
    if os.path.isabs(image) and not os.path.exists(image):
        fault = "the image is gone"
    elif not os.path.exists(os.path.join(folder, SCRIPT)):
        fault = f"{SCRIPT} is gone"
    return InstalledKernel(
        name=os.path.basename(folder),
        display_name=str(spec.get("display_name", "")),
        folder=folder,
        image=image,
        engine=told.get("engine", ""),
        site=told.get("site", ""),
        fault=fault,
    )


def _take_away(folder: str) -> None:
    """Remove what Sealift wrote, the part that Jupyter looks at first; what others put there keeps the folder."""
    for name in (SPEC, SCRIPT):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(os.path.join(folder, name))
    with contextlib.suppress(OSError):
        os.rmdir(folder)
