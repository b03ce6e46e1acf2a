"""Options that users set as variables, as Apptainer reads them: `APPTAINER_CONTAIN=1` is `--contain`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sealift.core.launch import LaunchPlan

_FLAGS = {
    "CLEANENV": "clean_env",
    "CONTAIN": "contain",
    "CONTAINALL": "contain_all",
    "NO_HOME": "no_home",
    "WRITABLE_TMPFS": "writable_tmpfs",
    "NV": "nv",
    "ROCM": "rocm",
}
_TEXTS = {"PWD": "pwd", "CWD": "pwd", "HOME": "home", "APP": "app"}
_YES = ("1", "t", "true", "yes", "on", "y")


def with_variables(plan: LaunchPlan, env: Mapping[str, str]) -> LaunchPlan:
    """The plan with what `APPTAINER_*`, else `SINGULARITY_*`, say; what the command line says wins."""
    found: dict[str, bool | str] = {}
    for name, field in _FLAGS.items():
        if _value(env, name).lower() in _YES:
            found[field] = True
    for name, field in _TEXTS.items():
        value = _value(env, name)
        if value and getattr(plan, field) is None:
            found[field] = value
    return replace(plan, **found) if found else plan  # type: ignore[arg-type]  # the fields are the tables' values


def _value(env: Mapping[str, str], name: str) -> str:
    return env.get(f"APPTAINER_{name}", "") or env.get(f"SINGULARITY_{name}", "")
