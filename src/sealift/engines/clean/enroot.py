"""A launch plan for enroot: `enroot start`, Slurm's pyxis (`srun --container-image`), CSCS' environment files.

What GPUs show is decided by variables (NVIDIA_VISIBLE_DEVICES, NVIDIA_DRIVER_CAPABILITIES): without `compute` there is
no libcuda (github.com/NVIDIA/enroot, conf/hooks/98-nvidia.sh).

`enroot start` begins with the image's variables alone. pyxis and CSCS' engine put the step's own behind them, and those
of the image win; so pyxis is told which variables make up the step (`--export`) and which win over the image's
(`--container-env`), and an environment file empties what does harm.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sealift.core.launch import Bind, LaunchPlan
from sealift.engines.clean.communication import recipe
from sealift.engines.clean.image import LIBRARY_PATH, StoredImage, words_of
from sealift.engines.clean.refusals import APART, refuse
from sealift.engines.clean.surroundings import Caller, Surroundings, compose, harmful
from sealift.engines.started import Started
from sealift.errors import UsageError
from sealift.sites.profile import Profile

CAN = frozenset(("nv", "writable_tmpfs", "writable", "fakeroot")) | APART
REASONS: Mapping[str, str] = {
    "rocm": "it knows NVIDIA GPUs only",
    "contain_all": "it has no process numbers of its own: --contain",
    "overlays": "it has none: --writable-tmpfs",
    "net": "the network is the host's",
    "mounts": "write it as -B",
    "env_files": "give the variables with --env",
    "app": "its scripts know no apps",
}
GPU = {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"}
_GO = 'cd "$1" || exit; shift; exec "$@"'


def command_line(
    plan: LaunchPlan, image: StoredImage, caller: Caller, *, program: str = "enroot", site: Profile | None = None
) -> Started:
    """`enroot start` of a container or a squashfs."""
    refuse(plan, "enroot", can=CAN, reasons=REASONS)
    around = compose(plan, caller, site)
    path = around.library_path("", image.library_path)
    argv = [program, "start"]
    if plan.writable or plan.writable_tmpfs:
        argv.append("--rw")
    if plan.fakeroot:
        argv.append("--root")
    argv += [word for bind in around.binds for word in ("--mount", _fstab(bind))]
    for key, value in _variables(plan, around, path).items():
        if "\n" in value:
            raise UsageError(f"enroot takes no lines in a variable: `{key}`", hints=(f"leave out --env {key}",))
        argv += ["--env", f"{key}={value}"]
    words = words_of(plan, image, orders=around.orders, settle=bool(path))
    if around.pwd is not None:
        # It has no option for it.
        words = ("/bin/sh", "-c", _GO, "sh", around.pwd, *words)
    return Started(argv=(*argv, image.reference, *words), env=caller.env)


def srun_options(
    plan: LaunchPlan, image: StoredImage, caller: Caller, *, program: str = "srun", site: Profile | None = None
) -> Started:
    """`srun` with pyxis' options; the variables stand in front, for pyxis takes them from the step's environment."""
    refuse(plan, "pyxis", can=CAN, reasons=REASONS)
    around = compose(plan, caller, site)
    path = around.library_path("", image.library_path)
    variables = _variables(plan, around, path)
    ours = [name for name in variables if name in around.orders or caller.env.get(name) != variables[name]]
    argv = [program, f"--container-image={_registry_form(image.reference)}"]
    if around.binds:
        argv.append("--container-mounts=" + ",".join(_mount(bind) for bind in around.binds))
    if plan.no_home or plan.contain:
        argv.append("--no-container-mount-home")
    if around.pwd is not None:
        argv.append(f"--container-workdir={around.pwd}")
    argv.append("--container-writable" if plan.writable or plan.writable_tmpfs else "--container-readonly")
    argv.append("--container-remap-root" if plan.fakeroot else "--no-container-remap-root")
    argv.append("--no-container-entrypoint")
    argv.append(f"--export={','.join(variables)}")
    if ours:
        argv.append(f"--container-env={','.join(ours)}")
    fresh = {name: value for name, value in variables.items() if caller.env.get(name) != value}
    words = words_of(plan, image, orders=around.orders, settle=bool(path))
    return Started(argv=(*argv, *words), env={**caller.env, **fresh}, added=tuple(fresh))


def environment_file(plan: LaunchPlan, image: StoredImage, caller: Caller, *, site: Profile | None = None) -> str:
    """The TOML text of an environment file of CSCS' container engine, for `srun --environment=FILE`."""
    refuse(plan, "The container engine", can=CAN | {"communication"}, reasons=REASONS)
    around = compose(plan, caller, site)
    path = around.library_path("", image.library_path) or image.library_path
    lines = [f"image = {_quoted(_registry_form(image.reference))}"]
    if around.binds:
        lines += ["mounts = [", *(f"    {_quoted(_mount(bind))}," for bind in around.binds), "]"]
    if around.pwd is not None:
        lines.append(f"workdir = {_quoted(around.pwd)}")
    lines += [f"writable = {'true' if plan.writable or plan.writable_tmpfs else 'false'}", "entrypoint = false", ""]
    lines += ["[env]"]
    # The caller's own variables come with the step; what is written down is what the recipe adds.
    theirs = recipe(site, plan.communication) if site is not None else {}
    wanted = theirs | _variables(plan, around, path)
    added = {k: v for k, v in wanted.items() if k != "HOME" and (k in around.orders or k not in caller.env)}
    # Empty text takes a variable away. What the host has for the library path must not stand where the image has none.
    added |= {LIBRARY_PATH: path} | {name: "" for name in harmful() if name not in wanted}
    lines += [f"{_key(name)} = {_quoted(value)}" for name, value in added.items()]
    hooks = _hooks(plan, site)
    if hooks:
        lines += ["", "[annotations]", *(f"com.hooks.{hook} = {_quoted(value)}" for hook, value in hooks.items())]
    return "\n".join(lines) + "\n"


