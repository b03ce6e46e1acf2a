"""A launch plan in the words of Charliecloud's `ch-run` (hpc.github.io/charliecloud/ch-run.html).

Its image is a folder or a squashfs that it mounts itself. It shows the host's variables unless told not to.
"""

from __future__ import annotations

from collections.abc import Mapping

from sealift.core.launch import LaunchPlan
from sealift.engines.clean.image import StoredImage, inner_command
from sealift.engines.clean.refusals import refuse
from sealift.engines.clean.surroundings import Caller, compose
from sealift.engines.started import Started
from sealift.errors import UsageError
from sealift.sites.profile import Profile

CAN = frozenset(("writable_tmpfs", "writable", "fakeroot"))
REASONS: Mapping[str, str] = {
    "nv": "put the driver's libraries into the image first: ch-fromhost --nvidia IMAGE",
    "rocm": "bind what the GPU needs: -B /dev/kfd -B /dev/dri",
    "overlays": "it has none: --writable-tmpfs, or a folder with --writable",
    "net": "the network is the host's",
    "mounts": "write it as -B",
    "env_files": "give the variables with --env",
    "app": "its scripts know no apps",
}


def command_line(
    plan: LaunchPlan, image: StoredImage, caller: Caller, *, program: str = "ch-run", site: Profile | None = None
) -> Started:
    refuse(plan, "Charliecloud", can=CAN, reasons=REASONS)
    around = compose(plan, caller, site)
    argv = [program, "--unset-env=*"]
    if plan.fakeroot:
        argv += ["--uid=0", "--gid=0"]
    if plan.writable:
        argv.append("--write")
    elif plan.writable_tmpfs:
        argv.append("--write-fake")
    if plan.contain or plan.contain_all:
        argv.append("--private-tmp")
    for bind in around.binds:
        if bind.read_only:
            raise UsageError(
                f"Charliecloud binds nothing read-only: `{bind.source}`",
                hints=(f"-B {bind.source}:{bind.destination}",),
            )
        if bind.destination not in ("/tmp", "/var/tmp"):  # noqa: S108 -- it shows /tmp by itself
            argv.append(f"--bind={bind.source}:{bind.destination}")
    if around.pwd is not None:
        argv.append(f"--cd={around.pwd}")
    argv += [f"--set-env={key}={value}" for key, value in around.env.items()]
    entry, command = inner_command(plan, image)
    if not entry:
        raise UsageError(
            "Charliecloud does not run an image's entrypoint", hints=("name the program: sealift exec … IMAGE PROGRAM",)
        )
    return Started(argv=(*argv, image.reference, "--", entry, *command), env=caller.env)
