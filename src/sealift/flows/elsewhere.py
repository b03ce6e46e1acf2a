"""The story of a program in an engine that keeps images of its own: Docker, Podman, podman-hpc, Shifter, enroot …

Docker and Podman are given an image that they lack: `docker-archive:` and their own `load`. podman-hpc and Shifter take
what is in a registry; an image that is a file gets the line that puts it there.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from sealift.core.event import Events, Said
from sealift.engines.clean import charliecloud, docker, enroot, podman_hpc, shifter
from sealift.engines.clean.image import StoredImage
from sealift.engines.clean.surroundings import Caller, ordered_plainly
from sealift.engines.started import Started, hand_over
from sealift.errors import HostError, UsageError
from sealift.flows.sites import find_site
from sealift.sites.catalogue import load_catalogue
from sealift.sites.profile import Profile
from sealift.system.home import home_folder

if TYPE_CHECKING:
    from sealift.core.launch import LaunchPlan

PROGRAMS = {"charliecloud": "ch-run", "pyxis": "srun", "edf": "srun"}
STORE_NAME = "localhost/sealift"
"""What Docker and Podman call the images that they are given for a run: this, and the tree's digest as the tag."""


def start_elsewhere(
    plan: LaunchPlan,
    engine: str,
    environment: Mapping[str, str],
    *,
    site: str = "",
    show: bool = False,
    events: Events,
) -> str:
    """Become `engine` with `plan`, or give its command line (its environment file, for `edf`) when it is to be shown.

    UsageError for what the engine cannot do, HostError where it is not installed.
    """
    profile = _site(site, engine, environment)
    caller = _caller(plan, environment)
    image = _image(plan, engine, profile, environment, load=not show, events=events)
    if engine == "edf":
        text = enroot.environment_file(plan, image, caller, site=profile)
        if show:
            return text
        raise UsageError("an environment file is written, not run", hints=("see it: add --print",))
    started = _command_line(plan, engine, image, caller, profile, show=show)
    if not show:
        events(Said(text=started.line(), level="debug"))
        hand_over(started)
    return started.line()


def made_safe(plan: LaunchPlan, environment: Mapping[str, str], *, site: str) -> LaunchPlan:
    """The plan with `--safe-env`, for engines that pass the host's environment on."""
    return ordered_plainly(plan, _caller(plan, environment), _site(site, "", environment))


def shown(plan: LaunchPlan, engine: str, environment: Mapping[str, str]) -> str:
    """The command line of Apptainer or Singularity; the embedded engine has none but our own."""
    from sealift.engines.apptainer import command_line
    from sealift.engines.choose import choose
    from sealift.engines.start import refuse_communication

    choice = choose(engine, env=environment)
    if plan.communication != "none":
        refuse_communication(plan, choice.engine)
    if choice.engine == "embedded":
        started = command_line(plan, name="apptainer", program="sealift", env=environment)
        return replace(started, argv=("sealift", plan.action, "--engine", "embedded", *started.argv[2:])).line()
    return command_line(plan, name=choice.engine, program=choice.program, env=environment).line()


def _command_line(
    plan: LaunchPlan,
    engine: str,
    image: StoredImage,
    caller: Caller,
    site: Profile | None,
    *,
    show: bool,
) -> Started:
    program = _program(engine, caller.env, show=show)
    match engine:
        case "docker" | "podman":
            return docker.command_line(plan, image, caller, name=engine, program=program, site=site)
        case "podman-hpc" if site is not None:
            return podman_hpc.command_line(plan, image, caller, site=site, program=program)
        case "shifter" if site is not None:
            folders = {
                bind.source: os.path.isdir(bind.source) or not os.path.exists(bind.source) for bind in plan.binds
            }
            return shifter.command_line(plan, image, caller, site=site, is_folder=folders, program=program)
        case "charliecloud":
            return charliecloud.command_line(plan, image, caller, program=program, site=site)
        case "pyxis":
            return enroot.srun_options(plan, image, caller, site=site)
        case _:
            return enroot.command_line(plan, image, caller, program=program, site=site)


def _site(name: str, engine: str, environment: Mapping[str, str]) -> Profile | None:
    """The site that was named, else the one where this runs; podman-hpc and Shifter cannot be spoken to without one."""
    if name:
        return find_site(name, environment, today="")
    found = load_catalogue(environment).detect(environment)
    if found is None and engine in ("podman-hpc", "shifter"):
        raise UsageError(f"{engine}'s flags are the site's: which one is it?", hints=("add --site perlmutter",))
    return found


