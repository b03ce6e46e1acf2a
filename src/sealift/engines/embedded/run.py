"""The story of a run without any other engine: from a launch plan to the program that this process becomes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace

from sealift.core.event import Events, Said, ignore
from sealift.core.launch import LaunchPlan
from sealift.engines import environment as rules
from sealift.engines.embedded import action, building, fuselayers, namespaces, rootfs, scripts
from sealift.engines.embedded.image import RootImage
from sealift.engines.embedded.preparing import Prepared, prepare, warn
from sealift.errors import HostError
from sealift.system import kernel


def run(
    plan: LaunchPlan,
    *,
    env: Mapping[str, str],
    unpack: rootfs.Unpack | None = None,
    events: Events = ignore,
) -> int:
    """Run `plan` in this process, which becomes the program; an exit code comes back only where it cannot.

    `env` is the caller's environment. `unpack` is asked for a folder where this host cannot mount the image. Nothing
    of what is made outlives the program, but for what it wrote to overlays and binds. HostError, ImageError, UsageError
    before the container stands; CannotRunError (255, as Apptainer) where it stands and the program is not in it.
    """
    prepared = prepare(plan, env=env, events=events)
    plan = prepared.plan
    path = env.get("PATH", "")
    if plan.pid:
        # While our own files are in sight.
        from sealift.engines.embedded.waiting import with_init
    rights = namespaces.enter_user_namespace(prepared.rights)
    if rights.note:
        warn(events, rights.note)
    sources = _open_sources(prepared, own_namespace=rights.own_namespace, unpack=unpack, path=path)
    namespaces.enter_mount_namespace()
    furnish = building.stack(prepared.container, sources, own_namespace=rights.own_namespace)
    namespaces.enter_others(pids=plan.pid, ipc=plan.ipc, uts=plan.uts, net=plan.net)

    def make() -> None:
        if plan.hostname:
            kernel.sethostname(plan.hostname)
        for each in furnish():
            warn(events, each)

    def become() -> int:
        return finish(prepared, rights=rights, events=events)

    if plan.pid:
        return with_init(make, become, own_init=not plan.no_init)
    make()
    return become()


def _open_sources(
    prepared: Prepared, *, own_namespace: bool, unpack: rootfs.Unpack | None, path: str
) -> building.Sources:
    """The image and the overlays that are images, ready to be shown; between the two namespaces."""

    def open_one(image: RootImage) -> rootfs.Source:
        return rootfs.open_source(image, own_namespace=own_namespace, unpack=unpack, path=path)

    return building.Sources(
        image=open_one(prepared.container.image),
        overlays={
            number: open_one(RootImage(path=overlay.path, kind="squashfs"))
            for number, overlay in enumerate(prepared.container.overlays)
            if overlay.kind == "squashfs"
        },
        fuse_overlayfs=fuselayers.find_program(path)
        if prepared.container.overlays or prepared.container.memory
        else None,
    )


def finish(prepared: Prepared, *, rights: namespaces.Rights, events: Events) -> int:
    """Inside the container: its working directory, its environment, and the program."""
    plan = prepared.plan
    if prepared.terminal:
        _open_console()
    cwd = _go_to_work(prepared, events)
    namespaces.give_up_rights(replace(rights, keeps=rights.keeps and not plan.no_privs), dropped=prepared.dropped)
    if plan.no_umask:
        os.umask(0o022)
    voices = replace(prepared.voices, host={**prepared.voices.host, "PWD": cwd})
    said = scripts.source(voices, prepared.script)
    if said.ended is not None:
        return action.exit_code(said.ended)
    env = rules.settle(host=voices.host, exported=said.exported, known=said.known, command=plan.action)
    if plan.nv:
        from sealift.engines.embedded.gpu import FRONT, in_front

        if os.path.isdir(FRONT):
            env["LD_LIBRARY_PATH"] = in_front(env.get("LD_LIBRARY_PATH", ""))
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
    wanted = home if plan.contain else prepared.caller.cwd
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
