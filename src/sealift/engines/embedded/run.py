"""The story of a run without any other engine: from a launch plan to the program that this process becomes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace

from sealift.core.event import Events, Said, ignore
from sealift.core.launch import LaunchPlan
from sealift.engines import environment as rules
from sealift.engines import plainshell
from sealift.engines.binds import binds_of
from sealift.engines.embedded import action, building, identity, layout, namespaces, rootfs, scripts
from sealift.engines.embedded.image import check_architecture, find_image
from sealift.errors import HostError, UsageError

SCRIPT = os.path.join(os.path.dirname(__file__), "..", "..", "data", "engines", "environment.sh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What the host says of a run; printable, and nothing has changed yet. `shell` is `--shell`'s."""

    plan: LaunchPlan
    caller: layout.Caller
    home: layout.Home
    container: building.Container
    voices: rules.Voices
    script: str
    shell: str | None
    terminal: str


def run(
    plan: LaunchPlan,
    *,
    env: Mapping[str, str],
    unpack: rootfs.Unpack | None = None,
    events: Events = ignore,
) -> int:
    """Run `plan` in this process, which becomes the program; an exit code comes back only where it cannot.

    `env` is the caller's environment. `unpack` is asked for a folder where this host cannot mount the image. Nothing
    of what is made outlives the program. HostError, ImageError, UsageError before the container stands; CannotRunError
    (255, as Apptainer) where it stands and the program is not in it.
    """
    prepared = prepare(plan, env=env, events=events)
    image = prepared.container.image
    rights = namespaces.enter_user_namespace(prepared.caller.uid, prepared.caller.gid)
    source = rootfs.open_source(image, own_namespace=rights, unpack=unpack, path=env.get("PATH", ""))
    namespaces.enter_mount_namespace(private_pids=plan.contain_all, private_ipc=plan.contain_all)

    def make() -> None:
        for each in building.build(prepared.container, source, own_namespace=rights):
            warn(events, each)

    def become() -> int:
        return finish(prepared, own_namespace=rights, events=events)

    if plan.contain_all:
        from sealift.engines.embedded.waiting import with_init

        return with_init(make, become)
    make()
    return become()


def prepare(plan: LaunchPlan, *, env: Mapping[str, str], events: Events = ignore) -> Prepared:
    """Look at the host and settle everything that it decides."""
    cwd = _caller_cwd(env)
    image = find_image(plan.image, cwd=cwd or "/")
    check_architecture(image, machine=os.uname().machine)
    caller = identity.find_caller(env_home=env.get("HOME"), env_name=env.get("USER"), cwd=cwd)
    home = layout.choose_home(plan, caller)
    if home.target == "/" and not plan.no_home:
        warn(events, "the home folder is `/`, which cannot be mounted")
    if home.source and not os.path.isdir(home.source):
        home = replace(home, source="")
    binds = binds_of(plan, env)
    terminal = identity.find_terminal()
    contain = plan.contain or plan.contain_all
    after, warnings = layout.binds_as_steps(
        [replace(bind, source=os.path.normpath(os.path.join(cwd or "/", bind.source))) for bind in binds],
        contain=contain,
    )
    first = layout.lay_out(plan, home=home, terminal=terminal)
    here = () if contain else layout.cwd_steps(os.path.realpath(cwd) if cwd else "")
    files = {} if (resolv_conf := _read("/etc/resolv.conf")) is None else {"/etc/resolv.conf": resolv_conf}
    shell = plan.shell or env.get("APPTAINER_SHELL") or env.get("SINGULARITY_SHELL")
    voices = rules.voices(
        env,
        ordered={**_env_files(plan, env, cwd), **plan.env},
        clean=plan.clean_env or plan.contain_all,
        home=home.target,
        own={
            "NAME": os.path.basename(image.path),
            "CONTAINER": image.path,
            "BIND": ",".join(bind.destination for bind in binds),
            "APPNAME": plan.app or "",
            **({"SHELL": shell} if shell else {}),
        },
    )
    drivers, lacking = _drivers(plan, env.get("PATH", ""), contain=contain)
    for each in (*warnings, *voices.warnings, *lacking):
        warn(events, each)
    with open(SCRIPT, encoding="utf-8") as file:
        script = file.read()
    return Prepared(
        plan=plan,
        caller=caller,
        home=home,
        container=building.Container(
            image=image,
            # The working directory under the name by which the caller knows it
            first=_on_host((*first, *(replace(step, target=cwd) for step in here))),
            files=layout.file_steps(files),
            identity=None if caller.uid == 0 else identity.identity_lines(caller, home.target),
            after=_on_host((*after, *drivers)),
            writable=plan.writable_tmpfs,
        ),
        voices=voices,
        script=script,
        shell=shell,
        terminal=terminal if contain else "",
    )


