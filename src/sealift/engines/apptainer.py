"""A launch plan in the words of Apptainer and of Singularity (SingularityCE, SingularityPRO), which are the same."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from sealift.core.launch import LaunchPlan
from sealift.engines.binds import show_bind
from sealift.engines.started import Started

Name = Literal["apptainer", "singularity"]


def command_line(plan: LaunchPlan, *, name: Name, program: str, env: Mapping[str, str]) -> Started:
    """The call of `program`, which is the `name` of the two. Binds and the like in `env` it reads by itself."""
    argv = [program, plan.action]
    for flag, wanted in (
        ("--containall", plan.contain_all),
        ("--contain", plan.contain and not plan.contain_all),
        ("--cleanenv", plan.clean_env),
        ("--no-home", plan.no_home),
        ("--writable-tmpfs", plan.writable_tmpfs),
        ("--nv", plan.nv),
        ("--rocm", plan.rocm),
    ):
        if wanted:
            argv.append(flag)
    for option, value in (("--home", plan.home), ("--pwd", plan.pwd), ("--app", plan.app)):
        if value is not None:
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
    # `--` would become a part of the command; a path keeps an image from being read as an option.
    image = plan.image if not plan.image.startswith("-") else f"./{plan.image}"
    command = () if plan.action == "shell" else plan.command
    return Started(argv=(*argv, image, *command), env={**env, **added}, added=tuple(added))
