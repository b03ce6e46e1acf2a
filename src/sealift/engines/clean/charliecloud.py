"""A launch plan in the words of Charliecloud's `ch-run` (hpc.github.io/charliecloud/ch-run.html).

Its image is a folder or a squashfs that it mounts itself. It shows the host's variables unless told not to, and of the
host's folders /tmp, /dev, /proc and /sys. It makes places for binds only where the image can be written to, which
`--write-fake` (0.33 and newer) lets it be, in memory.
"""

from __future__ import annotations

from collections.abc import Mapping

from sealift.core.launch import LaunchPlan
from sealift.engines.clean.image import LIBRARY_PATH, StoredImage, words_of
from sealift.engines.clean.refusals import APART, refuse
from sealift.engines.clean.surroundings import Caller, compose
from sealift.engines.environment import DEFAULT_PATH
from sealift.engines.started import Started
from sealift.errors import UsageError
from sealift.sites.profile import Profile

CAN = frozenset(("writable_tmpfs", "writable", "fakeroot", "rocm")) | APART
REASONS: Mapping[str, str] = {
    "nv": "put the driver's libraries into the image, which is a folder then: ch-fromhost --nvidia FOLDER",
    "contain_all": "it has no process numbers of its own: --contain",
    "overlays": "it has none: --writable-tmpfs, or a folder with --writable",
    "net": "the network is the host's",
    "mounts": "write it as -B",
    "env_files": "give the variables with --env",
    "app": "its scripts know no apps",
}
SHARED = "/tmp"  # noqa: S108 -- the one folder that it shows by itself


def command_line(
    plan: LaunchPlan, image: StoredImage, caller: Caller, *, program: str = "ch-run", site: Profile | None = None
) -> Started:
    refuse(plan, "Charliecloud", can=CAN, reasons=REASONS)
    around = compose(plan, caller, site)
    binds = [bind for bind in around.binds if (bind.source, bind.destination) != (SHARED, SHARED)]
    argv = [program, "--unset-env=*", "--env-no-expand"]
    if plan.fakeroot:
        argv += ["--uid=0", "--gid=0"]
    if plan.writable:
        argv.append("--write")
    elif plan.writable_tmpfs or binds:
        argv.append("--write-fake")
    if plan.contain:
        argv.append("--private-tmp")
    for bind in binds:
        if bind.read_only:
            raise UsageError(
                f"Charliecloud binds nothing read-only: `{bind.source}`",
                hints=(f"-B {bind.source}:{bind.destination}",),
            )
        if ":" in bind.source:
            raise UsageError(
                f"Charliecloud takes no `:` in the names of folders: `{bind.source}`", hints=("rename it",)
            )
        if bind.destination.startswith(f"{SHARED}/") and not plan.contain:
            raise UsageError(
                f"Charliecloud binds nothing below {SHARED}, which is the host's: `{bind.destination}`",
                hints=(f"another place: -B {bind.source}:/mnt", "an empty one: add --contain"),
            )
        argv.append(f"--bind={bind.source}:{bind.destination}")
    if around.pwd is not None:
        argv.append(f"--cd={around.pwd}")
    path = around.library_path("", image.library_path)
    # Nothing of the host's is left, and it sets none of its own: without PATH the image's scripts find no program.
    variables = {"PATH": DEFAULT_PATH} | dict(around.env) | ({LIBRARY_PATH: path} if path else {})
    argv += [f"--set-env={key}={_kept(value)}" for key, value in variables.items()]
    words = words_of(plan, image, orders=around.orders, settle=bool(path))
    return Started(argv=(*argv, image.reference, "--", *words), env=caller.env)


def _kept(value: str) -> str:
    """It takes one pair of single quotes off a value that stands between two."""
    return f"'{value}'" if len(value) > 1 and value[0] == value[-1] == "'" else value
