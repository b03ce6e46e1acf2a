"""Options that users set as variables, as Apptainer reads them: `APPTAINER_CONTAIN=1` is `--contain`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from sealift.core.launch import LaunchPlan

_FLAGS = {
    "clean_env": ("CLEANENV",),
    "contain": ("CONTAIN",),
    "contain_all": ("CONTAINALL",),
    "compat": ("COMPAT",),
    "no_home": ("NO_HOME",),
    "writable": ("WRITABLE",),
    "writable_tmpfs": ("WRITABLE_TMPFS",),
    "fakeroot": ("FAKEROOT",),
    "userns": ("USERNS", "UNSHARE_USERNS"),
    "pid": ("PID", "UNSHARE_PID"),
    "no_init": ("NOSHIMINIT",),
    "ipc": ("IPC", "UNSHARE_IPC"),
    "uts": ("UTS", "UNSHARE_UTS"),
    "net": ("NET", "UNSHARE_NET"),
    "no_umask": ("NO_UMASK",),
    "no_eval": ("NO_EVAL",),
    "keep_privs": ("KEEP_PRIVS",),
    "no_privs": ("NO_PRIVS",),
    "nv": ("NV",),
    "rocm": ("ROCM",),
}
_TEXTS = {
    "pwd": ("CWD", "TARGET_CWD", "PWD", "TARGET_PWD"),
    "home": ("HOME",),
    "app": ("APP", "APPNAME"),
    "workdir": ("WORKDIR",),
    "hostname": ("HOSTNAME",),
    "network": ("NETWORK",),
    "dns": ("DNS",),
    "add_caps": ("ADD_CAPS",),
    "drop_caps": ("DROP_CAPS",),
}
_LISTS = {
    "overlays": ("OVERLAY", "OVERLAYIMAGE"),
    "scratch": ("SCRATCH", "SCRATCHDIR"),
    "no_mount": ("NO_MOUNT",),
    "security": ("SECURITY",),
    "env_files": ("ENV_FILE",),
}
"""Lists whose variable is not looked at when the option is given; binds and mounts are added to what is given."""

_YES = ("1", "t", "true", "yes", "on", "y")


def with_variables(plan: LaunchPlan, env: Mapping[str, str]) -> LaunchPlan:
    """The plan with what `APPTAINER_*`, else `SINGULARITY_*`, say; what the command line says wins."""
    found: dict[str, bool | str | tuple[str, ...]] = {}
    for field, names in _FLAGS.items():
        if _value(env, names).lower() in _YES:
            found[field] = True
    for field, names in _TEXTS.items():
        if getattr(plan, field) is None and (value := _value(env, names)):
            found[field] = value
    for field, names in _LISTS.items():
        if not getattr(plan, field) and (value := _value(env, names)):
            found[field] = (value,)
    if value := _value(env, ("MOUNT",)):
        found["mounts"] = (*plan.mounts, value)
    return replace(plan, **found) if found else plan  # type: ignore[arg-type]  # the fields are the tables' values


def _value(env: Mapping[str, str], names: tuple[str, ...]) -> str:
    wanted = (f"{family}_{name}" for family in ("APPTAINER", "SINGULARITY") for name in names)
    return next((env[name] for name in wanted if env.get(name)), "")
