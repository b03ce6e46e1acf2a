"""A launch plan in the words of Shifter (github.com/NERSC/shifter).

Image and volumes of a job belong into its header, where each node mounts them once: `header` gives these lines, and
`command_line` with `in_job` the call that goes with them. Given on the command line, they are mounted at every call.

Shifter hands the host's variables on, mounts the site's file systems by itself, and lets one be oneself inside; its
root file system cannot be written to. With `--clearenv` it begins with the image's own variables and what its modules
put before them; so the library path needs no word of ours but where the plan orders one.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping

from sealift.core.launch import Bind, LaunchPlan
from sealift.engines.clean.communication import recipe, site_flags
from sealift.engines.clean.image import LIBRARY_PATH, StoredImage, inner_command, words_of
from sealift.engines.clean.refusals import refuse
from sealift.engines.clean.surroundings import Caller, compose
from sealift.engines.started import Started
from sealift.errors import UsageError
from sealift.sites.profile import Profile

CAN = frozenset(("nv", "communication"))
REASONS: Mapping[str, str] = {
    "rocm": "it knows NVIDIA GPUs only",
    "writable_tmpfs": "its root file system cannot be written to: bind a folder of $SCRATCH",
    "writable": "its root file system cannot be written to: bind a folder of $SCRATCH",
    "overlays": "it has none: bind a folder of $SCRATCH",
    "fakeroot": "one is oneself inside",
    "contain": "it shows the site's file systems always",
    "contain_all": "it shows the site's file systems always",
    "no_home": "it shows the site's file systems always",
    "net": "the network is the host's",
    "mounts": "write it as -B",
    "env_files": "give the variables with --env",
    "app": "its scripts know no apps",
}


def command_line(
    plan: LaunchPlan,
    image: StoredImage,
    caller: Caller,
    *,
    site: Profile,
    is_folder: Mapping[str, bool],
    program: str = "shifter",
    in_job: bool = False,
) -> Started:
    """The call of each rank. `is_folder` tells of each bind's source whether it is one: Shifter binds no files.

    `in_job`: the header names image, volumes and modules, and the job's script has put its environment in order, so
    that it is handed on with what each rank finds in it.

    UsageError for what Shifter refuses: flags it has no word for, files, and targets that its VolumeMap forbids.
    """
    refuse(plan, "Shifter", can=CAN, reasons=REASONS)
    volumes = _volumes(plan, site, is_folder)
    argv = [program]
    if not in_job:
        argv += [f"--image={_reference(image)}", *(f"--volume={volume}" for volume in volumes)]
        argv += [*_modules(plan, site), "--clearenv"]
    around = compose(plan, caller, site)
    if around.pwd is not None:
        # Without it an image's own working folder wins over the caller's.
        argv.append(f"--workdir={around.pwd}")
    known = caller.env if in_job else {}
    variables = {k: v for k, v in (recipe(site, plan.communication) | dict(around.env)).items() if known.get(k) != v}
    argv += [f"--env={key}={value}" for key, value in variables.items()]
    # What its modules put before the library path must stay there, whatever the image's scripts do.
    settle = plan.communication != "none" or bool(around.ordered_path)
    entry, command = inner_command(plan, image, orders=around.orders, settle=settle)
    if around.ordered_path:
        words = words_of(plan, image, orders=around.orders, settle=settle)
        entry, command = "/bin/sh", ("-c", _IN_FRONT, around.ordered_path, *words)
    if not entry:
        return Started(argv=(*argv, "--entrypoint", "--", *command), env=caller.env)
    return Started(argv=(*argv, entry, *command), env=caller.env)


_IN_FRONT = f'{LIBRARY_PATH}="$0${{{LIBRARY_PATH}:+:${LIBRARY_PATH}}}" exec "$@"'


def header(
    plan: LaunchPlan,
    image: StoredImage,
    *,
    site: Profile,
    is_folder: Mapping[str, bool],
) -> tuple[str, ...]:
    """The lines of a job's header that name image, volumes and modules."""
    lines = [f"#SBATCH --image={_reference(image)}"]
    lines += [f"#SBATCH --volume={volume}" for volume in _volumes(plan, site, is_folder)]
    lines += [f"#SBATCH {module}" for module in _modules(plan, site)]
    return tuple(lines)


def _reference(image: StoredImage) -> str:
    return image.reference if image.reference.startswith(("docker:", "id:")) else f"docker:{image.reference}"


def _modules(plan: LaunchPlan, site: Profile) -> tuple[str, ...]:
    """One `--module`, for a second one would replace the first."""
    wanted = site_flags(site, "shifter", plan.communication, gpu=plan.nv)
    names = [name for flag in wanted for name in flag.removeprefix("--module=").split(",")]
    if "none" in names and len(names) > 1:
        names = [name for name in names if name != "none"]
    return (f"--module={','.join(dict.fromkeys(names))}",) if names else ()


def _volumes(plan: LaunchPlan, site: Profile, is_folder: Mapping[str, bool]) -> tuple[str, ...]:
    return tuple(_volume(bind, site, is_folder) for bind in plan.binds)


def _volume(bind: Bind, site: Profile, is_folder: Mapping[str, bool]) -> str:
    """As src/VolumeMap.c judges it: a prefix is one of the text, so that /etc forbids /etcetera, too."""
    fact = "engines.shifter."
    target = posixpath.normpath("/" + bind.destination.lstrip("/"))
    if not is_folder.get(bind.source, True) and not site.flag(fact + "file_binds", default=False):
        raise UsageError(
            f"Shifter binds folders only, and `{bind.source}` is a file",
            hints=(
                f"bind its folder: -B {bind.source.rpartition('/')[0] or '/'}:{target.rpartition('/')[0] or '/data'}",
            ),
        )
    if target not in site.texts(fact + "allowed_targets"):
        for prefix in site.texts(fact + "forbidden_prefixes"):
            if target.startswith(prefix):
                raise _forbidden(bind, f"{prefix}…")
        if target in (*site.texts(fact + "forbidden_targets"), "/"):
            raise _forbidden(bind, target)
    for path in (bind.source, target):
        if lost := sorted(set(_LOST.findall(path))):
            raise UsageError(
                f"Shifter knows only letters, digits and `/_.+-` in names of folders: `{path}` has `{''.join(lost)}`",
                hints=("rename it",),
            )
    return f"{bind.source}:{target}" + (":ro" if bind.read_only else "")


_LOST = re.compile(r"[^A-Za-z0-9_.+/-]")
"""Shifter leaves these out of a path without a word (userInputPathFilter); `:` parts its fields."""


def _forbidden(bind: Bind, prefix: str) -> UsageError:
    return UsageError(
        f"Shifter lets nothing be bound to `{bind.destination}`: `{prefix}` is its own",
        hints=(f"another place: -B {bind.source}:/data",),
    )
