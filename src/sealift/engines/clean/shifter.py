"""A launch plan in the words of Shifter (github.com/NERSC/shifter).

Image and volumes of a job belong into its header, where each node mounts them once: `header` gives these lines, and
`command_line` with `in_job` the call that goes with them. Given on the command line, they are mounted at every call.

Shifter keeps the host's environment, mounts the site's file systems by itself, and lets one be oneself inside; its
root file system cannot be written to.
"""

from __future__ import annotations

from collections.abc import Mapping

from sealift.core.launch import Bind, LaunchPlan
from sealift.engines.clean.communication import recipe, site_flags
from sealift.engines.clean.image import StoredImage, inner_command
from sealift.engines.clean.refusals import refuse
from sealift.engines.clean.surroundings import LIBRARY_PATH, Caller, compose
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

    UsageError for what Shifter refuses: flags it has no word for, files, and targets that its VolumeMap forbids.
    """
    refuse(plan, "Shifter", can=CAN, reasons=REASONS)
    volumes = _volumes(plan, site, is_folder)
    argv = [program]
    if not in_job:
        argv += [f"--image={_reference(image)}", *(f"--volume={volume}" for volume in volumes)]
        argv += _modules(plan, site)
    around = compose(plan, caller, site)
    if plan.pwd is not None:
        argv.append(f"--workdir={plan.pwd}")
    # The host's variables are there already, but for those that the host sets for itself.
    variables = recipe(site, plan.communication) | {k: v for k, v in around.env.items() if caller.env.get(k) != v}
    variables.pop("HOME", None)
    argv += [f"--env={key}={value}" for key, value in variables.items()]
    if LIBRARY_PATH not in variables:
        argv.append(f"--env={LIBRARY_PATH}={image.library_path}")
    entry, command = inner_command(plan, image)
    if not entry:
        return Started(argv=(*argv, "--entrypoint", *command), env=caller.env)
    return Started(argv=(*argv, entry, *command), env=caller.env)


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
    fact = "engines.shifter."
    target = bind.destination.rstrip("/") or "/"
    if not is_folder.get(bind.source, True) and not site.flag(fact + "file_binds", default=False):
        raise UsageError(
            f"Shifter binds folders only, and `{bind.source}` is a file",
            hints=(
                f"bind its folder: -B {bind.source.rpartition('/')[0] or '/'}:{target.rpartition('/')[0] or '/data'}",
            ),
        )
    if target not in site.texts(fact + "allowed_targets"):
        for prefix in site.texts(fact + "forbidden_prefixes"):
            if target == prefix or target.startswith(prefix + "/"):
                raise _forbidden(bind, prefix)
        if target in (*site.texts(fact + "forbidden_targets"), "/"):
            raise _forbidden(bind, target)
    if ":" in bind.source + target:
        raise UsageError(f"Shifter takes no `:` in the names of folders: `{bind.source}`", hints=("rename it",))
    return f"{bind.source}:{target}" + (":ro" if bind.read_only else "")


def _forbidden(bind: Bind, prefix: str) -> UsageError:
    return UsageError(
        f"Shifter lets nothing be bound to `{bind.destination}`: `{prefix}` is its own",
        hints=(f"another place: -B {bind.source}:/data",),
    )
