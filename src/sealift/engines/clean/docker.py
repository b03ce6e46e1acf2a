"""A launch plan in the words of Docker and of Podman, so that the program finds what it finds under Apptainer.

Both begin clean: their own network, users, processes and an image that can be written to. What Apptainer shares with
the host is shared here by name: network, System V IPC, /dev/shm, home, /tmp, the working folder, the caller's ids.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from sealift.core.launch import Bind, LaunchPlan
from sealift.engines.clean.image import StoredImage, inner_command
from sealift.engines.clean.refusals import refuse
from sealift.engines.clean.surroundings import LIBRARY_PATH, Caller, Surroundings, compose, library_path
from sealift.engines.started import Started
from sealift.sites.profile import Profile

Name = Literal["docker", "podman"]

CAN = frozenset(
    ("nv", "rocm", "writable_tmpfs", "pid", "no_pid", "ipc", "net", "uts", "hostname", "no_init", "fakeroot", "dns")
) | {"add_caps", "drop_caps"}
REASONS: Mapping[str, str] = {
    "overlays": "its images take no overlay",
    "writable": "its images are layers, not folders",
    "mounts": "write it as -B",
    "env_files": "a shell reads them under Apptainer, Docker takes them word for word",
    "home": "bind the folder: -B DIR:$HOME",
    "app": "its scripts know no apps",
    "userns": "it has its own way with users",
    "security": "add it to the command line that --print shows",
}


def command_line(
    plan: LaunchPlan, image: StoredImage, caller: Caller, *, name: Name, program: str, site: Profile | None = None
) -> Started:
    """The call of `program`, which is the `name` of the two; UsageError where it has no word for a flag."""
    refuse(plan, name.capitalize(), can=CAN, reasons=REASONS)
    around = compose(plan, caller, site)
    argv = [program, "run", "--rm", "--interactive"]
    if caller.terminal:
        argv.append("--tty")
    argv += [
        *_namespaces(plan, share_ipc=name == "docker" or caller.message_queues),
        *_user(plan, caller, name),
        *_devices(plan, name),
    ]
    if not plan.writable_tmpfs:
        argv.append("--read-only")
    argv += ["--security-opt", "no-new-privileges"]
    argv += [word for bind in around.binds for word in ("--mount", show_mount(bind))]
    if around.pwd is not None:
        argv += ["--workdir", around.pwd]
    argv += [word for key, value in _variables(around, image).items() for word in ("--env", f"{key}={value}")]
    entry, command = inner_command(plan, image)
    if entry:
        argv += ["--entrypoint", entry]
    return Started(argv=(*argv, image.reference, *command), env=caller.env)


def _variables(around: Surroundings, image: StoredImage) -> dict[str, str]:
    variables = dict(around.env)
    if LIBRARY_PATH in variables and image.library_path:
        variables[LIBRARY_PATH] = library_path(variables[LIBRARY_PATH], image.library_path)
    return variables


def _namespaces(plan: LaunchPlan, *, share_ipc: bool) -> list[str]:
    alone = plan.contain_all
    words = ["--network", "none" if plan.net else "host"]
    words += ["--ipc", "private" if alone or plan.ipc or not share_ipc else "host"]
    if plan.no_pid or not (alone or plan.pid):
        words += ["--pid", "host"]
    elif not plan.no_init:
        words.append("--init")
    if plan.hostname is not None:
        words += ["--hostname", plan.hostname]
    elif not plan.uts and not plan.net:
        words += ["--uts", "host"]
    if plan.dns is not None:
        words += [word for server in plan.dns.split(",") for word in ("--dns", server)]
    return words


def _user(plan: LaunchPlan, caller: Caller, name: Name) -> list[str]:
    """The caller's own ids inside. Podman maps them; Docker's daemon is root and takes any."""
    words = []
    if name == "podman":
        if not plan.fakeroot:
            words += ["--userns", "keep-id"]
        # runc cannot keep them: it is asked for only where somebody has any.
        if set(caller.groups) - {caller.gid}:
            words += ["--group-add", "keep-groups"]
    else:
        if not plan.fakeroot:
            words += ["--user", f"{caller.uid}:{caller.gid}"]
        words += [word for group in caller.groups if group != caller.gid for word in ("--group-add", str(group))]
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
