"""A launch plan in the words of Docker and of Podman, so that the program finds what it finds under Apptainer.

Both begin clean: their own network, users, processes and an image that can be written to. What Apptainer shares with
the host is shared here by name: network, System V IPC, /dev/shm, home, /tmp, the working folder, the caller's ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

from sealift.core.launch import Bind, LaunchPlan
from sealift.engines.clean.image import LIBRARY_PATH, StoredImage, inner_command
from sealift.engines.clean.inside import script
from sealift.engines.clean.refusals import APART, refuse
from sealift.engines.clean.surroundings import SHARED, Caller, compose, env_words
from sealift.engines.environment import FAMILIES, voices
from sealift.engines.started import Started
from sealift.errors import UsageError
from sealift.sites.profile import Profile

Name = Literal["docker", "podman"]

CAN = frozenset(
    (
        "nv",
        "rocm",
        "writable_tmpfs",
        "pid",
        "no_pid",
        "ipc",
        "net",
        "uts",
        "hostname",
        "no_init",
        "fakeroot",
        "dns",
        "app",
    )
) | {"add_caps", "drop_caps", "contain_all", *APART}
REASONS: Mapping[str, str] = {
    "overlays": "its images take no overlay",
    "writable": "its images are layers, not folders",
    "mounts": "write it as -B",
    "env_files": "a shell reads them under Apptainer, Docker takes them word for word",
    "home": "bind the folder: -B DIR:$HOME",
    "userns": "it has its own way with users",
    "security": "add it to the command line that --print shows",
}


def command_line(
    plan: LaunchPlan, image: StoredImage, caller: Caller, *, name: Name, program: str, site: Profile | None = None
) -> Started:
    """The call of `program`, which is the `name` of the two; UsageError where it has no word for a flag."""
    plan = _in_parts(plan)
    refuse(plan, name.capitalize(), can=CAN, reasons=REASONS)
    around = compose(plan, caller, site)
    argv = [program, "run", "--rm", "--interactive"]
    if caller.terminal:
        argv.append("--tty")
    elif name == "podman" and caller.passthrough:
        # Podman's own copying loses the output of short programs now and then (4.3: one of twenty on a busy machine).
        argv += ["--log-driver", "passthrough"]
    argv += [
        *_namespaces(
            plan,
            share_ipc=name == "docker" or caller.message_queues,
            has_init=name == "docker" or caller.podman_init,
        ),
        *_user(plan, caller, name),
        *_devices(plan, name),
    ]
    if not plan.writable_tmpfs:
        argv.append("--read-only")
    argv += ["--security-opt", "no-new-privileges"]
    argv += _empty_folders(plan, caller)
    argv += [word for bind in around.binds for word in ("--mount", show_mount(bind))]
    pwd = around.pwd if around.pwd is not None or plan.no_home else caller.home
    if pwd is not None:
        argv += ["--workdir", pwd]
    # Podman would take the working folder for home where it is not said.
    host = {name: value for name, value in around.env.items() if name not in plan.env} | {"HOME": caller.home}
    if image.prepared and image.shell:
        # The script carries out the orders, behind the image's own words.
        entry, command = _settled(plan, image, caller, host, around.ordered_path)
        variables = host | _own_variables(plan)
    else:
        if image.prepared and plan.action == "test":
            raise UsageError(
                f"`{plan.image}` has no shell that could run a test",
                hints=("run a program: sealift exec … IMAGE PROGRAM",),
            )
        entry, command = inner_command(plan, replace(image, prepared=False))
        path = around.library_path("", image.library_path)
        variables = dict(around.env) | ({LIBRARY_PATH: path} if path else {})
    argv += env_words(variables, plan, caller)
    if entry:
        argv += ["--entrypoint", entry]
    return Started(argv=(*argv, image.reference, *command), env=caller.env)


def _settled(
    plan: LaunchPlan, image: StoredImage, caller: Caller, host: Mapping[str, str], ordered_path: str
) -> tuple[str, tuple[str, ...]]:
    """The image's shell, which makes the environment and then becomes the program."""
    ordered = dict(plan.env)
    if ordered_path:
        ordered[LIBRARY_PATH] = ordered_path
    if ordered_path and not plan.no_eval:
        # An order stands in front of the image's own folders, and does not replace them.
        ordered[LIBRARY_PATH] += f"${{{LIBRARY_PATH}:+:${LIBRARY_PATH}}}"
    said = voices(caller.env, ordered=ordered, clean=True, home=caller.home, own={}, expand=not plan.no_eval)
    text = script(
        plan.action,
        voices=replace(said, host=host),
        variables=image.variables,
        umask=0o022 if plan.no_umask else caller.umask,
        app=plan.app or "",
    )
    return image.shell, ("-c", text, plan.action, *plan.command)