def _hooks(plan: LaunchPlan, site: Profile | None) -> dict[str, str]:
    """What brings the interconnect's libraries in (docs.cscs.ch, container-engine/resource-hook)."""
    if site is None or site.text("network.provider") != "cxi" or not (plan.nv or plan.communication != "none"):
        return {}
    hooks = {"cxi.enabled": "true"}
    if plan.communication == "nccl":
        cuda = site.text("gpu.cuda").partition(".")[0] or "12"
        hooks |= {"aws_ofi_nccl.enabled": "true", "aws_ofi_nccl.variant": f"cuda{cuda}"}
    return hooks


def _variables(plan: LaunchPlan, around: Surroundings, path: str) -> dict[str, str]:
    return (GPU if plan.nv else {}) | dict(around.env) | ({LIBRARY_PATH: path} if path else {})


def _fstab(bind: Bind) -> str:
    """A line of fstab with colons: two fields are a bind that makes its place; a third one has to say all of that."""
    return _parted(bind) + (":x-create=auto,rbind,ro" if bind.read_only else "")


def _mount(bind: Bind) -> str:
    return _parted(bind) + (":ro" if bind.read_only else "")


def _parted(bind: Bind) -> str:
    names = bind.source + bind.destination
    if set(names) & set(":,") or any(character.isspace() for character in names):
        raise UsageError(
            f"enroot takes no `:`, no `,` and no spaces in the names of folders: `{bind.source}:{bind.destination}`",
            hints=("rename it",),
        )
    return f"{bind.source}:{bind.destination}"


def _registry_form(reference: str) -> str:
    """Registries are parted from names by `#`; a path stays as it is."""
    if reference.startswith(("/", "./")):
        return reference
    first, slash, rest = reference.removeprefix("docker://").partition("/")
    is_registry = slash and ("." in first or ":" in first or first == "localhost")
    return f"{first}#{rest}" if is_registry else reference.removeprefix("docker://")


def _key(name: str) -> str:
    """With a dot in it, a bare one would be a table's."""
    return name if re.fullmatch(r"[A-Za-z0-9_-]+", name) else _quoted(name)


def _quoted(text: str) -> str:
    """A TOML basic string. Of `$`, which these files expand, there are two where one is meant."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("${", "$${")
    return '"' + "".join(c if c >= " " and c != "\x7f" else f"\\u{ord(c):04x}" for c in escaped) + '"'
