"""A launch plan in the words of Apptainer and of Singularity (SingularityCE, SingularityPRO), which are the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from sealift.core.launch import LaunchPlan
from sealift.engines.binds import show_bind
from sealift.engines.started import Started

Name = Literal["apptainer", "singularity"]

_FLAGS = (
    ("--containall", "contain_all"),
    ("--compat", "compat"),
    ("--cleanenv", "clean_env"),
    ("--no-home", "no_home"),
    ("--writable", "writable"),
    ("--writable-tmpfs", "writable_tmpfs"),
    ("--fakeroot", "fakeroot"),
    ("--userns", "userns"),
    ("--pid", "pid"),
    ("--no-pid", "no_pid"),
    ("--no-init", "no_init"),
    ("--ipc", "ipc"),
    ("--uts", "uts"),
    ("--net", "net"),
    ("--no-umask", "no_umask"),
    ("--no-eval", "no_eval"),
    ("--keep-privs", "keep_privs"),
    ("--no-privs", "no_privs"),
    ("--nv", "nv"),
    ("--rocm", "rocm"),
)
_TEXTS = (
    ("--home", "home"),
    ("--pwd", "pwd"),
    ("--app", "app"),
    ("--workdir", "workdir"),
    ("--hostname", "hostname"),
    ("--network", "network"),
    ("--dns", "dns"),
    ("--add-caps", "add_caps"),
    ("--drop-caps", "drop_caps"),
)
_LISTS = (
    ("--overlay", "overlays"),
    ("--scratch", "scratch"),
    ("--no-mount", "no_mount"),
    ("--mount", "mounts"),
    ("--security", "security"),
)


def command_line(plan: LaunchPlan, *, name: Name, program: str, env: Mapping[str, str]) -> Started:
    """The call of `program`, which is the `name` of the two. Binds and the like in `env` it reads by itself."""
    argv = [program, plan.action]
    if plan.contain and not plan.contain_all:
        argv.append("--contain")
    argv += [flag for flag, field in _FLAGS if getattr(plan, field)]
    for option, field in _TEXTS:
        if (value := getattr(plan, field)) is not None:
            argv += [option, value]
    for option, field in _LISTS:
        for value in getattr(plan, field):
            argv += [option, value]
    if plan.action == "shell" and plan.shell:
        argv += ["--shell", plan.shell]
    for bind in plan.binds:
        argv += ["--bind", show_bind(bind)]
    for file in plan.env_files:
        argv += ["--env-file", file]
    added: dict[str, str] = {}
    prefix = "APPTAINERENV_" if name == "apptainer" else "SINGULARITYENV_"
    for key, value in plan.env.items():
        if set(value) & set(',"\n'):
            # `--env` takes a list with commas in it; the variable means the same and takes any text.
            added[prefix + key] = value
        else:
            argv += ["--env", f"{key}={value}"]
    argv += (*plan.engine_options, *plan.engine_hints)
    # `--` would become a part of the command; a path keeps an image from being read as an option.
    image = plan.image if not plan.image.startswith("-") else f"./{plan.image}"
    command = () if plan.action == "shell" else plan.command
    return Started(argv=(*argv, image, *command), env={**env, **added}, added=tuple(added))
