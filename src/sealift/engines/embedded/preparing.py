"""What the host says of a run: everything that is decided before anything changes."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sealift.core.event import Events, Said, ignore
from sealift.core.launch import LaunchPlan
from sealift.engines import envfiles
from sealift.engines import environment as rules
from sealift.engines.binds import binds_of
from sealift.engines.embedded import building, identity, layout, wanted
from sealift.engines.embedded.image import RootImage, check_architecture, find_image
from sealift.engines.embedded.namespaces import Wanted
from sealift.engines.embedded.overlays import find_overlays
from sealift.engines.embedded.paths import inside
from sealift.errors import HostError, UsageError

if TYPE_CHECKING:
    from sealift.engines.driver import Kind

SCRIPT = os.path.join(os.path.dirname(__file__), "..", "..", "data", "engines", "environment.sh")


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What the host says of a run; printable, and nothing has changed yet.

    `plan` is settled. `shell` is `--shell`'s. `dropped` are numbers of capabilities.
    """

    plan: LaunchPlan
    caller: layout.Caller
    rights: Wanted
    home: layout.Home
    container: building.Container
    voices: rules.Voices
    script: str
    shell: str | None
    terminal: str
    dropped: frozenset[int] = frozenset()


def prepare(plan: LaunchPlan, *, env: Mapping[str, str], events: Events = ignore) -> Prepared:
    """Look at the host and settle everything that it decides."""
    plan, said = wanted.settle(plan)
    cwd = _caller_cwd(env)
    image = find_image(plan.image, cwd=cwd or "/")
    check_architecture(image, machine=os.uname().machine)
    _check_writable(plan, image)
    caller = identity.find_caller(env_home=env.get("HOME"), env_name=env.get("USER"), cwd=cwd)
    home = layout.choose_home(plan, caller)
    if home.target == "/" and not plan.no_home:
        warn(events, "the home folder is `/`, which cannot be mounted")
    if home.source and not os.path.isdir(home.source):
        home = replace(home, source="")
    binds = binds_of(plan, env)
    terminal = identity.find_terminal()
    after, warnings = layout.binds_as_steps(
        [replace(bind, source=os.path.normpath(os.path.join(cwd or "/", bind.source))) for bind in binds],
        contain=plan.contain,
    )
    workdir = _workdir(plan, cwd)
    first = layout.lay_out(plan, home=home, terminal=terminal, workdir=workdir)
    if plan.writable:
        first = _with_room_for_home(first, home, image)
    scratch = layout.scratch_steps(plan.scratch, workdir)
    here = () if plan.contain or "cwd" in plan.no_mount else layout.cwd_steps(os.path.realpath(cwd) if cwd else "")
    overlays, more = find_overlays(plan.overlays, cwd=cwd or "/")
    written = next((each for each in overlays if each.writable), None)
    if plan.writable_tmpfs and written is not None:
        raise UsageError(
            f"changes go to one place: to memory (`--writable-tmpfs`) or to the overlay `{written.text}`",
            hints=(f"--overlay {written.path}:ro",),
        )
    shell = plan.shell or env.get("APPTAINER_SHELL") or env.get("SINGULARITY_SHELL")
    voices = rules.voices(
        env,
        ordered={**envfiles.evaluate_files(plan.env_files, env, cwd=cwd), **plan.env},
        clean=plan.clean_env,
        home=home.target,
        own={
            "NAME": os.path.basename(image.path),
            "CONTAINER": image.path,
            "BIND": ",".join(bind.destination for bind in binds),
            "APPNAME": plan.app or "",
            **({"SHELL": shell} if shell else {}),
            **({"NO_EVAL": "1"} if plan.no_eval else {}),
        },
        expand=not plan.no_eval,
    )
    drivers, lacking = _drivers(plan, image, env)
    for each in (*said, *warnings, *more, *voices.warnings, *lacking):
        warn(events, each)
    with open(SCRIPT, encoding="utf-8") as file:
        script = file.read()
    return Prepared(
        plan=plan,
        caller=caller,
        rights=Wanted(
            uid=caller.uid,
            gid=caller.gid,
            name=caller.name,
            fakeroot=plan.fakeroot,
            userns=plan.userns,
            path=env.get("PATH", ""),
        ),
        home=home,
        container=building.Container(
            image=image,
            # The working directory under the name by which the caller knows it
            first=_on_host((*first, *(replace(step, target=cwd) for step in here))),
            files=layout.file_steps(_files(plan)),
            identity=_identity(plan, caller, home, written=plan.writable or plan.writable_tmpfs or bool(written)),
            after=_on_host((*scratch, *after, *drivers)),
            overlays=overlays,
            memory=plan.writable_tmpfs,
            in_place=plan.writable,
        ),
        voices=voices,
        script=script,
        shell=shell,
        terminal=terminal if plan.contain else "",
        dropped=wanted.dropped_capabilities(plan.drop_caps or ""),
    )