def _own_variables(plan: LaunchPlan) -> dict[str, str]:
    """What the image's scripts ask of the engine, under both names."""
    own = ({"APPNAME": plan.app} if plan.app else {}) | ({"NO_EVAL": "1"} if plan.no_eval else {})
    return {f"{family}_{name}": value for name, value in own.items() for family in FAMILIES}


def _empty_folders(plan: LaunchPlan, caller: Caller) -> list[str]:
    """With `--contain` there is something to write to in an image that cannot be written to: /tmp, /var/tmp, home."""
    if not (plan.contain or plan.contain_all):
        return []
    shown = {bind.destination for bind in plan.binds}
    folders = [*SHARED, *([] if plan.no_home else [caller.home])]
    empty = (f"{folder}:rw,exec,mode=1777" for folder in folders if folder not in shown)
    return [word for folder in empty for word in ("--tmpfs", folder)]


def _in_parts(plan: LaunchPlan) -> LaunchPlan:
    """With the flags that others stand for: `--compat` is five, and `--network none` is `--net`."""
    if plan.network == "none":
        plan = replace(plan, network=None, net=True)
    if plan.compat:
        plan = replace(
            plan, compat=False, contain_all=True, no_init=True, no_umask=True, no_eval=True, writable_tmpfs=True
        )
    return plan


def _namespaces(plan: LaunchPlan, *, share_ipc: bool, has_init: bool) -> list[str]:
    alone = plan.contain_all
    words = ["--network", "none" if plan.net else "host"]
    words += ["--ipc", "private" if alone or plan.ipc or not share_ipc else "host"]
    if plan.no_pid or not (alone or plan.pid):
        words += ["--pid", "host"]
    elif has_init and not plan.no_init:
        words.append("--init")
    if plan.hostname is not None:
        words += ["--hostname", plan.hostname]
    elif not plan.uts and not plan.net:
        words += ["--uts", "host"]
    if plan.dns is not None:
        words += [word for server in plan.dns.split(",") for word in ("--dns", server)]
    return words


def _user(plan: LaunchPlan, caller: Caller, name: Name) -> list[str]:
    """The caller's own ids inside, whatever user the image names. Podman maps them; Docker's daemon takes any."""
    words = []
    if name == "podman":
        # Podman of root has nothing to map, and refuses to.
        if caller.uid and not plan.fakeroot:
            words += ["--userns", "keep-id"]
        # runc cannot keep them: it is asked for only where somebody has any.
        if set(caller.groups) - {caller.gid}:
            words += ["--group-add", "keep-groups"]
    else:
        words += [word for group in caller.groups if group != caller.gid for word in ("--group-add", str(group))]
    words += ["--user", "0:0" if plan.fakeroot else f"{caller.uid}:{caller.gid}"]
    words += ["--cap-add", plan.add_caps] if plan.add_caps is not None else []
    words += ["--cap-drop", plan.drop_caps if plan.drop_caps is not None else "all"] if not plan.fakeroot else []
    return words


def _devices(plan: LaunchPlan, name: Name) -> list[str]:
    words = []
    if plan.nv:
        words += ["--gpus", "all"] if name == "docker" else ["--device", "nvidia.com/gpu=all"]
    if plan.rocm:
        words += ["--device", "/dev/kfd", "--device", "/dev/dri"]
    return words


def show_mount(bind: Bind) -> str:
    """The value of `--mount`: one line of comma-separated values, in which a field with a comma is quoted."""
    fields = ["type=bind", f"source={bind.source}", f"target={bind.destination}"]
    if bind.read_only:
        fields.append("readonly")
    return ",".join('"' + field.replace('"', '""') + '"' if set(field) & set(',"') else field for field in fields)
