"""What an engine cannot do is said before it is started, all of it at once, each with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from sealift.core.launch import LaunchPlan
from sealift.errors import UsageError

ALWAYS = frozenset(
    ("image", "action", "command", "shell", "binds", "env", "pwd", "passed", "clean_env", "no_eval", "no_umask")
)
"""What every engine here can do; `clean_env`, `no_eval` and `no_umask` are how they all are."""

APART = frozenset(("no_home", "contain"))
"""What those can do that show nothing of the host by themselves."""

WITHOUT_FLAGS = "it has no flags for MPI or NCCL; what to bind is shown by: sealift mpi show IMAGE --site NAME"


def flag_of(field: str) -> str:
    """The option that sets a field of the launch plan."""
    others = {
        "contain_all": "--containall",
        "overlays": "--overlay",
        "mounts": "--mount",
        "env_files": "--env-file",
        "engine_options": "options of Apptainer's own",
        "engine_hints": "options of Apptainer's own",
    }
    return others.get(field, "--" + field.replace("_", "-"))


def refuse(plan: LaunchPlan, engine: str, *, can: frozenset[str], reasons: Mapping[str, str]) -> None:
    """UsageError that names every flag of the plan which `engine` has no word for."""
    bare = LaunchPlan(image=plan.image, action=plan.action)
    names = [each.name for each in fields(plan) if each.name not in ALWAYS | can]
    asked = [name for name in names if getattr(plan, name) != getattr(bare, name)]
    if not asked:
        return
    why = {"communication": WITHOUT_FLAGS, **reasons}
    lines = [f"`{flag_of(name)}`" + (f" ({why[name]})" if name in why else "") for name in asked]
    flags = " ".join(flag_of(name) for name in asked)
    raise UsageError(
        f"{engine} cannot do what is asked for: {', '.join(lines)}",
        hints=(f"leave out {flags}, or take another --engine",),
    )
