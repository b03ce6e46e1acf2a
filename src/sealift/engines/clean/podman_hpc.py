"""A launch plan in the words of podman-hpc, NERSC's engine on Perlmutter.

Its flags are those of its modules (github.com/NERSC/podman-hpc, etc/modules.d/*.yaml); which of them a purpose wants is
the site profile's to say. Inside, one is root, which is oneself outside. Nothing is mounted by default.

With the flags for MPI, `run` becomes `shared-run`: the first rank of a node starts one container, whose command is
`sleep infinity`, and all ranks join it by `podman exec`, which knows no entrypoint. So the entrypoint has to be one
that runs what it is given, and the command has to begin with the image's own script.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from sealift.core.launch import Communication, LaunchPlan
from sealift.engines.clean.communication import recipe, site_flags
from sealift.engines.clean.docker import show_mount
from sealift.engines.clean.image import ACTIONS, LIBRARY_PATH, StoredImage, inner_command, words_of
from sealift.engines.clean.refusals import APART, refuse
from sealift.engines.clean.surroundings import Caller, Surroundings, compose, env_words
from sealift.engines.started import Started
from sealift.sites.profile import Profile

CAN = frozenset(("nv", "writable_tmpfs", "fakeroot", "hostname", "communication", "contain_all")) | APART
REASONS: Mapping[str, str] = {
    "rocm": "it knows NVIDIA GPUs only",
    "overlays": "its images take no overlay",
    "writable": "its images are squashed",
    "net": "the interconnect is the host's",
    "userns": "it is in a user namespace always",
    "mounts": "write it as -B",
    "env_files": "give the variables with --env",
    "app": "its scripts know no apps",
}
IPC = "--ipc=host"
"""Podman refuses it where the kernel has no message queues."""
_SHARED = ("--mpi", "--cuda-mpi", "--openmpi-pmi2")


def command_line(
    plan: LaunchPlan,
    image: StoredImage,
    caller: Caller,
    *,
    site: Profile,
    program: str = "podman-hpc",
) -> Started:
    """The call of each rank. One that brings MPI in has to stand behind `srun`: see `needs_srun`."""
    refuse(plan, "podman-hpc", can=CAN, reasons=REASONS)
    around = compose(plan, caller, site)
    flags = site_flags(site, "podman-hpc", plan.communication, gpu=plan.nv)
    argv = [program, "run", "--rm"]
    if caller.terminal:
        argv += ["--interactive", "--tty"]
    argv += [*flags, *_of_the_host(plan, caller, site, shared=needs_srun(flags))]
    if plan.hostname is not None:
        argv += ["--hostname", plan.hostname]
    argv += [word for bind in around.binds for word in ("--mount", show_mount(bind))]
    if around.pwd is not None:
        argv += ["--workdir", around.pwd]
    path = around.library_path(_site_path(site, plan.communication), image.library_path)
    variables = recipe(site, plan.communication) | dict(around.env)
    if "PMI_FD" in variables:
        variables["PMI_FD"] = "3"  # under this number it hands the descriptor on
    if path:
        # Each module of it sets a value of its own; the last one counts, and this one comes last.
        variables[LIBRARY_PATH] = path
    argv += env_words(variables, plan, caller)
    entry, command = _inner(plan, image, around, settle=bool(path), shared=needs_srun(flags))
    if entry:
        argv += ["--entrypoint", entry]
    # It looks for its own flags behind the image, too: `--` keeps the program's from it.
    return Started(argv=(*argv, "--", image.reference, *command), env=caller.env)


def needs_srun(flags: tuple[str, ...]) -> bool:
    """Do these flags make one container a node, which ranks join? Outside `srun` no rank knows its number."""
    return any(flag in flags for flag in _SHARED)


def _of_the_host(plan: LaunchPlan, caller: Caller, site: Profile, *, shared: bool) -> Iterator[str]:
    """What one finds under Apptainer: the host's network, through which ranks find each other, its memory between
    processes, and one's own groups. The flags for MPI have the first two by themselves, and Podman takes no flag twice.
    """
    for flag in () if shared else site.texts("engines.podman-hpc.host_flags"):
        if flag != IPC or (caller.message_queues and not plan.contain_all):
            yield flag
    # runc cannot keep them: it is asked for only where somebody has any.
    if set(caller.groups) - {caller.gid}:
        yield from site.texts("engines.podman-hpc.group_flags")


def _site_path(site: Profile, communication: Communication) -> str:
    return {
        "mpi": site.text("engines.podman-hpc.library_path"),
        "gpu-mpi": site.text("engines.podman-hpc.library_path"),
        "nccl": site.text("engines.podman-hpc.nccl_library_path"),
    }.get(communication, "")


def _inner(
    plan: LaunchPlan, image: StoredImage, around: Surroundings, *, settle: bool, shared: bool
) -> tuple[str, tuple[str, ...]]:
    if not shared:
        return inner_command(plan, image, orders=around.orders, settle=settle)
    words = words_of(plan, image, orders=around.orders, settle=settle)
    return (f"{ACTIONS}/exec" if image.prepared else "env"), words
