"""The story of a program in an engine that keeps images of its own: Docker, Podman, podman-hpc, Shifter, enroot …

Docker and Podman are given an image that they lack, by their own `load`. podman-hpc and Shifter take
what is in a registry; an image that is a file gets the line that puts it there.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO

from sealift.core.digest import sha256
from sealift.core.event import Event, Events, Said
from sealift.core.launch import Bind
from sealift.engines.clean import charliecloud, docker, enroot, podman_hpc, shifter
from sealift.engines.clean.image import StoredImage
from sealift.engines.clean.inside import SHELLS
from sealift.engines.clean.surroundings import Caller, ordered_plainly
from sealift.engines.started import Started, hand_over
from sealift.errors import HostError, UsageError
from sealift.flows.sites import find_site
from sealift.sites.catalogue import load_catalogue
from sealift.sites.profile import Profile
from sealift.system.home import home_folder

if TYPE_CHECKING:
    from sealift.core.launch import LaunchPlan
    from sealift.store import Store

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
    if engine == "docker" and image.users is not None and not plan.fakeroot:
        plan = _with_identity(plan, image.users, caller, environment, events=events)
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
            if engine == "podman":
                caller = replace(caller, passthrough=_hands_on(program, caller.env, show=show))
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


def _hands_on(program: str, environment: Mapping[str, str], *, show: bool) -> bool:
    """Does Podman know `--log-driver passthrough`, and does it take it here?"""
    if any(os.isatty(descriptor) for descriptor in (0, 1, 2)):
        return False
    if show:
        return True
    from sealift.system.process import run

    # podman version 4.3.1
    said = run((program, "--version"), env=environment, accept=range(256)).out.decode(errors="replace")
    match = re.search(r" ([0-9]+)\.", said)
    return match is not None and int(match[1]) >= 4


def _caller(plan: LaunchPlan, environment: Mapping[str, str]) -> Caller:
    cwd, home = os.getcwd(), home_folder(environment)
    # There is no way to read it but to set it.
    umask = os.umask(0o077)
    os.umask(umask)
    paths = {cwd, home, *(bind.source for bind in plan.binds), *environment.values()}
    return Caller(
        env=environment,
        cwd=cwd,
        home=home,
        uid=os.getuid(),
        gid=os.getgid(),
        groups=tuple(os.getgroups()),
        terminal=os.isatty(0) and os.isatty(1),
        umask=umask,
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
    """A local image as Docker or Podman have it, into whose store it is put when it is not there yet."""
    from sealift.flows.run import local_image
    from sealift.store import open_store

    path = local_image(text, environment, events)
    image = _described(path)
    if not load:
        return image
    program = _program(engine, environment, show=False)
    if _has(program, image.reference, environment):
        return image
    with (
        open_store(environment, events=events) as store,
        store.alone("given", f"{engine}-{image.reference.rpartition(':')[2]}", f"{text} ready for {engine}"),
    ):
        # Another process may have done it while this one waited.
        if not _has(program, image.reference, environment):
            events(Said(text=f"giving {text} to {engine} as {image.reference}, once"))
            _give(program, path, image.reference, environment, events)
    return image


def _described(path: str) -> StoredImage:
    """What has to be known of an image before it is started. UsageError for a folder, whose files may change."""
    from sealift.evidence.inspection import inspect_image
    from sealift.evidence.opening import open_image
    from sealift.flows.ociconfig import image_environment
    from sealift.sif.layout import OCI_CONFIG, DataType
    from sealift.store.hashing import digest_file

    with open_image(path) as image:
        if image.form == "directory":
            raise UsageError(
                f"`{path}` is a folder", hints=(f"make an image of it: sealift build {_stem(path)}.sif {path}",)
            )
        tree = inspect_image(image).tree_digest or digest_file(path, "sha256")
        noted = image.sif.find(DataType.GENERIC_JSON, OCI_CONFIG) if image.sif is not None else None
        config = image.sif.data(noted) if image.sif is not None and noted is not None else b""
        users = tuple(image.root.look(name) for name in ("/etc/passwd", "/etc/group"))
        return StoredImage(
            reference=f"{STORE_NAME}:{_tag(tree, config)}",
            shell=next((each for each in SHELLS if image.root.look(each).kind == "file"), ""),
            variables=tuple(image_environment(image.root, None).values),
            users=(users[0].content, users[1].content) if all(each.kind == "file" for each in users) else None,
        )


def _tag(tree: str, config: bytes) -> str:
    """The tree's digest, and what names the configuration of the OCI image that it was made of: its working directory,
    ports and user are in no file of the tree.
    """
    tag = tree.partition(":")[2][:32]
    return f"{tag}-{sha256(config).partition(':')[2][:8]}" if config else tag


def _has(program: str, name: str, environment: Mapping[str, str]) -> bool:
    from sealift.system.process import run

    done = run((program, "image", "inspect", "--format", "{{.Id}}", name), env=environment, accept=range(256))
    return done.code == 0


def _give(program: str, path: str, name: str, environment: Mapping[str, str], events: Events) -> None:
    """Have the engine load the image, from the file alone: the layers of its base would take the network."""
    from sealift.flows.base import open_local_image
    from sealift.flows.enginestores import load
    from sealift.flows.finish import finished
    from sealift.flows.ociimages import in_ocis_words, ready_to_send
    from sealift.flows.ociout import oci_image
    from sealift.flows.requests import BuildRequest
    from sealift.flows.workshop import open_workshop

    def take(event: Event) -> None:
        # What other engines would miss of the image is of no concern: it is started with a script of ours.
        if not (isinstance(event, Said) and event.level == "info"):
            events(event)

    with open_workshop(BuildRequest(target="", spec=path, environment=environment, events=take)) as shop:
        ready = ready_to_send(shop, replace(open_local_image(shop, path), origin=""))
        with finished(shop, ready, layered=True) as made, oci_image(shop, made) as image:
            load(in_ocis_words(image), name, program, environment, take)


def _with_identity(
    plan: LaunchPlan, users: tuple[bytes, bytes], caller: Caller, environment: Mapping[str, str], *, events: Events
) -> LaunchPlan:
    """The plan with the caller's lines in the container's user database, as Apptainer and Podman add them.

    The two files stay in the cache: the program is Docker's child, and nobody of ours is there when it ends.
    """
    from sealift.engines.embedded.identity import append_line, find_caller, identity_lines
    from sealift.store import open_store

    found = find_caller(env_home=environment.get("HOME"), env_name=environment.get("USER"), cwd=caller.cwd)
    if found.uid == 0:
        return plan
    lines = identity_lines(found, caller.home)
    shown = {bind.destination for bind in plan.binds}
    binds = []
    with open_store(environment, events=events) as store:
        for target, old, line in (("/etc/passwd", users[0], lines.passwd), ("/etc/group", users[1], lines.group)):
            if target not in shown:
                path = _kept_file(store, append_line(old, line))
                binds.append(Bind(source=path, destination=target, read_only=True))
    return replace(plan, binds=(*binds, *plan.binds))


def _kept_file(store: Store, content: bytes) -> str:
    def write(file: BinaryIO) -> None:
        # Whoever one becomes inside reads it.
        os.fchmod(file.fileno(), 0o644)
        file.write(content)

    return store.entry("users", sha256(content).partition(":")[2], write)