def _identity(plan: LaunchPlan, caller: layout.Caller, home: layout.Home, *, written: bool) -> identity.Lines | None:
    """Root is in each image; where it may change the image, users that it adds must stay."""
    if caller.uid == 0 or (plan.fakeroot and written):
        return None
    return identity.identity_lines(caller, home.target, fakeroot=plan.fakeroot)


def _check_writable(plan: LaunchPlan, image: RootImage) -> None:
    if plan.writable and image.kind != "folder":
        raise UsageError(
            f"`{plan.image}` is an image that never changes",
            hints=(
                "keep changes beside it: mkdir overlay, then --overlay overlay in place of --writable",
                "or forget them at the end: --writable-tmpfs",
            ),
        )


def _with_room_for_home(steps: tuple[layout.Step, ...], home: layout.Home, image: RootImage) -> tuple[layout.Step, ...]:
    """Nothing is made in a folder that is written to: an empty /home covers the image's where it lacks the caller's."""
    top = "/" + home.target.split("/")[1]
    if os.path.isdir(inside(image.path, home.target)) or not os.path.isdir(inside(image.path, top)):
        return steps
    number = next((number for number, step in enumerate(steps) if step.target == home.target), len(steps))
    return (*steps[:number], layout.Step(kind="folder", target=top, made=0o755), *steps[number:])


def _workdir(plan: LaunchPlan, cwd: str) -> str:
    """The folder of `--workdir`, absolute; UsageError where it is needed and not there."""
    if plan.workdir is None or not (plan.contain or plan.scratch):
        return ""
    path = os.path.realpath(os.path.join(cwd or "/", plan.workdir))
    if not os.path.isdir(path):
        raise UsageError(f"`--workdir {plan.workdir}` is not a folder", hints=(f"make it: mkdir -p {path}",))
    return path


def _files(plan: LaunchPlan) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    if plan.hostname:
        files["/etc/hostname"] = plan.hostname.encode() + b"\n"
    if plan.dns is not None:
        files["/etc/resolv.conf"] = wanted.dns_servers(plan.dns)
    elif (resolv_conf := _read("/etc/resolv.conf")) is not None:
        files["/etc/resolv.conf"] = resolv_conf
    return files


def _drivers(
    plan: LaunchPlan, image: RootImage, env: Mapping[str, str]
) -> tuple[tuple[layout.Step, ...], tuple[str, ...]]:
    steps: tuple[layout.Step, ...] = ()
    warnings: tuple[str, ...] = ()
    asked_for: tuple[tuple[bool, Kind], ...] = ((plan.nv, "nvidia"), (plan.rocm, "amd"))
    for asked, kind in asked_for:
        if asked:
            from sealift.engines.embedded.gpu import driver_steps

            more, said = driver_steps(
                kind,
                image,
                contain=plan.contain,
                path=env.get("PATH", ""),
                library_path=env.get("LD_LIBRARY_PATH", ""),
            )
            steps, warnings = (*steps, *more), (*warnings, *said)
    return steps, warnings


def _on_host(steps: tuple[layout.Step, ...]) -> tuple[layout.Step, ...]:
    """The sources of binds as real paths, which stay true when the host's root lies elsewhere; and which are files."""
    found: list[layout.Step] = []
    for step in steps:
        if step.kind != "bind":
            found.append(step)
            continue
        real = os.path.realpath(step.source)
        try:
            if step.made and not os.path.isdir(real):
                _make_folder(real, step.made)
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


def _make_folder(path: str, mode: int) -> None:
    """A folder of `--workdir`; those above it are as open as it is."""
    above = os.path.dirname(path)
    if not os.path.isdir(above):
        _make_folder(above, mode)
    os.mkdir(path)
    os.chmod(path, mode)


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