def _drivers(plan: LaunchPlan, path: str, *, contain: bool) -> tuple[tuple[layout.Step, ...], tuple[str, ...]]:
    steps: tuple[layout.Step, ...] = ()
    warnings: tuple[str, ...] = ()
    for wanted, kind in ((plan.nv, "nvidia"), (plan.rocm, "amd")):
        if wanted:
            from sealift.engines.embedded.gpu import driver_steps

            more, said = driver_steps(kind, contain=contain, path=path, machine=os.uname().machine)
            steps, warnings = (*steps, *more), (*warnings, *said)
    return steps, warnings


def _env_files(plan: LaunchPlan, env: Mapping[str, str], cwd: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for path in plan.env_files:
        try:
            with open(os.path.join(cwd or "/", path), encoding="utf-8", errors="surrogateescape") as file:
                text = file.read()
        except OSError as error:
            raise UsageError(
                f"`--env-file {path}` cannot be read: {(error.strerror or str(error)).lower()}",
                hints=("a file of lines NAME=VALUE",),
            ) from error
        found |= plainshell.read_env_file(text, env, name=path)
    return found


def _on_host(steps: tuple[layout.Step, ...]) -> tuple[layout.Step, ...]:
    """The sources of binds as real paths, which stay true when the host's root lies elsewhere; and which are files."""
    found: list[layout.Step] = []
    for step in steps:
        if step.kind != "bind":
            found.append(step)
            continue
        real = os.path.realpath(step.source)
        try:
            os.stat(real)
        except OSError as error:
            if step.optional:
                continue
            if step.asked:
                raise UsageError(
                    f"`{step.source}` cannot be bound: {(error.strerror or str(error)).lower()}",
                    hints=(f"make it first: mkdir -p {step.source}",),
                ) from error
            raise HostError(
                f"`{step.source}` of this host cannot be bound: {(error.strerror or str(error)).lower()}"
            ) from error
        found.append(replace(step, source=real, folder=os.path.isdir(real)))
    return tuple(found)


def finish(prepared: Prepared, *, own_namespace: bool, events: Events) -> int:
    """Inside the container: its working directory, its environment, and the program."""
    plan = prepared.plan
    if prepared.terminal:
        _open_console()
    cwd = _go_to_work(prepared, events)
    namespaces.give_up_rights(keep_capabilities=not own_namespace)
    voices = replace(prepared.voices, host={**prepared.voices.host, "PWD": cwd})
    said = scripts.source(voices, prepared.script)
    if said.ended is not None:
        return action.exit_code(said.ended)
    env = rules.settle(host=voices.host, exported=said.exported, known=said.known, command=plan.action)
    program = action.choose_program(plan.action, plan.command, app=plan.app, shell=prepared.shell)
    if program.note:
        events(Said(text=program.note))
    if not program.argv:
        return 0
    if said.umask is not None:
        os.umask(said.umask)
    return action.become(program, env)


def _go_to_work(prepared: Prepared, events: Events) -> str:
    """Enter the working directory: `--pwd`, which must be there; else the caller's, else home, else the root."""
    plan, home = prepared.plan, prepared.home.target
    if plan.pwd is not None:
        try:
            os.chdir(plan.pwd)
        except OSError as error:
            raise action.CannotRunError(
                f"`--pwd {plan.pwd}` cannot be the working directory: {(error.strerror or str(error)).lower()}",
                hints=(f"see what is there: sealift exec {plan.image} ls /",),
            ) from error
        return os.path.normpath(plan.pwd)
    wanted = home if plan.contain or plan.contain_all else prepared.caller.cwd
    for place in (wanted, home, "/"):
        try:
            os.chdir(place)
        except OSError as error:
            if place == wanted:
                why = (error.strerror or str(error)).lower()
                warn(events, f"`{place or 'the working directory'}` is not in the container ({why}); using `{home}`")
            continue
        return place
    raise HostError("the container has no root folder to work in")


def _open_console() -> None:
    """The terminal under the one name that it has in a container with a /dev/pts of its own."""
    try:
        console = os.open("/dev/console", os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return
    for number in (0, 1, 2):
        if os.isatty(number):
            os.dup2(console, number)
    os.close(console)


def _caller_cwd(env: Mapping[str, str]) -> str:
    """The working directory under the name by which the caller came there; empty where it is gone."""
    try:
        here = os.getcwd()
    except OSError:
        return ""
    named = env.get("PWD", "")
    try:
        return named if named.startswith("/") and os.path.samefile(named, here) else here
    except OSError:
        return here


def _read(path: str) -> bytes | None:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return None


def warn(events: Events, text: str) -> None:
    events(Said(text=text, level="warning"))
