"""A launch plan for enroot: `enroot start`, Slurm's pyxis (`srun --container-image`), CSCS' environment files.

What GPUs show is decided by variables (NVIDIA_VISIBLE_DEVICES, NVIDIA_DRIVER_CAPABILITIES): without `compute` there is
no libcuda (github.com/NVIDIA/enroot, conf/hooks/98-nvidia.sh).
"""

from __future__ import annotations

from collections.abc import Mapping

from sealift.core.launch import Bind, LaunchPlan
from sealift.engines.clean.image import StoredImage, inner_command
from sealift.engines.clean.refusals import refuse
from sealift.engines.clean.surroundings import Caller, Surroundings, compose
from sealift.engines.started import Started
from sealift.errors import UsageError
from sealift.sites.profile import Profile

CAN = frozenset(("nv", "writable_tmpfs", "writable", "fakeroot"))
REASONS: Mapping[str, str] = {
    "rocm": "it knows NVIDIA GPUs only",
    "overlays": "it has none: --writable-tmpfs",
    "net": "the network is the host's",
    "mounts": "write it as -B",
    "env_files": "give the variables with --env",
    "app": "its scripts know no apps",
}
GPU = {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"}


def command_line(
    plan: LaunchPlan, image: StoredImage, caller: Caller, *, program: str = "enroot", site: Profile | None = None
) -> Started:
    """`enroot start` of a container or a squashfs."""
    refuse(plan, "enroot", can=CAN, reasons=REASONS)
    around = compose(plan, caller, site)
    argv = [program, "start"]
    if plan.writable or plan.writable_tmpfs:
        argv.append("--rw")
    if plan.fakeroot:
        argv.append("--root")
    argv += [word for bind in around.binds for word in ("--mount", _mount(bind))]
    argv += [word for key, value in _variables(plan, around).items() for word in ("--env", f"{key}={value}")]
    return Started(argv=(*argv, image.reference, *_words(plan, image)), env=caller.env)


def srun_options(plan: LaunchPlan, image: StoredImage, caller: Caller, *, site: Profile | None = None) -> Started:
    """`srun` with pyxis' options; the variables stand in front, for pyxis takes them from the step's environment."""
    refuse(plan, "pyxis", can=CAN, reasons=REASONS)
    around = compose(plan, caller, site)
    variables = {key: value for key, value in _variables(plan, around).items() if key != "HOME"}
    argv = ["srun", f"--container-image={_registry_form(image.reference)}"]
    if around.binds:
        argv.append("--container-mounts=" + ",".join(_mount(bind) for bind in around.binds))
    if around.pwd is not None:
        argv.append(f"--container-workdir={around.pwd}")
    argv.append("--container-writable" if plan.writable or plan.writable_tmpfs else "--container-readonly")
    argv += ["--container-remap-root"] if plan.fakeroot else []
    argv.append("--no-container-entrypoint")
    fresh = {key: value for key, value in variables.items() if caller.env.get(key) != value}
    return Started(argv=(*argv, *_words(plan, image)), env={**caller.env, **fresh}, added=tuple(fresh))


def environment_file(plan: LaunchPlan, image: StoredImage, caller: Caller, *, site: Profile | None = None) -> str:
    """The TOML text of an environment file of CSCS' container engine, for `srun --environment=FILE`."""
    refuse(plan, "The container engine", can=CAN, reasons=REASONS)
    around = compose(plan, caller, site)
    lines = [f"image = {_quoted(_registry_form(image.reference))}"]
    if around.binds:
        lines += ["mounts = [", *(f"    {_quoted(_mount(bind))}," for bind in around.binds), "]"]
    if around.pwd is not None:
        lines.append(f"workdir = {_quoted(around.pwd)}")
    lines += [f"writable = {'true' if plan.writable or plan.writable_tmpfs else 'false'}", "entrypoint = false", ""]
    lines += ["[env]"]
    # The caller's own variables come with the step; what is written down is what the recipe adds.
    lines += [f"{k} = {_quoted(v)}" for k, v in _variables(plan, around).items() if k != "HOME" and k not in caller.env]
    if site is not None and plan.nv and site.text("network.provider") == "cxi":
        lines += ["", "[annotations]", 'com.hooks.cxi.enabled = "true"']
    return "\n".join(lines) + "\n"


def _variables(plan: LaunchPlan, around: Surroundings) -> dict[str, str]:
    return (GPU if plan.nv else {}) | dict(around.env)


def _words(plan: LaunchPlan, image: StoredImage) -> tuple[str, ...]:
    entry, command = inner_command(plan, image)
    if not entry:
        raise UsageError(
            "enroot is not asked to run an image's entrypoint",
            hints=("name the program: sealift exec … IMAGE PROGRAM",),
        )
    return (entry, *command)


def _mount(bind: Bind) -> str:
    if set(bind.source + bind.destination) & set(":,"):
        raise UsageError(
            f"enroot takes no `:` and no `,` in the names of folders: `{bind.source}`", hints=("rename it",)
        )
    return f"{bind.source}:{bind.destination}" + (":ro" if bind.read_only else "")


def _registry_form(reference: str) -> str:
    """Registries are parted from names by `#`; a path stays as it is."""
    if reference.startswith(("/", "./")):
        return reference
    first, slash, rest = reference.removeprefix("docker://").partition("/")
    is_registry = slash and ("." in first or ":" in first or first == "localhost")
    return f"{first}#{rest}" if is_registry else reference.removeprefix("docker://")


def _quoted(text: str) -> str:
    """A TOML basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"' + "".join(c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}" for c in escaped) + '"'
