"""The story of a program in an engine that keeps images of its own: Docker, Podman, podman-hpc, Shifter, enroot …

Which image of the engine's is meant is `flows.engineimages`' to say, and the words are `engines.clean`'s.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, BinaryIO

from sealift.core.digest import sha256
from sealift.core.event import Events, Said
from sealift.core.launch import Bind
from sealift.engines.choose import choose, nowhere
from sealift.engines.clean import charliecloud, docker, enroot, podman_hpc, shifter
from sealift.engines.clean.image import StoredImage
from sealift.engines.clean.surroundings import Caller, ordered_plainly
from sealift.engines.started import Started, hand_over
from sealift.errors import UsageError
from sealift.flows.engineimages import Wish, engines_image, program_of
from sealift.flows.sites import site_here
from sealift.sites.profile import Profile
from sealift.system.home import home_folder

if TYPE_CHECKING:
    from sealift.core.launch import LaunchPlan
    from sealift.store import Store


def start_elsewhere(
    plan: LaunchPlan,
    engine: str,
    environment: Mapping[str, str],
    *,
    site: str = "",
    show: bool = False,
    insecure: bool = False,
    authfile: str = "",
    events: Events,
) -> str:
    """Become `engine` with `plan`, or give its command line (its environment file, for `edf`) when it is to be shown.

    UsageError for what the engine cannot do, HostError where it is not installed.
    """
    if authfile:
        environment = {**environment, "REGISTRY_AUTH_FILE": authfile}
    profile = _site(site, engine, environment)
    plan = _with_env_files(_with_whole_paths(plan), environment)
    caller = _caller(plan, environment)
    wish = Wish(
        plan=plan, engine=engine, site=profile, environment=environment, load=not show, insecure=insecure, events=events
    )
    if engine == "edf" and not show:
        raise UsageError("an environment file is written, not run", hints=("see it: add --print",))
    # What the engine cannot do does not hang on the image, and is said before one is asked for.
    _words(replace(wish, load=False), _ANY, caller)
    image = engines_image(wish)
    if engine == "docker" and image.users is not None and not plan.fakeroot:
        wish = replace(wish, plan=_with_identity(plan, image.users, caller, environment, events=events))
    words = _words(wish, image, caller)
    if isinstance(words, str):
        return words
    if authfile:
        # Podman reads it, too.
        words = replace(words, added=(*words.added, "REGISTRY_AUTH_FILE"))
    if not show:
        events(Said(text=words.line(), level="debug"))
        hand_over(words)
    return words.line()


_ANY = StoredImage(reference="IMAGE")


def _with_whole_paths(plan: LaunchPlan) -> LaunchPlan:
    """The plan with sources of binds from the root on: most of these engines look for them somewhere else."""
    for bind in plan.binds:
        if not bind.destination.startswith("/"):
            raise UsageError(
                f"the target of a bind must be an absolute path, not `{bind.destination}`",
                hints=(f"-B {bind.source}:/{bind.destination}",),
            )
    return replace(
        plan, binds=tuple(replace(bind, source=os.path.join(os.getcwd(), bind.source)) for bind in plan.binds)
    )


def _with_env_files(plan: LaunchPlan, environment: Mapping[str, str]) -> LaunchPlan:
    """The plan with what a shell makes of `--env-file`, which these engines would take word for word."""
    if not plan.env_files:
        return plan
    from sealift.engines.envfiles import evaluate_files

    told = evaluate_files(plan.env_files, environment, cwd=os.getcwd())
    return replace(plan, env_files=(), env={**told, **plan.env})


def made_safe(plan: LaunchPlan, environment: Mapping[str, str], *, site: str) -> LaunchPlan:
    """The plan with `--safe-env`, for engines that pass the host's environment on."""
    return ordered_plainly(plan, _caller(plan, environment), _site(site, "", environment))


def with_passed(plan: LaunchPlan, environment: Mapping[str, str]) -> LaunchPlan:
    """The plan with `--pass` for engines that pass the host's environment on: it counts with `--cleanenv`."""
    named = {name: value for name, value in environment.items() if any(fnmatchcase(name, each) for each in plan.passed)}
    return replace(plan, passed=(), env=named | dict(plan.env) if plan.clean_env else plan.env)


def shown(
    plan: LaunchPlan,
    engine: str,
    environment: Mapping[str, str],
    *,
    site: Callable[[], Profile | None] = nowhere,
    insecure: bool = False,
    authfile: str = "",
) -> str:
    """The command line of Apptainer or Singularity; the embedded engine has none but our own."""
    from sealift.engines.apptainer import command_line
    from sealift.engines.start import refuse_communication

    choice = choose(engine, env=environment, site=site)
    if plan.communication != "none":
        refuse_communication(plan, choice.engine)
    if plan.image.startswith(("docker://", "oras://")):
        how = (*(["--no-https"] if insecure else []), *([f"--authfile={authfile}"] if authfile else []))
        plan = replace(plan, engine_hints=(*plan.engine_hints, *how))
    if choice.engine == "embedded":
        started = command_line(plan, name="apptainer", program="sealift", env=environment)
        return replace(started, argv=("sealift", plan.action, "--engine", "embedded", *started.argv[2:])).line()
    return command_line(plan, name=choice.engine, program=choice.program, env=environment).line()


def _words(wish: Wish, image: StoredImage, caller: Caller) -> Started | str:
    """The engine's command line; the text of its environment file, for `edf`."""
    plan, site = wish.plan, wish.site
    if wish.engine == "edf":
        return enroot.environment_file(plan, image, caller, site=site)
    program = program_of(wish)
    match wish.engine:
        case "docker" | "podman" as name:
            if name == "podman":
                caller = replace(
                    caller,
                    passthrough=_hands_on(program, caller.env, show=not wish.load),
                    podman_init=any(os.path.exists(each) for each in _PODMANS_INIT),
                )
            return docker.command_line(plan, image, caller, name=name, program=program, site=site)
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
            return enroot.srun_options(plan, image, caller, program=program, site=site)
        case _:
            return enroot.command_line(plan, image, caller, program=program, site=site)


def _site(name: str, engine: str, environment: Mapping[str, str]) -> Profile | None:
    """The site that was named, else the one where this runs; podman-hpc and Shifter cannot be spoken to without one."""
    found = site_here(name, environment)
    if found is None and engine in ("podman-hpc", "shifter"):
        raise UsageError(f"{engine}'s flags are the site's: which one is it?", hints=("add --site perlmutter",))
    return found


_PODMANS_INIT = tuple(
    f"{folder}/catatonit"
    for folder in ("/usr/libexec/podman", "/usr/lib/podman", "/usr/local/libexec/podman", "/usr/bin")
)
"""Where distributions put the program that Podman makes process 1; a recommended package of its own."""


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