def _program(engine: str, environment: Mapping[str, str], *, show: bool) -> str:
    name = PROGRAMS.get(engine, engine)
    if show:
        return name
    from sealift.system.process import find_program

    found = find_program(name, path=environment.get("PATH"))
    if found is None:
        raise HostError(
            f"`{name}` is not installed",
            hints=("run it without: --engine embedded", "see what would be called: add --print"),
        )
    return found


def _caller(plan: LaunchPlan, environment: Mapping[str, str]) -> Caller:
    cwd, home = os.getcwd(), home_folder(environment)
    paths = {cwd, home, *(bind.source for bind in plan.binds), *environment.values()}
    return Caller(
        env=environment,
        cwd=cwd,
        home=home,
        uid=os.getuid(),
        gid=os.getgid(),
        groups=tuple(os.getgroups()),
        terminal=os.isatty(0) and os.isatty(1),
        message_queues=os.path.isdir("/dev/mqueue"),
        real={path: os.path.realpath(path) for path in paths if path.startswith("/") and "\0" not in path},
    )


# Images


def _image(
    plan: LaunchPlan,
    engine: str,
    site: Profile | None,
    environment: Mapping[str, str],
    *,
    load: bool,
    events: Events,
) -> StoredImage:
    """The image under the name that the engine has for it.

    One from a registry runs as its configuration says: images of ours name their scripts there.
    """
    text = plan.image
    if text.startswith("docker://"):
        return StoredImage(reference=text.removeprefix("docker://"), prepared=False)
    match engine:
        case "docker" | "podman":
            return _loaded(text, engine, environment, load=load, events=events)
        case "charliecloud" if os.path.isdir(text) or text.endswith((".sqfs", ".squashfs", ".sqsh")):
            return StoredImage(reference=os.path.abspath(text))
        case "enroot" | "pyxis" | "edf" if text.endswith((".sqfs", ".squashfs", ".sqsh")):
            return StoredImage(reference=os.path.abspath(text))
        case "charliecloud" | "enroot" | "pyxis" | "edf":
            raise UsageError(
                f"{engine} takes a squashfs, not `{text}`",
                hints=(f"make one: sealift build {_stem(text)}.sqfs {shlex.quote(text)}",),
            )
    registry = site.text("registry.host") if site is not None else ""
    archive = f"{_stem(text)}.tar"
    reference = f"{registry or 'REGISTRY'}/PROJECT/{os.path.basename(_stem(text))}:1"
    raise UsageError(
        f"{engine} runs what is in a registry, and `{text}` is a file",
        hints=(
            f"sealift build oci-archive:{archive} {shlex.quote(text)}",
            f"skopeo copy oci-archive:{archive} docker://{reference}",
            f"sealift … --engine {engine} docker://{reference} …",
        ),
    )


def _stem(path: str) -> str:
    return os.path.splitext(path.rstrip("/"))[0]


def _loaded(text: str, engine: str, environment: Mapping[str, str], *, load: bool, events: Events) -> StoredImage:
    """The name of a local image in Docker's or Podman's store, where it is put when it is not there yet."""
    from sealift.flows.run import local_image

    path = local_image(text, environment, events)
    name = f"{STORE_NAME}:{_tag(path)}"
    if not load:
        return StoredImage(reference=name)
    program = _program(engine, environment, show=False)
    if not _has(program, name, environment):
        events(Said(text=f"giving {text} to {engine} as {name}, once"))
        _give(program, path, name, environment, events)
    return StoredImage(reference=name)


def _tag(path: str) -> str:
    """What names the image's files: the digest of their tree where it is noted, else of the file."""
    from sealift.evidence.inspection import inspect_image
    from sealift.evidence.opening import open_image
    from sealift.store.hashing import digest_file

    with open_image(path) as image:
        found = inspect_image(image).tree_digest
        if not found and image.form == "directory":
            raise UsageError(
                f"`{path}` is a folder", hints=(f"make an image of it: sealift build {_stem(path)}.sif {path}",)
            )
    return (found or digest_file(path, "sha256")).partition(":")[2][:32]


def _has(program: str, name: str, environment: Mapping[str, str]) -> bool:
    from sealift.system.process import run

    done = run((program, "image", "inspect", "--format", "{{.Id}}", name), env=environment, accept=range(256))
    return done.code == 0


def _give(program: str, path: str, name: str, environment: Mapping[str, str], events: Events) -> None:
    from sealift.flows.build import build
    from sealift.flows.requests import BuildRequest
    from sealift.system.process import run

    with tempfile.TemporaryDirectory(prefix="sealift-give-", dir=environment.get("TMPDIR") or None) as folder:
        archive = os.path.join(folder, "image.tar")
        target = f"docker-archive:{archive}:{name}"
        build(BuildRequest(target=target, spec=path, environment=environment, want_digest=False, events=events))
        argv: Sequence[str] = (program, "load", "--input", archive)
        run(argv, env=environment)
